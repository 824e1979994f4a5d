//! Who may send: decided before the body is read (security §4.3).

mod query;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sluice_net::http::HeaderMap;
use sluice_net::listen::{ConnectionInfo, Peer, RequestHead};
use sluice_net::tls::Names;
use sluice_pipeline::blocks::{Auth, Middleware};
use sluice_pipeline::clock::{Clock, Monotonic};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Identity, Tenant, Transport};
use sluice_pipeline::extension::{AuthRequest, Denied, HeaderSource, Principal, ServerAuth};
use sluice_pipeline::{ComponentId, Error, Refusal, Signal};
use std::sync::Arc;

/// The header that names a tenant; believed from who has the scope `tenant:any`.
const TENANT_HEADER: &str = "x-scope-orgid";
/// Longest name of a tenant.
const TENANT_BYTES: usize = 150;
/// Failures that an address may have at once, and each second.
const BURST: f64 = 50.0;
const RATE: f64 = 10.0;
/// Addresses that are remembered.
const ADDRESSES: usize = 10_000;

/// The server authenticator that `auth` names (collector-compat §2.6).
pub(crate) fn server_auth(
    written: Option<&Auth>,
    environment: &Environment,
) -> Result<Option<Arc<dyn ServerAuth>>, Error> {
    let Some(auth) = written else { return Ok(None) };
    let name = &auth.authenticator;
    let Some(extension) = environment.extensions.get(&ComponentId::from(name.as_str())) else {
        return Err(Error::config(format!("failed to resolve authenticator {name:?}: authenticator not found")));
    };
    match extension.server_auth() {
        Some(auth) => Ok(Some(auth)),
        None => Err(Error::config(format!("{name:?}: requested authenticator is not a server authenticator"))),
    }
}

/// Whether there is what `middlewares` name (collector-compat §4.1): memory limits, which hold for all listeners.
pub(crate) fn check_middlewares(written: &[Middleware], environment: &Environment) -> Result<(), Error> {
    for Middleware { id } in written {
        let Some(extension) = environment.extensions.get(&ComponentId::from(id.as_str())) else {
            return Err(Error::config(format!("failed to resolve middleware {id:?}: middleware not found")));
        };
        if extension.memory_limit().is_none() {
            return Err(Error::config(format!("{id:?}: requested extension is not a middleware")));
        }
    }
    Ok(())
}

/// Proof that a request was let in: only a [`Gate`] makes it, and nothing is taken without (security A6).
pub(crate) struct Admitted {
    identity: Option<Identity>,
    tenant: Tenant,
}

impl Admitted {
    /// Who it is, and whose data it brings.
    pub(crate) fn into_parts(self) -> (Option<Identity>, Tenant) {
        (self.identity, self.tenant)
    }
}

/// One listener's.
pub(crate) struct Gate {
    auth: Option<Arc<dyn ServerAuth>>,
    /// Parameters of the query that an authenticator reads as if they were headers (`auth::request_params`).
    params: Vec<String>,
    receiver: ComponentId,
    transport: Transport,
    clock: Arc<dyn Clock>,
    penalties: Mutex<HashMap<Option<IpAddr>, Bucket>>,
    audit: Mutex<Audit>,
}

impl Gate {
    /// Lets everybody in without an authenticator.
    pub(crate) fn new(
        auth: Option<Arc<dyn ServerAuth>>,
        receiver: ComponentId,
        transport: Transport,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Gate {
            auth,
            params: Vec::new(),
            receiver,
            transport,
            clock,
            penalties: Mutex::default(),
            audit: Mutex::default(),
        }
    }

    /// The same, with parameters of the query that count as headers.
    pub(crate) fn with_params(self, params: &[String]) -> Self {
        Gate { params: params.to_vec(), ..self }
    }

    /// The value of `WWW-Authenticate`.
    pub(crate) fn challenge(&self) -> Option<&str> {
        self.auth.as_deref().map(ServerAuth::challenge)
    }

    /// Lets a request in, or says what its sender is told. Who fails too often loses its connection.
    pub(crate) async fn admit(&self, signal: Signal, head: &RequestHead) -> Result<Admitted, Refusal> {
        let connection = &head.connection;
        let Some(auth) = &self.auth else {
            return Ok(Admitted { identity: of_certificate(connection), tenant: Tenant::default() });
        };
        let address = address(&connection.peer);
        let query = if self.params.is_empty() { None } else { head.uri.query() };
        let headers = Headers { headers: &head.headers, params: query::named(query.unwrap_or_default(), &self.params) };
        let certificates: Vec<&[u8]> = connection.client_certificates.iter().map(AsRef::as_ref).collect();
        let request = AuthRequest {
            peer: match connection.peer {
                Peer::Ip(peer) => Some(peer),
                Peer::Unix => None,
            },
            headers: &headers,
            certificates: &certificates,
            penalised: self.is_penalised(address),
        };
        // Whatever an authenticator reads: who sends two credentials wants one to be overlooked.
        let authenticated = match headers.values("authorization").get(1) {
            Some(_) => Err(Denied::Repeated),
            None => auth.authenticate(request).await,
        };
        match authenticated {
            Ok(principal) => self.allow(principal, signal, head),
            Err(denied) => {
                if denied != Denied::Busy {
                    self.failed(address, denied.reason(), connection);
                }
                Err(denied.refusal())
            }
        }
    }

