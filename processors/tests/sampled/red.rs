//! Request, error and duration metrics behind head and tail sampling agree with the unsampled truth, within the error that the
//! thresholds predict.
//!
//! A trace is kept with probability p = 1 − T / 2^56 and then counts 1/p: an estimate without bias, of variance Σ n² (1/p − 1)
//! over traces, n being what the trace adds to the series. So each error in standard deviations must be an ordinary draw.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use sluice_generator::oracle::{Arrivals, Policy, TraceId, Window};
use sluice_generator::settings::{MILLISECOND, SECOND, Sampling, Timers, TraceState};
use sluice_generator::shop::Export;
use sluice_generator::{Settings, Shop};
use sluice_pdata::Signal;

use crate::graph::{Graph, To};
use crate::series::{BOUNDS, Observed, Told, observed};

/// 2^56.
const ONE: f64 = (1u64 << 56) as f64;
/// `th:c`: one in four.
const HEAD: u64 = 0xc << 52;
/// `th:e666`: one in ten.
const TAIL: u64 = 0xe666 << 40;

/// The first of the shops that are compared.
const SEED: u64 = 11;

/// With fewer traces that can be expected to be kept, an error is no normal draw.
const ENOUGH: f64 = 20.0;

pub fn seeds() -> u64 {
    std::env::var("SLUICE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn settings(seed: u64, trace_state: TraceState) -> Settings {
    Settings {
        seed,
        duration: 60 * SECOND,
        traces_per_second: 20.0,
        instances: 1,
        timers: Timers::every(SECOND),
        sampling: Sampling { ratio: 1.0, trace_state },
        ..Settings::default()
    }
}

fn shop(seed: u64, trace_state: TraceState) -> Vec<Export> {
    Shop::new(settings(seed, trace_state)).unwrap().filter(|export| export.signal == Signal::Traces).collect()
}

/// What is left of exports where SDKs sample: spans whose trace has enough randomness, with the threshold in their trace state.
fn head_sampled(exports: &[Export]) -> Vec<Export> {
    let exports = exports.iter().map(|export| {
        let mut request = ExportTraceServiceRequest::decode(&export.bytes[..]).unwrap();
        let mut items = 0;
        for scope in request.resource_spans.iter_mut().flat_map(|group| &mut group.scope_spans) {
            scope.spans.retain_mut(|span| {
                let value = span.trace_state.strip_prefix("ot=rv:").map(|rest| rest[..14].to_owned());
                let id: String = span.trace_id[9..].iter().map(|byte| format!("{byte:02x}")).collect();
                let randomness = u64::from_str_radix(value.as_ref().unwrap_or(&id), 16).unwrap();
                span.trace_state = value.map_or("ot=th:c".to_owned(), |value| format!("ot=rv:{value};th:c"));
                randomness >= HEAD
            });
            items += scope.spans.len();
        }
        Export { bytes: request.encode_to_vec(), items, ..export.clone() }
    });
    exports.filter(|export| export.items > 0).collect()
}

/// How spans are sampled before they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Nothing,
    /// Of `correlate`.
    Rules,
    /// Of `tail_sampling`.
    Policies,
}

const CORRELATE: &str = "{mode: decide, sampling: {rules: [
    {name: errors, when: {trace: ['error_count > 0']}, action: keep}, {name: rest, action: {probability: 0.1}}]}}";
const TAIL_SAMPLING: &str = "{decision_wait: 30s, decision_wait_after_root_received: 5500ms, policies: [
    {name: errors, type: status_code, status_code: {status_codes: [ERROR]}},
    {name: rest, type: probabilistic, probabilistic: {sampling_percentage: 10}}]}";

/// The metrics that come out.
fn told(epoch: u64, exports: &[Export], tail: Tail) -> Told {
    let mut graph = Graph::new(epoch, 1);
    let config = "{metrics_flush_interval: 10s, histogram: {explicit: {buckets: [5ms, 10ms, 50ms, 100ms, 400ms]}}}";
    let metrics = graph.span_metrics(config, &[(0, To::Sink(0))]);
    let behind = [(0, To::Stage(metrics, 0))];
    let first = match tail {
        Tail::Nothing => metrics,
        Tail::Rules => graph.processor("correlate", CORRELATE, &behind),
        Tail::Policies => graph.processor("tail_sampling", TAIL_SAMPLING, &behind),
    };
    Told::of(&graph.run(exports, |_| vec![To::Stage(first, 0)])[0])
}

