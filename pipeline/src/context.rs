//! Where a batch came from. The `C` of every step's context.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use smallvec::SmallVec;

use crate::clock::{Monotonic, WallTime};
use crate::id::ComponentId;

/// What is known about the request that brought a batch. Shared by all batches cut from it.
#[derive(Clone, Debug)]
pub struct Context {
    /// Address of the connection's other end; `None` for what was not received over IP.
    pub peer: Option<SocketAddr>,
    /// Who authenticated; `None` without authentication.
    pub identity: Option<Identity>,
    pub tenant: Tenant,
    pub metadata: Metadata,
    pub arrival: Arrival,
    /// When the sender stops waiting for an answer, if it said so.
    pub deadline: Option<Monotonic>,
    pub receiver: ComponentId,
    pub transport: Transport,
    pub tainted: TaintedTraces,
}

impl Context {
    /// The context of data that the collector made itself or read without a request.
    pub fn internal(receiver: ComponentId, arrival: Arrival) -> Self {
        Context {
            peer: None,
            identity: None,
            tenant: Tenant::default(),
            metadata: Metadata::default(),
            arrival,
            deadline: None,
            receiver,
            transport: Transport::INTERNAL,
            tainted: TaintedTraces::default(),
        }
    }
}

/// Traces of a request in which redaction found values to be removed from the rest of them (correlation §9): which traces, never
/// which values. They are kept with the record, so that after a crash nobody takes such a trace for clean.
#[derive(Debug, Default)]
pub struct TaintedTraces(OnceLock<Mutex<Tainted>>);

#[derive(Clone, Debug, Default)]
struct Tainted {
    traces: BTreeSet<[u8; 16]>,
    /// There were more than anybody could keep: any trace of the request may be one.
    any: bool,
}

impl TaintedTraces {
    /// Those that were read from a record; `None` if they were too many.
    pub(crate) fn restored(traces: Option<BTreeSet<[u8; 16]>>) -> Self {
        let known = Tainted { any: traces.is_none(), traces: traces.unwrap_or_default() };
        TaintedTraces(OnceLock::from(Mutex::new(known)))
    }

    /// Something was found in a trace.
    pub fn add(&self, trace: [u8; 16]) {
        lock(self.0.get_or_init(Mutex::default)).traces.insert(trace);
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    /// The traces; `None` if it may be any of the request.
    pub fn traces(&self) -> Option<Vec<[u8; 16]>> {
        let Some(known) = self.0.get() else { return Some(Vec::new()) };
        let known = lock(known);
        (!known.any).then(|| known.traces.iter().copied().collect())
    }
}

impl Clone for TaintedTraces {
    fn clone(&self) -> Self {
        TaintedTraces(self.0.get().map_or_else(OnceLock::new, |known| OnceLock::from(Mutex::new(lock(known).clone()))))
    }
}

fn lock(known: &Mutex<Tainted>) -> MutexGuard<'_, Tainted> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a request was complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// For timers and ages.
    pub monotonic: Monotonic,
    /// For timestamps.
    pub wall: WallTime,
}

/// The `transport` label of receiver metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transport(pub &'static str);

impl Transport {
    pub const GRPC: Transport = Transport("grpc");
    pub const HTTP: Transport = Transport("http");
    /// Made here: scrapes, host metrics, stages.
    pub const INTERNAL: Transport = Transport("internal");
}

/// Who sent a request, as an authenticator established (security §4.3). Never holds a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The authenticated subject.
    pub subject: Arc<str>,
    /// `write:traces`, `tenant:any`, `admin:read` …
    pub scopes: Vec<Arc<str>>,
    /// Further facts under upstream's names, `auth.claims.<name>` and the like.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

impl Identity {
    /// Whether the scope was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| &**granted == scope)
    }

    /// A fact by its name, with or without `auth.` in front; `subject` where no fact has that name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let bare = |name: &str| name.strip_prefix("auth.").unwrap_or(name).to_ascii_lowercase();
        let wanted = bare(name);
        let fact = self.attributes.iter().find(|(known, _)| bare(known) == wanted).map(|(_, value)| &**value);
        fact.or_else(|| (wanted == "subject" && !self.subject.is_empty()).then_some(&*self.subject))
    }
}

/// Whose data this is. The empty name is the one tenant of a collector without tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    pub fn new(name: &str) -> Self {
        Tenant(name.into())
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

