use sluice_pdata::wire::{put_fixed64, put_len, put_message, put_varint_field};

use super::text::render;
use super::*;
use sluice_pipeline::Signal;

fn request() -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |resource| {
            put_message(resource, 1, |pair| {
                put_len(pair, 1, b"service.name");
                put_message(pair, 2, |value| put_len(value, 1, b"shop\x1b[31m"));
            });
        });
        put_message(out, 2, |scope| {
            put_message(scope, 2, |record| {
                put_fixed64(record, 1, 1_700_000_000_123_000_000);
                put_varint_field(record, 2, 10);
                put_message(record, 5, |body| put_len(body, 1, b"hello"));
                put_len(record, 9, &[1; 16]);
            });
        });
    });
    out
}

#[test]
fn a_log_record_is_shown_in_upstreams_layout_with_control_characters_escaped() {
    let shown = render(Signal::Logs, &request(), Verbosity::Detailed).unwrap();
    assert_eq!(shown.summary, "Logs\t{\"resource logs\": 1, \"log records\": 1}");
    let expected = "ResourceLog #0
Resource SchemaURL: 
Resource attributes:
     -> service.name: Str(shop\\x1b[31m)
ScopeLogs #0
ScopeLogs SchemaURL: 
InstrumentationScope  
LogRecord #0
ObservedTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 2023-11-14 22:13:20.123 +0000 UTC
SeverityText: 
SeverityNumber: Info2(10)
Body: Str(hello)
Trace ID: 01010101010101010101010101010101
Span ID: 
Flags: 0
";
    assert_eq!(shown.text, expected);
}

#[test]
fn malformed_bytes_are_an_error() {
    let mut cut = request();
    cut.truncate(cut.len() - 3);
    assert!(render(Signal::Logs, &cut, Verbosity::Detailed).is_err());
}

#[test]
fn batches_are_sampled_by_the_second() {
    let mut sampling = Sampling::default();
    let at = |seconds: u64| Monotonic(Duration::from_secs(seconds));
    let shown = (0..6).filter(|_| sampling.shows(at(1), 2, 2)).count();
    assert_eq!(shown, 4, "two, then every second one");
    assert!(sampling.shows(at(2), 1, 0));
    assert!(!sampling.shows(at(2), 1, 0));
}