/// Traces that the rule for errors keeps: known before the trace is decided, whatever tick that falls on.
fn failed(exports: &[Export]) -> BTreeMap<TraceId, bool> {
    let arrivals = exports.iter().map(|export| (export.arrival, export.signal, &export.bytes[..]));
    let arrivals = Arrivals::read(arrivals).unwrap();
    let at = |more| {
        let window = Window { after_root: 5500 * MILLISECOND + more, after_first: 30 * SECOND };
        arrivals.verdicts(&[Policy::Errors], window).into_iter().collect::<BTreeMap<_, _>>()
    };
    let (early, late) = (at(0), at(100 * MILLISECOND));
    assert_eq!(early, late, "another seed, please");
    early
}

/// An estimate and what it should be.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    truth: f64,
    told: f64,
    variance: f64,
    /// How many of the traces that are left to chance can be expected to be kept; fewer where few make up most of it.
    traces: f64,
    /// How far the estimate may be off for being rounded.
    rounding: f64,
}

impl Cell {
    /// Of what each trace adds.
    fn new(parts: &BTreeMap<TraceId, f64>, told: f64, rounding: f64, probability: &dyn Fn(&TraceId) -> f64) -> Self {
        let mut cell = Cell { told, rounding, ..Cell::default() };
        let (mut squares, mut least) = (0.0, 1.0_f64);
        for (trace, part) in parts {
            let p = probability(trace);
            let variance = part * part * (1.0 / p - 1.0);
            cell.truth += part;
            cell.variance += variance;
            (squares, least) = (squares + variance * variance, least.min(p));
        }
        if squares > 0.0 {
            cell.traces = least * cell.variance * cell.variance / squares;
        }
        cell
    }

    /// The error, in standard deviations.
    fn deviations(&self) -> f64 {
        let error = self.told - self.truth;
        let beyond = (error.abs() - self.rounding).max(0.0).copysign(error);
        if self.variance > 0.0 {
            beyond / self.variance.sqrt()
        } else {
            if beyond == 0.0 { 0.0 } else { beyond * f64::INFINITY }
        }
    }
}

/// Errors in standard deviations: how many, the sum of their squares, and those beyond three.
#[derive(Clone, Copy, Debug, Default)]
struct Draws {
    count: f64,
    squares: f64,
    beyond: f64,
}

impl Draws {
    fn add(&mut self, other: Draws) {
        self.count += other.count;
        self.squares += other.squares;
        self.beyond += other.beyond;
    }
}

/// All cells of one kind.
#[derive(Default)]
struct Cells(Vec<(String, Cell)>);

impl Cells {
    fn add(&mut self, name: String, cell: Cell) {
        self.0.push((name, cell));
    }

    /// What no probability touched is exact, and no other that is large enough is off by more than `most` standard deviations.
    fn check(&self, context: &str, most: f64) -> Draws {
        let mut draws = Draws::default();
        for (name, cell) in &self.0 {
            if cell.variance == 0.0 {
                assert!((cell.told - cell.truth).abs() <= 1e-6 * cell.truth, "{context}: {name} is exact: {cell:?}");
            } else if cell.traces >= ENOUGH {
                let z = cell.deviations();
                assert!(z.abs() <= most, "{context}: {name} is off by {z:.2} standard deviations: {cell:?}");
                draws.add(Draws { count: 1.0, squares: z * z, beyond: f64::from(z.abs() > 3.0) });
            }
        }
        draws
    }
}

/// Everything about one run.
fn cells(truth: &[Observed], told: &Told, probability: &dyn Fn(&TraceId) -> f64) -> [Cells; 3] {
    type Parts<K> = BTreeMap<K, BTreeMap<TraceId, f64>>;
    let (mut calls, mut buckets, mut sums): (Parts<_>, Parts<_>, Parts<_>) = Default::default();
    for span in truth {
        let (series, bucket) = (span.series.clone(), (span.series.clone(), span.bucket()));
        *calls.entry(series.clone()).or_default().entry(span.trace).or_default() += 1.0;
        *buckets.entry(bucket).or_default().entry(span.trace).or_default() += 1.0;
        *sums.entry(series).or_default().entry(span.trace).or_default() += span.duration;
    }
    let mut cells = [Cells::default(), Cells::default(), Cells::default()];
    let got = |value: Option<&f64>| value.copied().unwrap_or(0.0);
    for (series, parts) in &calls {
        let cell = Cell::new(parts, got(told.calls.get(series)), 0.5, probability);
        cells[0].add(format!("calls {series:?}"), cell);
    }
    for (key, parts) in &buckets {
        let cell = Cell::new(parts, got(told.buckets.get(key)), 0.5, probability);
        cells[1].add(format!("bucket {key:?} of {BOUNDS:?}"), cell);
    }
    for (series, parts) in &sums {
        let cell = Cell::new(parts, got(told.sums.get(series)), 1e-6, probability);
        cells[2].add(format!("sum {series:?}"), cell);
    }
    for series in told.calls.keys() {
        assert!(calls.contains_key(series), "nobody made {series:?}");
    }
    cells
}