/// What stands in front of the name of an identity's attribute where it is kept beside headers. No header's name has a colon, so
/// no sender can pass one off.
const OF_IDENTITY: &str = "auth:";

/// The metadata key of an attribute of the sender's identity ([`Identity::attribute`]).
pub fn identity_key(name: &str) -> String {
    format!("{OF_IDENTITY}{}", name.strip_prefix("auth.").unwrap_or(name).to_ascii_lowercase())
}

/// Whether a metadata key is that of an attribute of the sender's identity, and not of a header.
pub fn is_identity_key(key: &str) -> bool {
    key.starts_with(OF_IDENTITY)
}

/// Request headers, and attributes of the sender's identity ([`identity_key`]), that some configured component reads, lower-case.
/// Nothing else of a request's headers is kept, and never a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata(SmallVec<[(Arc<str>, Arc<str>); 2]>);

impl Metadata {
    /// Keeps the headers whose lower-case name is in `wanted`. Repeated headers are kept in order.
    pub fn collect<'h>(wanted: &MetadataKeys, headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Self {
        if wanted.is_empty() {
            return Self::default();
        }
        let mut kept: SmallVec<[(Arc<str>, Arc<str>); 2]> = headers
            .into_iter()
            .filter_map(|(name, value)| wanted.find(name).map(|key| (Arc::clone(key), value.into())))
            .collect();
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        Metadata(kept)
    }

    /// What is kept of a request: `headers` that are wanted, and wanted attributes of who sent it.
    pub fn of_request<'h>(
        wanted: &MetadataKeys,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        identity: Option<&Identity>,
    ) -> Self {
        let mut metadata = Metadata::collect(wanted, headers);
        if let Some(identity) = identity {
            let facts = wanted.0.iter().filter_map(|key| {
                let value = identity.attribute(key.strip_prefix(OF_IDENTITY)?)?;
                Some((Arc::clone(key), Arc::from(value)))
            });
            metadata.0.extend(facts);
            metadata.0.sort_by(|a, b| a.0.cmp(&b.0));
        }
        metadata
    }

    /// Metadata as [`Metadata::iter`] gave it, from wherever it was kept.
    pub(crate) fn restored(pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        Metadata(pairs.into())
    }

    /// All values of a key, in the order they came. The key is lower-case.
    pub fn get<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The metadata keys that components of this configuration read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataKeys(Arc<[Arc<str>]>);

impl MetadataKeys {
    /// The union of what components ask for. Case is folded. `authorization`, `proxy-authorization` and `cookie` are left
    /// out whoever asks.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let mut keys: Vec<Arc<str>> = keys
            .into_iter()
            .map(|key| Arc::from(key.to_ascii_lowercase()))
            .filter(|key: &Arc<str>| !matches!(&**key, "authorization" | "proxy-authorization" | "cookie"))
            .collect();
        keys.sort();
        keys.dedup();
        MetadataKeys(keys.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Arc<str>> {
        self.0.iter().find(|key| key.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_somebody_reads_are_kept() {
        let keys = MetadataKeys::new(["X-Scope-OrgID", "x-team", "Authorization"]);
        let headers =
            [("x-scope-orgid", "a"), ("Authorization", "Bearer s3cret"), ("X-TEAM", "b"), ("x-scope-orgid", "c")];
        let metadata = Metadata::collect(&keys, headers);
        assert_eq!(
            metadata.iter().collect::<Vec<_>>(),
            [("x-scope-orgid", "a"), ("x-scope-orgid", "c"), ("x-team", "b")]
        );
        assert_eq!(metadata.get("x-scope-orgid").collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn attributes_of_the_sender_are_kept_where_no_header_can_stand() {
        let keys = MetadataKeys::new([identity_key("auth.claims.Team").as_str(), &identity_key("subject")]);
        let identity = Identity {
            subject: "joe".into(),
            scopes: Vec::new(),
            attributes: vec![("auth.claims.team".into(), "blue".into()), ("other".into(), "x".into())],
        };
        let kept = Metadata::of_request(&keys, [], Some(&identity));
        assert_eq!(kept.iter().collect::<Vec<_>>(), [("auth:claims.team", "blue"), ("auth:subject", "joe")]);
        assert!(Metadata::of_request(&keys, [], None).is_empty());
    }
}