    fn allow(&self, principal: Principal, signal: Signal, head: &RequestHead) -> Result<Admitted, Refusal> {
        let Principal { identity, tenant } = principal;
        let granted = |scope: &str| identity.has_scope(scope);
        if !granted(write_scope(signal)) {
            self.tell("missing scope", &head.connection);
            return Err(Refusal::PermissionDenied);
        }
        let named = if granted("tenant:any") { named_tenant(&head.headers)? } else { None };
        Ok(Admitted { identity: Some(identity), tenant: named.or(tenant).unwrap_or_default() })
    }

    fn is_penalised(&self, address: Option<IpAddr>) -> bool {
        let penalties = self.penalties.lock().unwrap_or_else(PoisonError::into_inner);
        penalties.get(&address).is_some_and(|bucket| bucket.at(self.clock.now()) < 1.0)
    }

    fn failed(&self, address: Option<IpAddr>, reason: &'static str, connection: &ConnectionInfo) {
        let now = self.clock.now();
        let mut penalties = self.penalties.lock().unwrap_or_else(PoisonError::into_inner);
        if penalties.len() >= ADDRESSES && !penalties.contains_key(&address) {
            penalties.retain(|_, bucket| bucket.at(now) < BURST);
            if penalties.len() >= ADDRESSES {
                // Somebody's failures are forgotten, rather than that the table grows.
                let first = penalties.keys().next().copied();
                first.and_then(|first| penalties.remove(&first));
            }
        }
        let bucket = penalties.entry(address).or_insert(Bucket { left: BURST, since: now });
        let exhausted = !bucket.take(now);
        drop(penalties);
        if exhausted {
            connection.ending.begin();
        }
        self.tell(reason, connection);
    }

    /// One line a second at most; how many were left out is in the next.
    fn tell(&self, reason: &'static str, connection: &ConnectionInfo) {
        let now = self.clock.now();
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        if audit.last.is_some_and(|last| now.since(last) < Duration::from_secs(1)) {
            audit.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut audit.left_out);
        audit.last = Some(now);
        drop(audit);
        let (receiver, transport, peer) = (self.receiver.as_str(), self.transport.0, &connection.peer);
        tracing::warn!(receiver, transport, %peer, reason, left_out, "authentication failed");
    }
}

/// When the last line was written, and how many were not since.
#[derive(Default)]
struct Audit {
    last: Option<Monotonic>,
    left_out: u64,
}

/// Failures that are still allowed.
#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    since: Monotonic,
}

impl Bucket {
    fn at(&self, now: Monotonic) -> f64 {
        (self.left + now.since(self.since).as_secs_f64() * RATE).min(BURST)
    }

    /// Whether there was one left.
    fn take(&mut self, now: Monotonic) -> bool {
        let left = self.at(now);
        let is_allowed = left >= 1.0;
        *self = Bucket { left: if is_allowed { left - 1.0 } else { left }, since: now };
        is_allowed
    }
}

/// What one sender can have only one of: an address, or an IPv6 network of 64 bits.
fn address(peer: &Peer) -> Option<IpAddr> {
    match peer.ip()?.to_canonical() {
        IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))),
        v4 => Some(v4),
    }
}

/// Who a verified client certificate was given to: its SPIFFE id, else its first name.
fn of_certificate(connection: &ConnectionInfo) -> Option<Identity> {
    let names = Names::of(connection.client_certificates.first()?);
    let subject =
        names.spiffe_id().or(names.dns.first().map(String::as_str)).or(names.uris.first().map(String::as_str));
    let sans = names.dns.iter().map(|name| ("tls.client.san.dns", name));
    let sans = sans.chain(names.uris.iter().map(|name| ("tls.client.san.uri", name)));
    Some(Identity {
        subject: subject.unwrap_or_default().into(),
        scopes: Signal::ALL.map(|signal| write_scope(signal).into()).to_vec(),
        attributes: sans.map(|(key, name)| (key.into(), name.as_str().into())).collect(),
    })
}

const fn write_scope(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "write:traces",
        Signal::Metrics => "write:metrics",
        Signal::Logs => "write:logs",
    }
}

/// The tenant that the header names; a name that could be taken for something else is refused.
fn named_tenant(headers: &HeaderMap) -> Result<Option<Tenant>, Refusal> {
    let mut values = headers.get_all(TENANT_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let name = value.to_str().ok().filter(|name| is_tenant(name)).filter(|_| values.next().is_none());
    name.map(|name| Some(Tenant::new(name))).ok_or(Refusal::PermissionDenied)
}

fn is_tenant(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    !name.is_empty() && name.len() <= TENANT_BYTES && name != "." && name != ".." && name.bytes().all(allowed)
}

/// What an authenticator reads. A header and a parameter of one name are two credentials.
struct Headers<'h> {
    headers: &'h HeaderMap,
    params: Vec<(&'h str, String)>,
}

impl HeaderSource for Headers<'_> {
    fn values(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        let params = self.params.iter().filter(|(param, _)| param.eq_ignore_ascii_case(name));
        headers.chain(params.map(|(_, value)| value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests;
