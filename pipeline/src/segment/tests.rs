use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use super::*;
use crate::batch::Encoding;
use crate::telemetry::Naming;
use crate::testing::{CountBatches, DropNamed, World, names};

#[tokio::test]
async fn a_batch_that_nobody_changed_keeps_its_memory_and_its_compressed_body() {
    let world = World::new();
    let segment = world.segment(vec![Arc::new(DropNamed("drop", "filter"))]);
    let batch = world.batch(&["a", "b"]).with_compressed(Encoding::Gzip, b"squeezed".to_vec().into());
    let passage = segment.run(batch.clone()).await.unwrap();
    assert_eq!(passage.batch.bytes().as_ptr(), batch.bytes().as_ptr());
    assert_eq!(passage.batch.compressed().unwrap().bytes, "squeezed");
    let changed = world.batch(&["a", "drop"]).with_compressed(Encoding::Gzip, b"squeezed".to_vec().into());
    assert!(segment.run(changed).await.unwrap().batch.compressed().is_none());
}

#[tokio::test]
async fn drops_are_named_by_processor_and_reason() {
    let world = World::new();
    let segment = world.segment(vec![Arc::new(DropNamed("a", "filter")), Arc::new(DropNamed("b", "invalid"))]);
    let passage = segment.run(world.batch(&["a", "b", "c", "a"])).await.unwrap();
    assert_eq!(names(passage.batch.bytes()), ["c"]);
    assert_eq!(passage.batch.items(), 1);
    assert_eq!(passage.dropped, [("toy/0".into(), "filter", 2), ("toy/1".into(), "invalid", 1)]);
    let line = r#"otelcol_processor_incoming_items{processor="toy/1",otel_signal="traces"}"#;
    assert!(world.telemetry.render(&Naming::default()).contains(&format!("{line} 0\n")));
    passage.apply_effects();
    assert!(world.telemetry.render(&Naming::default()).contains(&format!("{line} 2\n")));
}

#[tokio::test]
async fn effects_last_only_if_applied() {
    let world = World::new();
    let count = Arc::new(AtomicUsize::new(0));
    let segment = world.segment(vec![Arc::new(CountBatches(Arc::clone(&count)))]);
    drop(segment.run(world.batch(&["a"])).await.unwrap());
    assert_eq!(count.load(Ordering::SeqCst), 0);
    segment.run(world.batch(&["a"])).await.unwrap().apply_effects();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_costs_one_request_and_is_counted() {
    let world = World::new();
    let segment = world.segment(vec![Arc::new(DropNamed("drop", "filter"))]);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let refused = segment.run(world.batch(&["a", "panic"])).await.err();
    std::panic::set_hook(hook);
    assert_eq!(refused, Some(Refusal::Internal));
    assert!(world.telemetry.render(&Naming::default()).contains("sluice_panics_total{scope=\"segment\"} 1\n"));
    assert!(segment.run(world.batch(&["a"])).await.is_ok());
}

#[tokio::test]
async fn broken_bytes_are_the_senders_fault() {
    let world = World::new();
    let segment = world.segment(vec![Arc::new(DropNamed("drop", "filter"))]);
    let broken = Batch::new(Signal::Traces, b"\x0a\x05\x12".to_vec().into(), 1, world.context());
    assert!(matches!(segment.run(broken).await.err(), Some(Refusal::Malformed { .. })));
}

#[test]
fn a_large_batch_is_walked_in_slices_with_others_in_between() {
    let world = World::new();
    let segment = world.segment(vec![Arc::new(DropNamed("drop", "filter"))]);
    let polls = |spans: usize| {
        let mut all = vec!["a span with a name of some length"; spans];
        all.push("drop");
        let mut run = std::pin::pin!(segment.run(world.batch(&all)));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut polls = 1;
        loop {
            match run.as_mut().poll(&mut cx) {
                Poll::Ready(passage) => {
                    assert_eq!(passage.unwrap().batch.items(), spans);
                    return polls;
                }
                Poll::Pending => polls += 1,
            }
        }
    };
    assert_eq!(polls(100), 1);
    // 20,000 spans of 37 bytes are between five and six slices.
    assert!((5..=8).contains(&polls(20_000)), "{}", polls(20_000));
}
