//! What of a batch's context survives on disk: tenant, receiver, transport and the request headers that somebody reads. Never
//! a credential, nor the peer's address (delivery §3.3). And in which traces redaction found values to be removed from the rest of
//! them, never which (correlation §9).

use std::time::Duration;

use sluice_journal::CONTEXT_BYTES;

use crate::clock::{Clock, Monotonic, WallTime};
use crate::context::{Arrival, Context, Metadata, TaintedTraces, Tenant, Transport};
use crate::id::ComponentId;
use crate::outcome::Refusal;

/// First byte of every context: the layout behind it.
const VERSION: u8 = 1;
/// As [`VERSION`], with tainted traces in front of the texts: their number and their ids.
const TAINTED: u8 = 2;
/// In place of the number: too many to be named.
const ANY: u16 = u16::MAX;
const TRANSPORTS: [Transport; 3] = [Transport::GRPC, Transport::HTTP, Transport::INTERNAL];

/// Encodes a context.
///
/// # Errors
/// [`Refusal::Headers`] if it is longer than a record's context may be.
pub(super) fn encode(context: &Context) -> Result<Vec<u8>, Refusal> {
    if context.tainted.is_empty() {
        return encode_with(context, VERSION, &[]);
    }
    let traces = context.tainted.traces();
    let named = traces.and_then(|traces| {
        let number = u16::try_from(traces.len()).ok()?.to_le_bytes();
        encode_with(context, TAINTED, &[&number[..], traces.as_flattened()].concat()).ok()
    });
    named.map_or_else(|| encode_with(context, TAINTED, &ANY.to_le_bytes()), Ok)
}

fn encode_with(context: &Context, version: u8, tainted: &[u8]) -> Result<Vec<u8>, Refusal> {
    let transport = TRANSPORTS.iter().position(|transport| *transport == context.transport).unwrap_or(2);
    let mut out = vec![version, transport as u8];
    out.extend_from_slice(tainted);
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
    let tainted = match version {
        VERSION => TaintedTraces::default(),
        TAINTED => tainted(&mut rest)?,
        _ => return None,
    };
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
        tainted,
        ..Context::internal(ComponentId::new(kind, name), arrival)
    })
}

fn tainted(rest: &mut &[u8]) -> Option<TaintedTraces> {
    let (number, behind) = rest.split_first_chunk::<2>()?;
    *rest = behind;
    let number = u16::from_le_bytes(*number);
    if number == ANY {
        return Some(TaintedTraces::restored(None));
    }
    let (traces, behind) = rest.split_at_checked(usize::from(number) * 16)?;
    *rest = behind;
    Some(TaintedTraces::restored(Some(traces.as_chunks::<16>().0.iter().copied().collect())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tainted_traces_come_back_and_too_many_make_any_trace_one() {
        let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(5) };
        for (count, expected) in [(0, Some(0)), (1, Some(1)), (200, Some(200)), (300, None)] {
            let context =
                Context { tenant: Tenant::new("acme"), ..Context::internal(ComponentId::new("otlp", ""), arrival) };
            (0..count).for_each(|n: u128| context.tainted.add((n + 1).to_be_bytes()));
            let bytes = encode(&context).unwrap();
            assert!(bytes.len() <= CONTEXT_BYTES);
            let back = decode(&bytes, arrival).unwrap();
            assert_eq!((back.tenant.name(), back.tainted.is_empty()), ("acme", count == 0));
            assert_eq!(back.tainted.traces().map(|traces| traces.len()), expected);
            assert_eq!(back.clone().tainted.traces(), back.tainted.traces());
            (0..bytes.len()).for_each(|cut| drop(decode(&bytes[..cut], arrival)));
        }
    }
}
