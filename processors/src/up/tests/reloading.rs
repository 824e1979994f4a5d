//! What a reload does to a processor that stays.

use std::sync::{Arc, Mutex};

use sluice_pipeline::outcome::{Accepted, Refusal};
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::{Batch, BoxFuture, PipelineId, Signal};

use super::collector::*;
use super::world::secs;

const APP: &str = "{ingest_metrics: off, jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s, \
                   static_configs: [{targets: [\"a:1\"]}]}]}";

/// The pipeline of the configuration after the reload.
#[derive(Default)]
struct Next(Mutex<usize>);

impl Consumer for Next {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        *self.0.lock().unwrap() += batch.items();
        Box::pin(std::future::ready(Ok(Accepted::default())))
    }
}

#[tokio::test]
async fn what_it_writes_goes_on_into_the_pipeline_of_the_new_configuration() {
    let mut collector = Collector::start(APP, 1 << 20).await;
    collector.push(&pushed("a:1")).await.expect("accepted");
    collector.run_until(secs(40)).await;
    let before = collector.up().len();
    assert!(before >= 2);
    let next = Arc::new(Next::default());
    let pipeline = PipelineId::new(Signal::Metrics, "");
    collector.emitter.connect(vec![(pipeline, Arc::clone(&next) as Arc<dyn Consumer>)]);
    collector.run_until(secs(80)).await;
    assert_eq!(collector.up().len(), before, "nothing more comes the old way");
    assert!(*next.0.lock().unwrap() >= 2, "and the state went along: the target is known");
    // The processor goes out of use: it lets go of the pipeline.
    collector.stop().await;
    assert_eq!(Arc::strong_count(&next), 1);
}

#[tokio::test]
async fn it_survives_as_long_as_its_series_go_where_they_went() {
    let pipeline = |signal, name: &str| PipelineId::new(signal, name);
    let (metrics, logs) = (pipeline(Signal::Metrics, ""), pipeline(Signal::Logs, ""));
    let other = pipeline(Signal::Metrics, "other");
    let collector = Collector::start(APP, 1 << 20).await;
    for (pipelines, survives) in [
        (vec![metrics.clone()], true),
        (vec![logs.clone(), metrics.clone(), other.clone()], true),
        // The first metrics pipeline is the one that gets the series.
        (vec![other.clone(), metrics.clone()], false),
        (vec![logs], false),
    ] {
        assert_eq!(collector.emitter.survives(&pipelines), survives, "{pipelines:?}");
    }
    assert!(collector.emitter.check(&[other]).is_ok());
    assert!(collector.emitter.check(&[]).is_err());
    let named = APP.replace("{ingest", "{emit_to: [metrics], ingest");
    let collector = Collector::start(&named, 1 << 20).await;
    let both = [pipeline(Signal::Metrics, "other"), metrics];
    assert!(collector.emitter.survives(&both), "it is named");
}
