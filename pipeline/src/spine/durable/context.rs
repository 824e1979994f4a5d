//! What of a batch's context survives on disk: tenant, receiver, transport and the request headers that somebody reads. Never
//! a credential, nor the peer's address (delivery §3.3).

use std::time::Duration;

use sluice_journal::CONTEXT_BYTES;

use crate::clock::{Clock, Monotonic, WallTime};
use crate::context::{Arrival, Context, Metadata, Tenant, Transport};
use crate::id::ComponentId;
use crate::outcome::Refusal;

/// First byte of every context: the layout behind it.
const VERSION: u8 = 1;
const TRANSPORTS: [Transport; 3] = [Transport::GRPC, Transport::HTTP, Transport::INTERNAL];

/// Encodes a context.
///
/// # Errors
/// [`Refusal::Headers`] if it is longer than a record's context may be.
pub(super) fn encode(context: &Context) -> Result<Vec<u8>, Refusal> {
    let mut out = vec![VERSION];
    let transport = TRANSPORTS.iter().position(|transport| *transport == context.transport).unwrap_or(2);
    out.push(transport as u8);
    put(&mut out, context.tenant.name())?;
    put(&mut out, context.receiver.as_str())?;
    for (key, value) in context.metadata.iter() {
        put(&mut out, key)?;
        put(&mut out, value)?;
    }
    if out.len() > CONTEXT_BYTES { Err(Refusal::Headers) } else { Ok(out) }
}

fn put(out: &mut Vec<u8>, text: &str) -> Result<(), Refusal> {
    let len = u16::try_from(text.len()).map_err(|_| Refusal::Headers)?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Decodes a context. `None` for a layout that this version does not know.
pub(super) fn decode(bytes: &[u8], arrival: Arrival) -> Option<Context> {
    let (&[version, transport], mut rest) = bytes.split_first_chunk::<2>()?;
    if version != VERSION {
        return None;
    }
    let (tenant, receiver) = (text(&mut rest)?, text(&mut rest)?);
    let mut metadata = Vec::new();
    while !rest.is_empty() {
        metadata.push((text(&mut rest)?.into(), text(&mut rest)?.into()));
    }
    let (kind, name) = receiver.split_once('/').unwrap_or((receiver, ""));
    Some(Context {
        tenant: Tenant::new(tenant),
        metadata: Metadata::restored(metadata),
        transport: TRANSPORTS.get(usize::from(transport)).copied().unwrap_or(Transport::INTERNAL),
        ..Context::internal(ComponentId::new(kind, name), arrival)
    })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (len, behind) = rest.split_first_chunk::<2>()?;
    let (text, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    *rest = behind;
    std::str::from_utf8(text).ok()
}

/// When a record came in, by the clock of this process. What is older than the process came at its start.
pub(super) fn arrival(ingest_ms: u64, clock: &dyn Clock) -> Arrival {
    let now = clock.arrival();
    let wall = WallTime(ingest_ms.saturating_mul(1_000_000));
    let age = Duration::from_nanos(now.wall.0.saturating_sub(wall.0));
    Arrival { monotonic: Monotonic(now.monotonic.0.saturating_sub(age)), wall }
}
