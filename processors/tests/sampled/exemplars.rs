//! No exemplar points to a trace that is not there: neither those of a `span_metrics` in front of a deciding `correlate`, nor
//! those of applications.

use std::collections::{BTreeMap, BTreeSet};

use sluice_generator::oracle::{Arrivals, Policy, TraceId, Window};
use sluice_generator::settings::{MILLISECOND, SECOND, Timers};
use sluice_generator::shop::Export;
use sluice_generator::{Settings, Shop};
use sluice_pdata::Signal;
use sluice_pipeline::batch::Batch;

use crate::graph::{Graph, To};
use crate::red::seeds;
use crate::series::{Series, Told, exemplar_traces, observed, span_traces};

const RULES: &str = "{mode: decide, sampling: {rules: [
    {name: errors, when: {trace: ['error_count > 0']}, action: keep},
    {name: logged, when: {log: ['severity_number >= SEVERITY_NUMBER_ERROR']}, action: keep},
    {name: slow, when: {trace: ['duration_ms > 1000']}, action: keep},
    {name: rest, action: {probability: 0.1}}]}}";
const METRICS: &str = "{metrics_flush_interval: 5s, exemplars: {enabled: true},
    histogram: {explicit: {buckets: [5ms, 10ms, 50ms, 100ms, 400ms]}}}";

/// Spans and logs as they come out, all metrics, and those of the connector as they went in.
struct Out {
    spans: Vec<Batch>,
    logs: Vec<Batch>,
    metrics: Vec<Batch>,
    made: Vec<Batch>,
}

fn run(settings: &Settings, exports: &[Export]) -> Out {
    let mut graph = Graph::new(settings.epoch, 4);
    let outputs = [(0, To::Sink(0)), (1, To::Sink(1)), (2, To::Sink(2))];
    let decides = graph.processor("correlate", RULES, &outputs);
    let metrics = graph.span_metrics(METRICS, &[(0, To::Sink(3)), (0, To::Stage(decides, 2))]);
    let sinks = graph.run(exports, |signal| match signal {
        Signal::Traces => vec![To::Stage(metrics, 0), To::Stage(decides, 0)],
        Signal::Logs => vec![To::Stage(decides, 1)],
        Signal::Metrics => vec![To::Stage(decides, 2)],
    });
    let [spans, logs, metrics, made] = sinks.try_into().unwrap();
    Out { spans, logs, metrics, made }
}

/// The traces that the rules keep.
fn kept(exports: &[Export]) -> BTreeSet<TraceId> {
    let arrivals = Arrivals::read(exports.iter().map(|it| (it.arrival, it.signal, &it.bytes[..]))).unwrap();
    let slow = Policy::LongerThan(SECOND);
    let policies = [Policy::Errors, Policy::ErrorLogs, slow, Policy::Threshold(0xe666 << 40)];
    let at = |more| {
        let window = Window { after_root: 5500 * MILLISECOND + more, after_first: 30 * SECOND };
        let verdicts = arrivals.verdicts(&policies, window);
        verdicts.into_iter().filter(|(_, kept)| *kept).map(|(trace, _)| trace).collect::<BTreeSet<_>>()
    };
    let (early, late) = (at(0), at(100 * MILLISECOND));
    assert_eq!(early, late, "another seed, please");
    early
}

#[test]
fn no_exemplar_dangles_and_kept_traces_have_theirs() {
    for seed in 21..21 + seeds() {
        let settings = Settings {
            seed,
            duration: 60 * SECOND,
            traces_per_second: 10.0,
            instances: 1,
            timers: Timers { metrics: 10 * SECOND, ..Timers::every(SECOND) },
            ..Settings::default()
        };
        let exports: Vec<Export> = Shop::new(settings.clone()).unwrap().collect();
        let (out, kept) = (run(&settings, &exports), kept(&exports));
        let spans = span_traces(&out.spans);
        assert!(spans.len() > 50 && spans.is_subset(&kept), "seed {seed}: a trace that the rules drop");
        assert!(!out.logs.is_empty());
        for (name, batches) in [("the connector's", &out.made), ("all", &out.metrics)] {
            let traces = exemplar_traces(batches);
            let dangling = traces.iter().filter(|trace| !spans.contains(*trace)).count();
            assert!(traces.len() > 100, "seed {seed}: {name}: only {}", traces.len());
            assert_eq!(dangling, 0, "seed {seed}: of {} exemplars, {name}", traces.len());
        }
        // What the connector attaches, `correlate` has nothing to say against.
        let made: BTreeSet<TraceId> = exemplar_traces(&out.made).into_iter().collect();
        assert!(made.is_subset(&exemplar_traces(&out.metrics).into_iter().collect()));

        let told = Told::of(&out.made);
        for (series, exemplars) in &told.exemplars {
            let times: Vec<u64> = exemplars.iter().map(|exemplar| exemplar.time_unix_nano).collect();
            assert!(times.is_sorted(), "seed {seed}: {series:?}: backends take no older one behind a younger one");
        }
        let mut candidates: BTreeMap<_, usize> = BTreeMap::new();
        for span in observed(&exports).iter().filter(|span| kept.contains(&span.trace)) {
            *candidates.entry(span.series.clone()).or_default() += 1;
        }
        for metric in ["calls", "duration"] {
            let name = format!("traces.span.metrics.{metric}");
            let lacks = |series: &&Series| !told.exemplars.contains_key(&(name.clone(), (*series).clone()));
            let missing = candidates.keys().filter(lacks).count();
            println!("seed {seed}: {metric}: {missing} of {} series without exemplars", candidates.len());
            assert!(missing * 100 <= candidates.len(), "seed {seed}: {missing} of {} series", candidates.len());
        }
    }
}
