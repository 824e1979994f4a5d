//! Origins: where an item came from, so that it leaves as it came. Tenant and context, port, and the resource and scope
//! envelopes: all their bytes except the items, schema URLs and unknown fields included. Interned by content.

use std::sync::Arc;

use ahash::RandomState;
use sluice_pdata::Signal;
use sluice_pipeline::Context;
use sluice_pipeline::context::TaintedTraces;
use sluice_pipeline::stage::Port;

use super::index::HandleIndex;
use super::slab::{Entry, Slab};

/// Bytes of origins beyond which those go that nothing refers to.
const SPARE_BYTES: usize = 4 << 20;

/// What is around items, as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Envelopes<'a> {
    /// Fields of the request that are no resources.
    pub(crate) request: &'a [u8],
    /// Fields of the `ResourceSpans` or `ResourceLogs` that are no scopes.
    pub(crate) resource: &'a [u8],
    /// Fields of the `ScopeSpans` or `ScopeLogs` that are no items.
    pub(crate) scope: &'a [u8],
}

#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) context: u32,
    pub(crate) port: Port,
    pub(crate) signal: Signal,
    /// The three envelopes, one behind the other.
    bytes: Box<[u8]>,
    ends: [u32; 2],
    hash: u64,
    /// Items held that came from it.
    refs: u32,
    pub(crate) source: u32,
}

impl Default for Origin {
    fn default() -> Self {
        Origin {
            context: 0,
            port: Port(0),
            signal: Signal::Traces,
            bytes: Box::default(),
            ends: [0; 2],
            hash: 0,
            refs: 0,
            source: 0,
        }
    }
}

impl Entry for Origin {
    fn touch(&self) -> u32 {
        self.refs
    }
}

impl Origin {
    pub(crate) fn envelopes(&self) -> Envelopes<'_> {
        let [request, resource] = self.ends.map(|end| end as usize);
        Envelopes {
            request: &self.bytes[..request],
            resource: &self.bytes[request..resource],
            scope: &self.bytes[resource..],
        }
    }

    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Origin>()
    }
}

/// A context as far as batches are told apart by it, and how many origins have it.
struct Shared {
    context: Arc<Context>,
    tenant: u16,
    origins: u32,
}

/// The table.
pub(crate) struct Origins {
    hasher: RandomState,
    origins: Slab<Origin>,
    index: HandleIndex,
    contexts: Vec<Option<Shared>>,
    tenants: Vec<sluice_pipeline::context::Tenant>,
    bytes: usize,
    /// Of those with items held.
    used: usize,
}

impl Origins {
    pub(crate) fn new() -> Self {
        Origins {
            hasher: RandomState::new(),
            origins: Slab::default(),
            index: HandleIndex::default(),
            contexts: Vec::new(),
            tenants: vec![sluice_pipeline::context::Tenant::default()],
            bytes: 0,
            used: 0,
        }
    }

