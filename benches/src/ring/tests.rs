use super::{GRPC_PREFIX, Preparation, Ring};
use crate::encoding::Encoding;
use crate::payload::Shape;
use crate::scan::{Fields, Value, export_request, visit};
use crate::signal::Signal;
use crate::tracked::Key;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn ring(encoding: Encoding, tracked: Option<(u32, u32)>) -> Ring {
    let shape = Shape { signal: Signal::Traces, items: 10, drop_share: 0.0, tracked: tracked.is_some() };
    let trace_items = None;
    Ring::new(&shape, 2, Preparation { encoding, grpc: true, refresh: Duration::ZERO, tracked, trace_items })
}

fn message(encoding: Encoding, framed: &[u8]) -> Vec<u8> {
    let (prefix, body) = framed.split_at(GRPC_PREFIX);
    assert_eq!(prefix[0], u8::from(encoding != Encoding::None));
    assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, body.len());
    encoding.decompress(body).unwrap()
}

#[test]
fn timestamps_are_current_in_every_encoding() {
    for encoding in [Encoding::None, Encoding::Gzip, Encoding::Zstd] {
        let mut ring = ring(encoding, None);
        let held = ring.take().unwrap(); // still in flight when its place in the ring is patched again
        ring.take().unwrap();
        let again = ring.take().unwrap();
        assert_ne!(held.bytes.as_ptr(), again.bytes.as_ptr());
        let plain = message(encoding, &again.bytes);
        let request = ExportTraceServiceRequest::decode(plain.as_slice()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        for span in &request.resource_spans[0].scope_spans[0].spans {
            assert!(now.saturating_sub(span.end_time_unix_nano) < 5_000_000_000);
            assert!(span.start_time_unix_nano < span.end_time_unix_nano);
        }
    }
}

#[test]
fn tracked_items_are_numbered_through() {
    let mut ring = ring(Encoding::None, Some((7, 9)));
    let mut expected = 0;
    for _ in 0..5 {
        let outgoing = ring.take().unwrap();
        assert_eq!(outgoing.first, expected);
        visit(export_request(Signal::Traces), &message(Encoding::None, &outgoing.bytes), &mut |_, span| {
            let Ok(Some((1, Value::Bytes(id)))) = Fields(span).next() else { panic!("no trace id") };
            let key = Key::of_trace_id(id.try_into().unwrap());
            assert_eq!(key, Key { run: 7, client: 9, sequence: expected });
            expected += 1;
        })
        .unwrap();
    }
    assert_eq!(expected, 50);
}

#[test]
fn traces_come_in_several_requests_and_never_again() {
    let shape = Shape { signal: Signal::Traces, items: 10, drop_share: 0.0, tracked: false };
    let (encoding, refresh, trace_items) = (Encoding::None, Duration::from_secs(3600), Some(5));
    let preparation = Preparation { encoding, grpc: true, refresh, tracked: None, trace_items };
    let mut ring = Ring::new(&shape, 2, preparation);
    let mut spans: std::collections::HashMap<Vec<u8>, Vec<usize>> = std::collections::HashMap::new();
    for request in 0..40 {
        let message = message(Encoding::None, &ring.take().unwrap().bytes);
        let request_of = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest::decode;
        let decoded = request_of(&message[..]).unwrap();
        for span in &decoded.resource_spans[0].scope_spans[0].spans {
            spans.entry(span.trace_id.clone()).or_default().push(request);
        }
    }
    assert_eq!(spans.len(), 40 * 10 / 5);
    for requests in spans.values() {
        assert_eq!(requests.len(), 5);
        assert!(requests.iter().all(|request| request / 4 == requests[0] / 4));
        assert!(requests.iter().any(|request| *request != requests[0]));
    }
}
