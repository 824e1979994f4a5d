//! Items with ids of a length that no id has go, in the model as in the pass.

use opentelemetry_proto::tonic::metrics::v1::{Exemplar, metric::Data};
use sluice_pdata::testing::Decoded;

fn trace(id: &[u8]) -> bool {
    matches!(id.len(), 0 | 16)
}

fn span(id: &[u8]) -> bool {
    matches!(id.len(), 0 | 8)
}

fn plain(exemplars: &[Exemplar]) -> bool {
    exemplars.iter().all(|exemplar| trace(&exemplar.trace_id) && span(&exemplar.span_id))
}

/// Whether there is anything left; what was empty from the start stays.
fn retain<T>(children: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let before = children.len();
    children.retain_mut(keep);
    before == 0 || !children.is_empty()
}

/// Drops the items, and what they leave empty.
pub(super) fn drop_odd(request: &mut Decoded) {
    match request {
        Decoded::Traces(request) => {
            request.resource_spans.retain_mut(|group| {
                retain(&mut group.scope_spans, |group| {
                    retain(&mut group.spans, |item| {
                        let links = item.links.iter().all(|link| trace(&link.trace_id) && span(&link.span_id));
                        links && trace(&item.trace_id) && span(&item.span_id) && span(&item.parent_span_id)
                    })
                })
            });
        }
        Decoded::Logs(request) => {
            request.resource_logs.retain_mut(|group| {
                retain(&mut group.scope_logs, |group| {
                    retain(&mut group.log_records, |item| trace(&item.trace_id) && span(&item.span_id))
                })
            });
        }
        Decoded::Metrics(request) => {
            request.resource_metrics.retain_mut(|group| {
                retain(&mut group.scope_metrics, |group| {
                    retain(&mut group.metrics, |metric| match &mut metric.data {
                        Some(Data::Gauge(data)) => retain(&mut data.data_points, |point| plain(&point.exemplars)),
                        Some(Data::Sum(data)) => retain(&mut data.data_points, |point| plain(&point.exemplars)),
                        Some(Data::Histogram(data)) => retain(&mut data.data_points, |point| plain(&point.exemplars)),
                        Some(Data::ExponentialHistogram(data)) => {
                            retain(&mut data.data_points, |point| plain(&point.exemplars))
                        }
                        Some(Data::Summary(_)) | None => true,
                    })
                })
            });
        }
    }
}
