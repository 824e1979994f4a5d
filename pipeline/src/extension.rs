//! Extensions: what components share, and what only watches.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sluice_config::Secret;
use sluice_net::listen::Sockets;

use crate::component::Component;
use crate::context::{Context, Identity, Tenant};
use crate::id::ComponentId;
use crate::outcome::Refusal;
use crate::processor::MemoryLimit;
use crate::{BoxFuture, Error};

/// A part of the collector that carries no telemetry. What it offers to other components it returns here.
pub trait Extension: Component {
    /// Authenticates requests of servers that name it in `auth`.
    fn server_auth(&self) -> Option<Arc<dyn ServerAuth>> {
        None
    }

    /// Adds credentials to requests of clients that name it in `auth`.
    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        None
    }

    /// A directory for state that outlives the process (`file_storage`, `journal`).
    fn storage(&self) -> Option<&Path> {
        None
    }

    /// Where and how acknowledged data is kept on disk (`journal`, `file_storage`).
    fn journal(&self) -> Option<&JournalSettings> {
        None
    }

    /// A memory limit that holds for the whole collector.
    fn memory_limit(&self) -> Option<MemoryLimit> {
        None
    }

    /// Binds its listeners before [`Component::start`], taking over sockets that an extension offers which is about to end.
    fn bind<'a>(&'a self, _sockets: &'a mut Sockets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Offers its sockets to whoever listens there next.
    fn offer(&self, _sockets: &mut Sockets) {}

    /// The pipelines take data from now on.
    fn ready(&self) {}

    /// The collector is about to stop.
    fn not_ready(&self) {}
}

/// What is configured of the journal (delivery §1.1, §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalSettings {
    /// `None` for the default directory.
    pub directory: Option<PathBuf>,
    /// A directory around it that is not made if it is missing.
    pub must_exist: Option<PathBuf>,
    /// Most bytes on disk; `None` for 10 GiB, or half of the free space if that is less.
    pub max_size: Option<u64>,
    /// `None` for what fits `max_size`.
    pub segment_size: Option<u64>,
    /// Compress records.
    pub compress: bool,
    /// How long the backlog of an exporter that is gone is kept; `None` for 24 h.
    pub detach_grace: Option<Duration>,
}

/// Decides who may send, before the body is read (security §4.3).
pub trait ServerAuth: Send + Sync {
    /// Who it is, or why nobody is let in. Whoever calls it answers, counts and tells of it; nothing of a credential may get
    /// out of here.
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Principal, Denied>>;

    /// The value of `WWW-Authenticate` in a refusal (RFC 9110 section 11.6.1).
    fn challenge(&self) -> &str;
}

/// Who was authenticated, and what is granted (security §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    pub identity: Identity,
    /// The tenant that the credential is bound to; `None` for the one without a name.
    pub tenant: Option<Tenant>,
}

/// Why a request was not let in. The sender is told no more than that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credential, or an empty one.
    Missing,
    /// Several where one is allowed.
    Repeated,
    /// Another scheme, or not of its form.
    Malformed,
    /// Nobody's credential.
    Wrong,
    /// Too many credentials wait to be verified: whether this one is right was not found out.
    Busy,
}

impl Denied {
    /// For the audit log.
    pub const fn reason(self) -> &'static str {
        match self {
            Denied::Missing => "no credential",
            Denied::Repeated => "several credentials",
            Denied::Malformed => "malformed credential",
            Denied::Wrong => "wrong credential",
            Denied::Busy => "too many verifications",
        }
    }

    /// What the sender is told.
    pub const fn refusal(self) -> Refusal {
        match self {
            Denied::Busy => Refusal::Verifying,
            _ => Refusal::Unauthenticated,
        }
    }
}

/// What an authenticator may look at.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    pub peer: Option<SocketAddr>,
    pub headers: &'a dyn HeaderSource,
    /// Certificate chain of the client in DER, leaf first; empty without mutual TLS. Verified.
    pub certificates: &'a [&'a [u8]],
    /// Too many requests of this address failed lately: only what costs nothing is to be tried.
    pub penalised: bool,
}

/// Read access to request headers of whatever HTTP library.
pub trait HeaderSource: Send + Sync {
    /// All values of a header; the name in any case. Values that are not text count as the empty string.
    fn values(&self, name: &str) -> Vec<&str>;
}

/// Credentials for outgoing requests.
pub trait ClientAuth: Send + Sync {
    /// Headers to set on the next request; fetched and cached by the extension. `context` is where the data came from that is
    /// sent.
    fn headers<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<(String, Secret)>, NoCredentials>>;

    /// What of a batch's metadata the headers depend on, by key: batches that differ in it must not be sent together.
    fn metadata_keys(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why there are no headers for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCredentials {
    /// At present.
    #[error("{0}")]
    Now(String),
    /// For this data, ever.
    #[error("{0}")]
    ForThis(String),
}

/// The extensions of a configuration, by id. Clones share everything.
#[derive(Clone, Default)]
pub struct Extensions(Arc<BTreeMap<ComponentId, Arc<dyn Extension>>>);

impl Extensions {
    pub fn new(extensions: BTreeMap<ComponentId, Arc<dyn Extension>>) -> Self {
        Extensions(Arc::new(extensions))
    }

    pub fn get(&self, id: &ComponentId) -> Option<&Arc<dyn Extension>> {
        self.0.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ComponentId, &Arc<dyn Extension>)> {
        self.0.iter()
    }
}