    /// The number of a tenant. There are as many as the configuration and the authenticators allow; beyond 65,535 items of new
    /// ones are not looked at (`None`).
    pub(crate) fn tenant(&mut self, tenant: &sluice_pipeline::context::Tenant) -> Option<u16> {
        let known = self.tenants.iter().position(|it| it == tenant);
        let at = known.unwrap_or_else(|| {
            self.tenants.push(tenant.clone());
            self.tenants.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// The number of a tenant that has been seen.
    pub(crate) fn known_tenant(&self, tenant: &sluice_pipeline::context::Tenant) -> Option<u16> {
        self.tenants.iter().position(|it| it == tenant).and_then(|at| u16::try_from(at).ok())
    }

    pub(crate) fn tenant_name(&self, tenant: u16) -> &str {
        self.tenants.get(usize::from(tenant)).map_or("", |tenant| tenant.name())
    }

    /// The number of a context, among those that are alike in all that anybody behind could look at; ports of peers are not.
    pub(crate) fn context(&mut self, context: &Arc<Context>, tenant: u16) -> u32 {
        let alike = |shared: &Shared| {
            Arc::ptr_eq(&shared.context, context) || {
                let known = &shared.context;
                shared.tenant == tenant
                    && known.metadata == context.metadata
                    && known.identity == context.identity
                    && known.receiver == context.receiver
                    && known.transport == context.transport
                    && known.peer.map(|peer| peer.ip()) == context.peer.map(|peer| peer.ip())
            }
        };
        if let Some(known) = self.contexts.iter().position(|it| it.as_ref().is_some_and(alike)) {
            return known as u32;
        }
        let mut context = Arc::clone(context);
        if !context.tainted.is_empty() {
            // What was found is removed from what leaves.
            context = Arc::new(Context { tainted: TaintedTraces::default(), ..Context::clone(&context) });
        }
        let shared = Some(Shared { context, tenant, origins: 0 });
        // Unused ones make room; they are few, because each client address is one.
        match self.contexts.iter().position(|it| it.as_ref().is_none_or(|it| it.origins == 0)) {
            Some(free) => {
                self.contexts[free] = shared;
                free as u32
            }
            None => {
                self.contexts.push(shared);
                self.contexts.len() as u32 - 1
            }
        }
    }

    pub(crate) fn context_of(&self, origin: &Origin) -> Option<&Arc<Context>> {
        self.contexts.get(origin.context as usize)?.as_ref().map(|shared| &shared.context)
    }

    /// The origin with these envelopes. It stays for as long as items refer to it, at least to the end of the call.
    pub(crate) fn intern(
        &mut self,
        context: u32,
        port: Port,
        signal: Signal,
        envelopes: Envelopes<'_>,
        source: u32,
    ) -> u32 {
        let hash = self.hasher.hash_one((context, port, signal as u8, envelopes));
        let same = |at: u32| {
            let known = self.origins.get(at);
            (known.context, known.port, known.signal) == (context, port, signal) && known.envelopes() == envelopes
        };
        if let Some(known) = self.index.find(hash, same) {
            return known;
        }
        let Envelopes { request, resource, scope } = envelopes;
        let origin = Origin {
            context,
            port,
            signal,
            bytes: [request, resource, scope].concat().into_boxed_slice(),
            ends: [request.len() as u32, (request.len() + resource.len()) as u32],
            hash,
            refs: 0,
            source,
        };
        self.bytes += origin.cost();
        if let Some(Some(shared)) = self.contexts.get_mut(context as usize) {
            shared.origins += 1;
        }
        let at = self.origins.insert(origin);
        let origins = &self.origins;
        self.index.insert(hash, at, |at| origins.get(at).hash);
        at
    }

    pub(crate) fn get(&self, origin: u32) -> &Origin {
        self.origins.get(origin)
    }

    /// The hash by which equal resources of a port are found.
    pub(crate) fn resource_hash(&self, origin: u32) -> u64 {
        let origin = self.origins.get(origin);
        let envelopes = origin.envelopes();
        self.hasher.hash_one((envelopes.request, envelopes.resource))
    }

    /// An item of it is held.
    pub(crate) fn hold(&mut self, origin: u32) {
        let origin = self.origins.get_mut(origin);
        origin.refs += 1;
        if origin.refs == 1 {
            self.used += origin.cost();
        }
    }

    /// An item that was held has been written out or dropped.
    pub(crate) fn release(&mut self, origin: u32) {
        let origin = self.origins.get_mut(origin);
        origin.refs = origin.refs.saturating_sub(1);
        if origin.refs == 0 {
            self.used -= origin.cost();
        }
    }

    /// Forgets those that nothing refers to, if they take much room. Between calls only: an item may be on its way out.
    pub(crate) fn sweep(&mut self) {
        if self.bytes - self.used.min(self.bytes) <= SPARE_BYTES {
            return;
        }
        for at in self.origins.handles() {
            let origin = self.origins.get(at);
            if origin.refs > 0 {
                continue;
            }
            let origin = self.origins.remove(at);
            self.index.remove(origin.hash, at);
            self.bytes -= origin.cost();
            if let Some(Some(shared)) = self.contexts.get_mut(origin.context as usize) {
                shared.origins -= 1;
            }
        }
    }

    /// Bytes of the envelopes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.index.bytes() + self.contexts.len() * size_of::<Context>()
    }
}
