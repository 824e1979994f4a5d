//! The budget of the index (correlation §5).

use super::kit::*;
use crate::trace_window::Settings;

#[test]
fn a_hundred_thousand_spans_keep_the_budget() {
    assert!(index_bytes(100_000) <= 105 << 20);
}

/// The whole budget; slow without optimization.
#[test]
#[ignore = "slow"]
fn a_million_live_spans_take_at_most_105_mib() {
    let bytes = index_bytes(1_000_000);
    assert!(bytes <= 105 << 20, "{} MiB", bytes >> 20);
}

/// Bytes of the index at 20 spans a trace, once the spans have left and their slots are known still.
fn index_bytes(spans: u64) -> usize {
    let mut world = World::new(Settings { memory_limit: 1 << 30, ..Settings::default() }, None);
    for trace in 1..=spans / 20 {
        world.spans("shop", (1..=20).map(|id| span(trace, id, if id == 1 { 0 } else { 1 })).collect());
        if trace % 1000 == 0 {
            world.out.clear();
        }
    }
    world.pass(1_700);
    let window = world.engine.window();
    assert_eq!((window.spans as u64, window.held), (spans, 0));
    window.bytes
}
