use super::Shape;
use crate::signal::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

fn shape(signal: Signal) -> Shape {
    Shape { signal, items: 1000, drop_share: 0.05, tracked: false }
}

#[test]
fn spans_have_ten_attributes_an_email_and_the_published_size() {
    let body = shape(Signal::Traces).body(3);
    let request = ExportTraceServiceRequest::decode(body.bytes.as_slice()).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), 1000);
    assert!(spans.iter().all(|span| span.attributes.len() == 10));
    let routes = spans.iter().filter(|span| format!("{:?}", span.attributes).contains("/healthz")).count();
    assert_eq!(routes, 50);
    assert!(spans.iter().all(|span| format!("{:?}", span.attributes).contains("@example.com")));
    let size = body.bytes.len() / 1000;
    assert!((405..=417).contains(&size), "a span has {size} bytes");
}

#[test]
fn log_records_have_the_published_size_and_share_below_info() {
    let body = shape(Signal::Logs).body(3);
    let request = ExportLogsServiceRequest::decode(body.bytes.as_slice()).unwrap();
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records.iter().filter(|record| record.severity_number < 9).count(), 50);
    assert!(records.iter().all(|record| format!("{:?}", record.body).contains("@example.com")));
    assert!(records.iter().all(|record| format!("{:?}", record.attributes).contains("@example.com")));
    let size = body.bytes.len() / 1000;
    assert!((351..=361).contains(&size), "a log record has {size} bytes");
}

#[test]
fn points_become_about_six_samples_each() {
    let body = shape(Signal::Metrics).body(3);
    let request = ExportMetricsServiceRequest::decode(body.bytes.as_slice()).unwrap();
    let (mut points, mut samples) = (0, 0);
    for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => {
                (points, samples) = (points + gauge.data_points.len(), samples + gauge.data_points.len())
            }
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                (points, samples) = (points + sum.data_points.len(), samples + sum.data_points.len());
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    samples += point.bucket_counts.len() + 2;
                }
                points += histogram.data_points.len();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((points, samples), (1000, 6120));
}

#[test]
fn slots_are_where_the_fields_are() {
    for signal in Signal::ALL {
        let body = Shape { tracked: true, ..shape(signal) }.body(0);
        let times = body.slots.iter().filter(|slot| matches!(slot.content, crate::wire::Content::Time { .. })).count();
        let keys = body.slots.len() - times;
        // A span and a log record carry a trace id and a span id, a point its value.
        assert_eq!(keys, if signal == Signal::Metrics { 1000 } else { 2000 }, "{signal:?}");
        assert!(times >= 1000, "{signal:?}");
    }
}
