//! A running instance, asked by its admin API.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use sluice_net::http::{
    Answer, Client, ClientSettings, HeaderMap, HeaderName, HeaderValue, Method, Outgoing, Proxy, SendError, StatusCode,
    Uri, header, send_to_socket,
};

use super::Failure;
use super::report::{Action, Done, Letters, Queues, Refused, Which};
use crate::admin::{MARK, Token, encoded};
use crate::cli::InstanceArgs;
use crate::{FAILURE, UNREACHABLE, USAGE, state};

/// Longer than any handler takes.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest letter, as base64 in JSON.
const ANSWER: usize = 64 << 20;
/// Where a token may come from, so that it stands in no list of processes.
const TOKEN: &str = "SLUICE_ADMIN_TOKEN";

/// How it is reached.
pub enum Instance {
    Socket(PathBuf),
    Tcp(Box<Tcp>),
}

pub struct Tcp {
    client: Client,
    /// Without a slash at its end.
    base: String,
    token: Option<Token>,
}

impl Instance {
    /// The one that listens on a socket.
    pub fn on(socket: PathBuf) -> Self {
        Instance::Socket(socket)
    }

    /// The one at a URL.
    ///
    /// # Errors
    /// The URL is none, or would send the token in plain text over a network; the token cannot be read.
    pub fn at(url: &str, args: &InstanceArgs) -> Result<Self, Failure> {
        let usage = |text: &str| Failure::new(USAGE, format!("--url {url:?}: {text}"));
        let base = url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| usage("not a URL"))?;
        let (scheme, host) = match (uri.scheme_str(), uri.host()) {
            (Some(scheme @ ("http" | "https")), Some(host)) => (scheme, host),
            _ => return Err(usage("expected http://… or https://…")),
        };
        if uri.path_and_query().is_some_and(|behind| behind.as_str() != "/") {
            return Err(usage("expected only a host and a port"));
        }
        let bare: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let loopback = host.eq_ignore_ascii_case("localhost") || bare.is_some_and(|address| address.is_loopback());
        if scheme == "http" && !loopback {
            return Err(usage("beyond loopback it must be https, for it carries the token"));
        }
        sluice_net::tls::install_default();
        let settings = ClientSettings { max_response_bytes: ANSWER, proxy: Proxy::None, ..ClientSettings::default() };
        let client = Client::new(settings).map_err(|error| Failure::new(FAILURE, error.to_string()))?;
        let token = token(args, loopback)?;
        Ok(Instance::Tcp(Box::new(Tcp { client, base: base.to_owned(), token })))
    }

    pub async fn queues(&self) -> Result<Queues, Failure> {
        let mut all: Queues = self.ask(Method::GET, "/admin/v1/queues?limit=1000", Bytes::new()).await?;
        while all.queues.len() < all.total {
            let target = format!("/admin/v1/queues?limit=1000&cursor={}", all.queues.len());
            let more: Queues = self.ask(Method::GET, &target, Bytes::new()).await?;
            if more.queues.is_empty() {
                break;
            }
            all.queues.extend(more.queues);
        }
        Ok(all)
    }

    pub async fn dead(&self, id: &str, from: u64, limit: usize, bodies: bool) -> Result<Letters, Failure> {
        let id = encoded(id);
        let target = format!("/admin/v1/queues/{id}/dead?cursor={from}&limit={limit}&bodies={bodies}");
        self.ask(Method::GET, &target, Bytes::new()).await
    }

    pub async fn work(&self, id: &str, action: Action, which: &Which) -> Result<Done, Failure> {
        let target = format!("/admin/v1/queues/{}/{}", encoded(id), action.name());
        let body = serde_json::to_vec(which).map_err(|error| Failure::new(FAILURE, error.to_string()))?;
        self.ask(Method::POST, &target, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, target: &str, body: Bytes) -> Result<T, Failure> {
        let answer = self.send(method, target, body).await.map_err(|error| {
            let text = format!("{} does not answer: {error}", self.name());
            Failure::new(UNREACHABLE, text)
        })?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let strange =
            |error| Failure::new(FAILURE, format!("{}: an answer that is not understood: {error}", self.name()));
        serde_json::from_slice(&answer.body).map_err(strange)
    }

    async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<Answer, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(MARK), HeaderValue::from_static("sluice"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let uri = |text: String| text.parse::<Uri>().map_err(|error| SendError::Request(error.to_string()));
        match self {
            Instance::Socket(path) => {
                let uri = uri(target.to_owned())?;
                let outgoing = Outgoing { method, uri, headers, body, timeout: Some(TIMEOUT) };
                send_to_socket(path, outgoing, ANSWER).await
            }
            Instance::Tcp(tcp) => {
                if let Some(token) = &tcp.token {
                    let mut bearer = HeaderValue::try_from(token.bearer())
                        .map_err(|_| SendError::Request("the token cannot be sent".to_owned()))?;
                    bearer.set_sensitive(true);
                    headers.insert(header::AUTHORIZATION, bearer);
                }
                let uri = uri(format!("{}{target}", tcp.base))?;
                tcp.client.send(Outgoing { method, uri, headers, body, timeout: Some(TIMEOUT) }).await
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Instance::Socket(path) => path.display().to_string(),
            Instance::Tcp(tcp) => tcp.base.clone(),
        }
    }
}

/// The token: named, in the environment, or that of an instance on this machine.
fn token(args: &InstanceArgs, loopback: bool) -> Result<Option<Token>, Failure> {
    if let Some(path) = &args.token_file {
        return Ok(Some(Token::load(path)?));
    }
    if let Ok(text) = std::env::var(TOKEN) {
        let none = || Failure::new(USAGE, format!("{TOKEN} holds no token"));
        return Token::new(&text).map(Some).ok_or_else(none);
    }
    // Not for others.
    let places = if loopback { state::places(args.data_dir.as_deref()) } else { Vec::new() };
    Ok(places.iter().find_map(|place| Token::load(&state::token(&place.path)).ok()))
}

fn refused(answer: &Answer) -> Failure {
    let code = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => UNREACHABLE,
        _ => FAILURE,
    };
    let text = match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(Refused { error }) if error.help.is_empty() => error.message,
        Ok(Refused { error }) => format!("{}\n{}", error.message, error.help),
        Err(_) => format!("it answers with status {}", answer.status),
    };
    Failure::new(code, super::show::escaped(&text))
}