/// The sum over all series, and how far it may be off.
fn whole(truth: &[Observed], told: &Told, probability: &dyn Fn(&TraceId) -> f64) -> Cell {
    let mut parts: BTreeMap<TraceId, f64> = BTreeMap::new();
    truth.iter().for_each(|span| *parts.entry(span.trace).or_default() += 1.0);
    Cell::new(&parts, told.calls.values().sum(), 0.5 * told.calls.len() as f64, probability)
}

/// Compares runs of the shop with these samplers in front of the connector; `head` is the threshold of the SDKs.
fn compare(head: u64, trace_state: TraceState, tail: Tail) {
    let (name, epoch) = (format!("{tail:?}, head {head:x} with {trace_state:?}"), Settings::default().epoch);
    let (mut error, mut variance, mut rounding, mut spans, mut traces) = (0.0, 0.0, 0.0, 0, 0.0);
    let mut draws = [Draws::default(); 3];
    for seed in SEED..SEED + seeds() {
        let context = format!("{name}, seed {seed}");
        let all = shop(seed, trace_state);
        let sampled = if head > 0 { head_sampled(&all) } else { all.clone() };
        let (truth, told, failed) = (observed(&all), told(epoch, &sampled, tail), failed(&all));
        let probability = |trace: &TraceId| {
            let threshold = match tail {
                Tail::Nothing => head,
                _ if failed[trace] => head,
                _ => head.max(TAIL),
            };
            1.0 - threshold as f64 / ONE
        };
        // One run has some hundred draws; of the many in all runs, a few are rare ones.
        let most = if seed == SEED { [3.0, 4.0, 4.0] } else { [4.5; 3] };
        let cells = cells(&truth, &told, &probability);
        (0..3).for_each(|kind| draws[kind].add(cells[kind].check(&context, most[kind])));
        let cell = whole(&truth, &told, &probability);
        assert!(cell.deviations().abs() <= 3.0, "{context}: {cell:?}");
        error += cell.told - cell.truth;
        (variance, rounding) = (variance + cell.variance, rounding + cell.rounding);
        (spans, traces) = (spans + truth.len(), traces + failed.len() as f64);
    }
    let bias = error / (variance.sqrt() + rounding).max(f64::MIN_POSITIVE);
    println!(
        "{name}: {spans} spans of {traces} traces; bias {bias:+.2} standard deviations, {:+.3} % of all; {draws:.1?}",
        100.0 * error / spans as f64,
    );
    assert!(bias.abs() <= 3.0, "{name}: bias of {bias} standard deviations");
    if head > 0 || tail != Tail::Nothing {
        // The errors are those that the thresholds predict: no larger, and not so small that the prediction says nothing.
        let mut all = Draws::default();
        draws.into_iter().for_each(|draws| all.add(draws));
        let mean = all.squares / all.count;
        assert!(all.count >= 50.0 && (0.3..=2.5).contains(&mean), "{name}: mean square {mean} of {draws:?}");
        assert!(all.beyond <= 1.0 + all.count / 100.0, "{name}: {draws:?}");
    }
}

#[test]
fn before_sampling_metrics_are_exact() {
    for trace_state in [TraceState::Absent, TraceState::Threshold] {
        compare(0, trace_state, Tail::Nothing);
    }
}

#[test]
fn behind_head_sampling_metrics_are_as_good_as_the_threshold_says() {
    for trace_state in [TraceState::Threshold, TraceState::RandomValue] {
        compare(HEAD, trace_state, Tail::Nothing);
    }
}

#[test]
fn behind_tail_sampling_metrics_are_as_good_as_the_threshold_says() {
    for tail in [Tail::Rules, Tail::Policies] {
        compare(0, TraceState::Absent, tail);
    }
}

#[test]
fn behind_both_metrics_are_as_good_as_the_higher_threshold_says() {
    for tail in [Tail::Rules, Tail::Policies] {
        compare(HEAD, TraceState::RandomValue, tail);
    }
}

/// What the comparison would see if spans weighed nothing.
#[test]
fn without_thresholds_the_comparison_fails() {
    let all = shop(SEED, TraceState::Absent);
    let mut sampled = head_sampled(&all);
    for export in &mut sampled {
        // An unknown key: it says nothing.
        let found: Vec<usize> =
            (0..export.bytes.len() - 7).filter(|&at| &export.bytes[at..at + 7] == b"ot=th:c").collect();
        found.into_iter().for_each(|at| export.bytes[at + 3..at + 5].copy_from_slice(b"xx"));
    }
    let (truth, told) = (observed(&all), told(Settings::default().epoch, &sampled, Tail::Nothing));
    let cell = whole(&truth, &told, &|_| 0.25);
    assert!(cell.deviations() < -10.0, "{cell:?}");
}
