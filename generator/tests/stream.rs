//! Requests without a timeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use sluice_generator::settings::SECOND;
use sluice_generator::stream::{Options, Stream};
use sluice_pdata::{Signal, framing};

const NOW: u64 = 1_800_000_000 * SECOND;

#[test]
fn requests_have_exactly_the_items_that_were_asked_for() {
    for signal in Signal::ALL {
        let mut stream = Stream::new(signal, 1, &Options::default());
        let mut again = Stream::new(signal, 1, &Options::default());
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
    let attributes = vec![("team".to_owned(), "blue".to_owned())];
    let options = Options { service: Some("mine".to_owned()), attributes, ..Options::default() };
    let mut stream = Stream::new(Signal::Traces, 4, &options);
    let request = ExportTraceServiceRequest::decode(stream.request(2_000, NOW).as_slice()).unwrap();
    let mut spans = 0;
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        let of = |index: usize| format!("{:?}", attributes[index]);
        assert!(of(0).contains("service.name") && of(0).contains("mine"), "{attributes:?}");
        assert!(of(attributes.len() - 1).contains("team"), "{attributes:?}");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            assert!(span.start_time_unix_nano >= NOW - 20 * SECOND && span.end_time_unix_nano <= NOW);
            spans += 1;
        }
    }
    assert_eq!(spans, 2_000);
}

#[test]
fn what_is_planted_is_told_once() {
    let mut stream = Stream::new(Signal::Logs, 4, &Options { secrets: 0.5, ..Options::default() });
    let request = stream.request(500, NOW);
    let planted = stream.planted();
    let text = String::from_utf8_lossy(&request);
    assert!(planted.len() > 100 && planted.iter().all(|planted| text.contains(&planted.value)), "{}", planted.len());
    assert!(stream.planted().is_empty());
}

#[test]
fn as_many_requests_fail_as_was_asked_for() {
    for ratio in [0.0, 0.3, 1.0] {
        let mut stream = Stream::new(Signal::Traces, 4, &Options { error_ratio: Some(ratio), ..Options::default() });
        let request = ExportTraceServiceRequest::decode(stream.request(8_000, NOW).as_slice()).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        let failed = |span: &&opentelemetry_proto::tonic::trace::v1::Span| {
            span.status.as_ref().is_some_and(|status| status.code == 2)
        };
        let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
        let share = roots.iter().copied().filter(failed).count() as f64 / roots.len() as f64;
        assert!(roots.len() > 300 && (share - ratio).abs() < 0.08, "{share} for {ratio}");
        assert!(ratio > 0.0 || !spans.iter().any(|span| failed(&span)));
    }
}
