//! Requests without a timeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use sluice_generator::settings::SECOND;
use sluice_generator::stream::Stream;
use sluice_pdata::{Signal, framing};

const NOW: u64 = 1_800_000_000 * SECOND;

#[test]
fn requests_have_exactly_the_items_that_were_asked_for() {
    for signal in Signal::ALL {
        let mut stream = Stream::new(signal, 1, None, 0.0);
        let mut again = Stream::new(signal, 1, None, 0.0);
        for (turn, items) in [1, 7, 100, 1_000, 3].into_iter().enumerate() {
            let now = NOW + turn as u64 * SECOND;
            let request = stream.request(items, now);
            assert_eq!(framing::check(signal, &request).unwrap().items, items, "{signal}");
            assert_eq!(request, again.request(items, now), "{signal}");
            let decoded = match signal {
                Signal::Traces => ExportTraceServiceRequest::decode(request.as_slice()).map(drop),
                Signal::Logs => ExportLogsServiceRequest::decode(request.as_slice()).map(drop),
                Signal::Metrics => ExportMetricsServiceRequest::decode(request.as_slice()).map(drop),
            };
            decoded.unwrap();
        }
    }
}

#[test]
fn spans_are_of_the_last_seconds_and_of_the_service_that_was_asked_for() {
    let mut stream = Stream::new(Signal::Traces, 4, Some("mine"), 0.0);
    let request = ExportTraceServiceRequest::decode(stream.request(2_000, NOW).as_slice()).unwrap();
    let mut spans = 0;
    for resource in request.resource_spans {
        let attributes = format!("{:?}", resource.resource.unwrap().attributes[0]);
        assert!(attributes.contains("service.name") && attributes.contains("mine"), "{attributes}");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(span.start_time_unix_nano >= NOW - 20 * SECOND && span.end_time_unix_nano <= NOW);
            spans += 1;
        }
    }
    assert_eq!(spans, 2_000);
}

#[test]
fn what_is_planted_is_told_once() {
    let mut stream = Stream::new(Signal::Logs, 4, None, 0.5);
    let request = stream.request(500, NOW);
    let planted = stream.planted();
    let text = String::from_utf8_lossy(&request);
    assert!(planted.len() > 100 && planted.iter().all(|planted| text.contains(&planted.value)), "{}", planted.len());
    assert!(stream.planted().is_empty());
}
