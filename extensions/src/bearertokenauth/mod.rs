//! Extension `bearertokenauth`: senders show a token, and exporters do (security §4.2).
//!
//! What a sender shows is compared as a digest, with all that are known, in constant time. Files are read again when they
//! change.

mod config;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_config::Secret;
use sluice_pipeline::clock::Clock;
use sluice_pipeline::component::{Component, Environment, Stability};
use sluice_pipeline::extension::{AuthRequest, ClientAuth, Denied, Extension, NoCredentials, Principal, ServerAuth};
use sluice_pipeline::factory::{Extensions, Factory, Meta};
use sluice_pipeline::{BoxFuture, Context, Error};

pub use config::Config;
use tokens::Tokens;

use crate::credential::{Current, after_scheme, digest, find, single};
use crate::watch::{Contents, Watch, read, warn_of_open_modes};

/// Makes `bearertokenauth` extensions.
pub struct BearerTokenAuthFactory;

impl Factory<Extensions> for BearerTokenAuthFactory {
    type Config = Config;

    fn meta(&self) -> Meta {
        Meta::new("bearertokenauth", Stability::Alpha)
    }

    fn build(&self, config: &Config, environment: Environment) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(BearerTokenAuth::new(config.clone(), environment.id.as_str(), environment.clock)?))
    }
}

/// The extension.
struct BearerTokenAuth {
    bearer: Arc<Bearer>,
    paths: Vec<PathBuf>,
    /// As first read.
    contents: Contents,
    clock: Arc<dyn Clock>,
    watch: Mutex<Option<Watch>>,
}

/// Verifies and shows tokens.
struct Bearer {
    config: Config,
    id: String,
    tokens: Current<Tokens>,
}

impl BearerTokenAuth {
    fn new(config: Config, id: &str, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let paths: Vec<PathBuf> = config.filename.iter().chain(&config.token_hashes_file).cloned().collect();
        let contents = read(&paths)?;
        warn_of_open_modes(&paths);
        let tokens = tokens_of(&config, id, &contents)?;
        let bearer = Arc::new(Bearer { config, id: id.to_owned(), tokens: Current::new(tokens) });
        Ok(BearerTokenAuth { bearer, paths, contents, clock, watch: Mutex::new(None) })
    }
}

fn tokens_of(config: &Config, id: &str, contents: &Contents) -> Result<Tokens, Error> {
    let mut contents = contents.iter();
    let file = config.filename.as_ref().and_then(|_| contents.next());
    let hashes = config.token_hashes_file.as_ref().and_then(|_| contents.next());
    Tokens::new(config, id, file, hashes)
}

impl Bearer {
    fn take(&self, contents: &Contents) -> Result<(), Error> {
        self.tokens.set(tokens_of(&self.config, &self.id, contents)?);
        Ok(())
    }

    fn verify(&self, request: AuthRequest<'_>) -> Result<Principal, Denied> {
        let value = single(request.headers, &self.config.header)?;
        let token = after_scheme(value, &self.config.scheme)?;
        find(&self.tokens.get().known, &digest(token)).cloned().ok_or(Denied::Wrong)
    }
}

impl Component for BearerTokenAuth {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        if !self.paths.is_empty() {
            let bearer = Arc::clone(&self.bearer);
            let take = move |contents: &Contents| bearer.take(contents);
            let id = self.bearer.id.clone();
            let watch = Watch::start(id, self.paths.clone(), self.contents.clone(), Arc::clone(&self.clock), take);
            *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Extension for BearerTokenAuth {
    fn server_auth(&self) -> Option<Arc<dyn ServerAuth>> {
        Some(Arc::clone(&self.bearer) as Arc<dyn ServerAuth>)
    }

    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        // Digests alone are of no use to an exporter.
        self.bearer.tokens.get().sent.as_ref()?;
        Some(Arc::clone(&self.bearer) as Arc<dyn ClientAuth>)
    }
}

impl ServerAuth for Bearer {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Principal, Denied>> {
        Box::pin(std::future::ready(self.verify(request)))
    }

    fn challenge(&self) -> &str {
        if self.config.scheme.is_empty() { "Bearer" } else { &self.config.scheme }
    }
}

impl ClientAuth for Bearer {
    fn headers<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<Vec<(String, Secret)>, NoCredentials>> {
        let sent = self.tokens.get().sent.clone();
        let headers = sent.map(|value| vec![(self.config.header.clone(), value)]);
        Box::pin(std::future::ready(headers.ok_or_else(|| NoCredentials::Now("no token".to_owned()))))
    }
}
