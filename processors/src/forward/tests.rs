use bytes::Bytes;
use sluice_pipeline::clock::{Monotonic, WallTime};
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::{ComponentId, Signal};

use super::*;

#[test]
fn every_pipeline_gets_the_same_bytes() {
    let arrival = Arrival { monotonic: Monotonic::default(), wall: WallTime(1) };
    let context = Arc::new(Context::internal(ComponentId::new("otlp", ""), arrival));
    let batch = Batch::new(Signal::Logs, Bytes::from_static(b"anything"), 3, context);
    let routed = Forward { pipelines: 2 }.route(&batch).unwrap();
    let places: Vec<usize> = routed.outputs.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [0, 1]);
    assert!(routed.outputs.iter().all(|(_, copy)| copy.bytes().as_ptr() == batch.bytes().as_ptr()));
    assert_eq!((routed.created, routed.dropped.len()), (3, 0));
}
