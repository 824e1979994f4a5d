//! Extensions: what components share, and what only watches.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sluice_config::Secret;

use crate::BoxFuture;
use crate::component::Component;
use crate::context::Identity;
use crate::id::ComponentId;
use crate::outcome::Refusal;
use crate::processor::MemoryLimit;

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
    /// Either who it is, or [`Refusal::Unauthenticated`] or [`Refusal::PermissionDenied`].
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Identity, Refusal>>;
}

/// What an authenticator may look at.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    pub peer: Option<SocketAddr>,
    pub headers: &'a dyn HeaderSource,
    /// Certificate chain of the client in DER, leaf first; empty without mutual TLS. Verified.
    pub certificates: &'a [&'a [u8]],
}

/// Read access to request headers of whatever HTTP library.
pub trait HeaderSource: Send + Sync {
    /// All values of a header; the name in any case. Values that are not text count as the empty string.
    fn values(&self, name: &str) -> Vec<&str>;
}

/// Credentials for outgoing requests.
pub trait ClientAuth: Send + Sync {
    /// Headers to set on the next request; fetched and cached by the extension.
    fn headers(&self) -> BoxFuture<'_, Result<Vec<(String, Secret)>, String>>;
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
