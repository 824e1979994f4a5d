//! The admin API: health, the ledger, queues and dead letters, reload (experience §11).
//!
//! It listens on a unix socket in the state directory and on loopback, from before the journal is opened until after the last
//! cursor is saved. It looks at the instance through [`Live`], and never keeps anything that a reload removes.

mod access;
mod answer;
mod health;
mod ledger;
mod queues;
mod routes;
mod service;
mod token;

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sluice_net::http::Server as HttpServer;
use sluice_net::{Bind, Listener, ListenerLimits, ListenerSettings, Server};
use tokio::sync::mpsc;

pub use access::MARK;
pub use routes::encoded;
pub use token::Token;

use crate::failed_start::FailedStart;
use crate::graph::Surroundings;
use crate::live::Live;
use crate::reload::Ask;
use crate::state;
use access::Gate;
use health::Health;
use service::{Api, Service};

/// Where it listens unless told otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);
const CONNECTIONS: usize = 32;
/// Requests in flight have this long at the end.
const GRACE: Duration = Duration::from_millis(500);

/// Whether and where to listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// On the default port, if it is free.
    #[default]
    Default,
    Chosen(SocketAddr),
    /// Nowhere, the socket included.
    Off,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Address::Off);
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        let address: SocketAddr =
            numeric.parse().map_err(|_| format!("{text:?} is neither `off` nor an address such as {DEFAULT}"))?;
        if address.ip().is_loopback() {
            Ok(Address::Chosen(address))
        } else {
            Err("beyond loopback it needs TLS and authentication, which it does not have yet".to_owned())
        }
    }
}

/// The API at work.
#[derive(Default)]
pub struct Admin {
    servers: Vec<Server>,
}

impl Admin {
    /// Listens. What is not there without having been asked for is a warning.
    ///
    /// # Errors
    /// An address that was asked for cannot be had.
    pub async fn start(
        address: Address,
        data_dir: Option<&Path>,
        around: &Surroundings,
        live: &Live,
        reloads: mpsc::Sender<Ask>,
    ) -> anyhow::Result<Self> {
        if address == Address::Off {
            return Ok(Admin::default());
        }
        let directory = match state::open(data_dir) {
            Ok(directory) => Some(directory),
            Err(error) => {
                tracing::info!(cause = %format!("{error:#}"), "no state directory: no admin socket and no admin token");
                None
            }
        };
        let token = directory.as_deref().and_then(|directory| warned(Token::load_or_make(&state::token(directory))));
        let api = Arc::new(Api {
            gate: Gate { token, uid: rustix::process::geteuid().as_raw() },
            live: live.clone(),
            health: Health::new(live.clone(), Arc::clone(&around.clock)),
            telemetry: around.telemetry.clone(),
            ledger: around.ledger.clone(),
            memory: around.memory.clone(),
            reloads,
        });
        let socket = match &directory {
            Some(directory) => warned(on_socket(&state::socket(directory)).await),
            None => None,
        };
        let tcp = match address {
            Address::Chosen(address) => Some(on_tcp(address).await.context("--admin")?),
            _ => warned(on_tcp(DEFAULT).await),
        };
        let listeners = socket.into_iter().chain(tcp);
        let servers = listeners.map(|listener| listener.serve(HttpServer::new(Arc::new(Service(Arc::clone(&api))))));
        Ok(Admin { servers: servers.collect() })
    }

    /// Ends it.
    pub async fn stop(self) {
        for server in self.servers {
            server.shutdown(GRACE).await;
        }
    }
}

/// What is worth a warning and no more.
fn warned<T>(tried: anyhow::Result<T>) -> Option<T> {
    tried.inspect_err(|error| tracing::warn!(cause = %format!("{error:#}"), "the admin API goes on without")).ok()
}

async fn on_socket(path: &Path) -> anyhow::Result<Listener> {
    let listener = Listener::bind(settings(Bind::Unix(path.to_owned()))).await?;
    // Whoever was quicker is still asked who he is.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| path.display().to_string())?;
    tracing::info!(path = %path.display(), "admin API on its socket");
    Ok(listener)
}

async fn on_tcp(address: SocketAddr) -> anyhow::Result<Listener> {
    let listener = Listener::bind(settings(Bind::Tcp(address.to_string())))
        .await
        .map_err(|error| FailedStart::of(error.to_string(), &error))?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %address, "admin API");
    Ok(listener)
}

fn settings(bind: Bind) -> ListenerSettings {
    let limits = ListenerLimits {
        connections: CONNECTIONS,
        connections_per_ip: CONNECTIONS,
        streams: CONNECTIONS as u32,
        // Requests are small.
        frame_bytes: 16 << 10,
        stream_window: 64 << 10,
        connection_window: 64 << 10,
        ..ListenerLimits::default()
    };
    ListenerSettings { bind, limits, ..ListenerSettings::tcp("") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert_eq!("off".parse(), Ok(Address::Off));
        assert_eq!("localhost:1".parse(), Ok(Address::Chosen("127.0.0.1:1".parse().unwrap())));
        assert_eq!("[::1]:0".parse(), Ok(Address::Chosen("[::1]:0".parse().unwrap())));
        for refused in ["0.0.0.0:7070", "10.0.0.1:7070", "[::]:7070"] {
            assert!(refused.parse::<Address>().unwrap_err().contains("TLS"), "{refused}");
        }
        for refused in ["", "7070", "example.com:7070", "localhost:x", "127.0.0.1"] {
            assert!(refused.parse::<Address>().unwrap_err().contains("neither"), "{refused}");
        }
    }
}
