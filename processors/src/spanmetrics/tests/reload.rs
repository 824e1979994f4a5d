//! Reload: totals go on where the configuration lets them.

use sluice_pipeline::stage::Stage as _;

use super::collector::*;

const CALLS: &str = "traces.span.metrics.calls";

#[test]
fn a_successor_with_the_same_series_goes_on_with_the_totals() {
    let mut before = Collector::new("{dimensions: [{name: a}]}");
    before.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    before.flush();
    before.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    let watermark = before.stage.low_watermark();
    let mut after = Collector::new("{dimensions: [{name: a}], metrics_flush_interval: 5s, exemplars: {enabled: true}}");
    (after.now, after.seq) = (before.now, before.seq);
    assert!(after.stage.succeed(before.stage).is_none());
    assert_eq!(after.stage.low_watermark(), watermark);
    after.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    assert!(after.stage.next_deadline().unwrap().0 <= after.now + 5 * SECOND);
    let metrics = after.flush();
    assert_eq!(metrics.calls(CALLS), [(owned(&[("span.name", "s")]), 3)]);
    assert_eq!(metrics.sums.first_key_value().unwrap().1.start_time_unix_nano, START);
}

#[test]
fn with_other_dimensions_the_predecessor_comes_back_to_write_what_it_holds() {
    let mut before = Collector::new("{}");
    before.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    let mut after = Collector::new("dimensions: [{name: a}]");
    let returned = after.stage.succeed(before.stage).unwrap();
    assert_eq!(returned.held().items, 1);
    assert_eq!(after.stage.held().items, 0);
}
