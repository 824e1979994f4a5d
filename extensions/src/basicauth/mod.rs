//! Extension `basicauth`: senders show a name and a password, and exporters do (security §4.2).
//!
//! Passwords are kept as bcrypt or argon2id. What was right is believed for five minutes, so that the price of a
//! verification is not paid by each request.

mod config;
mod htpasswd;
#[cfg(test)]
mod tests;
mod users;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_config::Secret;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::{AuthRequest, ClientAuth, Denied, Extension, NoCredentials, Principal, ServerAuth};
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::{BoxFuture, Context, Error};

pub use config::{Client, Config, Htpasswd, User};
use users::{Users, Verifier};

use crate::credential::{Current, after_scheme, single};
use crate::watch::{Contents, Watch, read, warn_of_open_modes};

const HEADER: &str = "Authorization";

/// Makes `basicauth` extensions.
pub struct BasicAuthFactory;

impl Factory<Extensions> for BasicAuthFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("basicauth", Stability::Alpha)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(BasicAuth::new(config.clone(), environment.id.as_str(), environment.clock)?))
    }
}

/// The extension: for receivers or for exporters.
struct BasicAuth {
    id: String,
    side: Side,
    paths: Vec<PathBuf>,
    /// As first read.
    contents: Contents,
    clock: Arc<dyn Clock>,
    watch: Mutex<Option<Watch>>,
}

#[derive(Clone)]
enum Side {
    Server(Arc<Server>),
    Client(Arc<Sent>),
}

/// Verifies passwords.
struct Server {
    config: Config,
    users: Current<Users>,
    verifier: Verifier,
}

/// Shows one.
struct Sent {
    config: Client,
    value: Current<Secret>,
}

impl BasicAuth {
    fn new(config: Config, id: &str, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let paths = match (&config.htpasswd, &config.client_auth) {
            (Some(source), _) => source.file.iter().cloned().collect(),
            (None, Some(client)) => client.username_file.iter().chain(&client.password_file).cloned().collect(),
            (None, None) => Vec::new(),
        };
        let contents = read(&paths)?;
        warn_of_open_modes(&paths);
        if config.allow_weak_hashes {
            tracing::warn!(extension = id, "`allow_weak_hashes`: whoever reads these hashes has the passwords");
        }
        let side = match &config.client_auth {
            None => {
                let users = Current::new(users_of(&config, &contents)?);
                let verifier = Verifier::new(Arc::clone(&clock));
                Side::Server(Arc::new(Server { config, users, verifier }))
            }
            Some(client) => {
                let value = Current::new(value_of(client, &contents)?);
                Side::Client(Arc::new(Sent { config: client.clone(), value }))
            }
        };
        Ok(BasicAuth { id: id.to_owned(), side, paths, contents, clock, watch: Mutex::new(None) })
    }
}

fn users_of(config: &Config, contents: &Contents) -> Result<Users, Error> {
    let mut hashes = std::collections::BTreeMap::new();
    for file in contents {
        let read = htpasswd::parse(file.expose(), config.allow_weak_hashes);
        hashes.extend(read.map_err(|what| Error::config(format!("htpasswd::file: {what}")))?);
    }
    if let Some(source) = &config.htpasswd {
        let read = htpasswd::parse(source.inline.expose(), config.allow_weak_hashes);
        hashes.extend(read.map_err(|what| Error::config(format!("htpasswd::inline: {what}")))?);
    }
    if hashes.is_empty() {
        return Err(Error::config("htpasswd: no users"));
    }
    Users::new(hashes, config)
}

/// The value of the header that exporters send.
fn value_of(client: &Client, contents: &Contents) -> Result<Secret, Error> {
    let mut contents = contents.iter().map(|text| text.expose().trim_end_matches(['\r', '\n']));
    let name = client.username_file.as_ref().and_then(|_| contents.next()).unwrap_or(&client.username);
    let password = client.password_file.as_ref().and_then(|_| contents.next()).unwrap_or(client.password.expose());
    if name.is_empty() || name.contains(':') {
        return Err(Error::config("client_auth: the user name must not be empty, or contain a colon"));
    }
    let pair = Secret::new([name, ":", password].concat());
    Ok(Secret::new(["Basic ", &STANDARD.encode(pair.expose())].concat()))
}

impl Side {
    fn take(&self, contents: &Contents) -> Result<(), Error> {
        match self {
            Side::Server(server) => server.users.set(users_of(&server.config, contents)?),
            Side::Client(sent) => sent.value.set(value_of(&sent.config, contents)?),
        }
        Ok(())
    }
}

impl Server {
    async fn verify(&self, request: AuthRequest<'_>) -> Result<Principal, Denied> {
        let value = single(request.headers, HEADER)?;
        let encoded = after_scheme(value, "Basic")?;
        let pair = STANDARD.decode(encoded.trim_end()).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.ok_or(Denied::Malformed)?;
        let (name, password) = pair.split_once(':').ok_or(Denied::Malformed)?;
        self.verifier.verify(self.users.get(), name, password.to_owned(), request.penalised).await
    }
}

impl Component for BasicAuth {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        if !self.paths.is_empty() {
            let side = self.side.clone();
            let take = move |contents: &Contents| side.take(contents);
            let watch =
                Watch::start(self.id.clone(), self.paths.clone(), self.contents.clone(), Arc::clone(&self.clock), take);
            *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Extension for BasicAuth {
    fn server_auth(&self) -> Option<Arc<dyn ServerAuth>> {
        match &self.side {
            Side::Server(server) => Some(Arc::clone(server) as Arc<dyn ServerAuth>),
            Side::Client(_) => None,
        }
    }

    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        match &self.side {
            Side::Server(_) => None,
            Side::Client(sent) => Some(Arc::clone(sent) as Arc<dyn ClientAuth>),
        }
    }
}

impl ServerAuth for Server {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Principal, Denied>> {
        Box::pin(self.verify(request))
    }

    fn challenge(&self) -> &str {
        "Basic realm=\"sluice\", charset=\"UTF-8\""
    }
}

impl ClientAuth for Sent {
    fn headers<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<Vec<(String, Secret)>, NoCredentials>> {
        let value = self.value.get();
        Box::pin(std::future::ready(Ok(vec![(HEADER.to_owned(), (*value).clone())])))
    }
}
