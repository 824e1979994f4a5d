//! Bursts far beyond the limit of a window: what it accounts stays in its limit, and what the process holds near it (correlation
//! §16). A process of its own, with the collector's allocator: nothing else may grow meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_config::parse;
use sluice_pdata::Signal;
use sluice_pdata::wire::{put_fixed64, put_len, put_message};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::batch::{Batch, NoRedaction};
use sluice_pipeline::clock::{Monotonic, VirtualClock, WallTime};
use sluice_pipeline::component::Environment;
use sluice_pipeline::context::{Arrival, Context};
use sluice_pipeline::extension::Extensions;
use sluice_pipeline::factory::{Processors, Registry};
use sluice_pipeline::processor::Processor;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Port, Stage, StageOutput};
use sluice_pipeline::telemetry::Telemetry;
use sluice_pipeline::verdict::VerdictBoard;
use sluice_pipeline::{ComponentId, PipelineId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // the collector's

const EPOCH: u64 = 1_700_000_000_000_000_000;
const MIB: usize = 1 << 20;
const LIMIT: usize = 32 * MIB;

fn stage(yaml: &str) -> Box<dyn Stage> {
    let mut registry = Registry::<Processors>::new();
    sluice_processors::register(&mut registry);
    let configured = registry.decode("correlate", &parse(yaml.as_bytes()).unwrap()).unwrap().unwrap();
    let clock = Arc::new(VirtualClock::new(WallTime(EPOCH)));
    let signals = [Signal::Traces, Signal::Logs];
    let environment = Environment {
        id: ComponentId::new("correlate", ""),
        signals: Arc::new(signals),
        pipeline: None,
        pipelines: signals.map(|signal| PipelineId::new(signal, "")).into(),
        memory: MemBudget::new(4 << 30, clock.clone()),
        clock,
        rng: Arc::new(SplitMix::seeded(1)),
        telemetry: Telemetry::new(),
        extensions: Extensions::default(),
        verdicts: VerdictBoard::default(),
        gates: Default::default(),
    };
    match configured.build(environment).unwrap() {
        Processor::Stage(stage) => stage,
        _ => panic!("correlate is no stage"),
    }
}

/// Memory of this process that is resident, without code.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// A request of 1,000 spans of about 400 bytes, so many to a trace.
fn request(first: u64, of_trace: u64) -> Bytes {
    let mut out = Vec::with_capacity(450_000);
    put_message(&mut out, 1, |resource| {
        put_message(resource, 2, |scope| {
            for number in first..first + 1000 {
                put_message(scope, 2, |span| {
                    let trace = mix(number / of_trace);
                    put_len(span, 1, &[mix(trace).to_be_bytes(), trace.to_be_bytes()].concat());
                    put_len(span, 2, &(number + 1).to_be_bytes());
                    put_len(span, 4, &1u64.to_be_bytes());
                    put_len(span, 5, b"GET /a/{id}");
                    put_fixed64(span, 7, EPOCH);
                    put_fixed64(span, 8, EPOCH + 1_000_000);
                    put_len(span, 9, &[b'x'; 330]);
                });
            }
        });
    });
    out.into()
}

struct World {
    stage: Box<dyn Stage>,
    now: u64,
    seq: u64,
    next: u64,
    counts: [usize; 2],
}

impl World {
    fn count(&mut self, out: StageOutput) {
        self.counts[1] += out.batches.iter().map(|(_, batch)| batch.items()).sum::<usize>();
        self.counts[1] += out.dropped.iter().map(|(.., items)| items).sum::<usize>();
    }

    /// 60 requests in a virtual second.
    fn second(&mut self, of_trace: u64) {
        for _ in 0..60 {
            self.now += 16_666_667;
            let now = WallTime(EPOCH + self.now);
            let arrival = Arrival { monotonic: Monotonic(Duration::from_nanos(self.now)), wall: now };
            let context = Context::internal(ComponentId::new("otlp", ""), arrival);
            let batch = Batch::new(Signal::Traces, request(self.next, of_trace), 1000, Arc::new(context));
            (self.seq, self.next) = (self.seq + 1, self.next + 1000);
            let entry = Entry::new(Seq(self.seq), NoRedaction.waive(batch), arrival, Box::new(()));
            let mut out = StageOutput::default();
            if self.stage.next_deadline().is_some_and(|due| due <= now) {
                self.stage.tick(now, &mut out);
                self.count(std::mem::take(&mut out));
            }
            self.stage.absorb(Port(0), &entry, now, &mut out);
            self.counts[0] += 1000;
            self.count(out);
        }
    }
}

/// The most that was accounted, and by how much the process grew, both in bytes.
fn burst(yaml: &str) -> (usize, usize) {
    let mut world = World { stage: stage(yaml), now: 0, seq: 0, next: 0, counts: [0; 2] };
    let base = resident();
    let (mut accounted, mut most) = (0, 0);
    for of_trace in [8, 1, 500, 8, 1] {
        world.next = world.next.next_multiple_of(1_000_000);
        for _ in 0..2 {
            world.second(of_trace);
            (accounted, most) = (accounted.max(world.stage.held().bytes), most.max(resident()));
        }
    }
    let mut out = StageOutput::default();
    world.stage.drain(WallTime(EPOCH + world.now), &mut out);
    world.count(out);
    assert_eq!(world.counts[0], world.counts[1], "every item is accounted for");
    (accounted, most.saturating_sub(base))
}

const MODE: &str = "SLUICE_BURST_MODE";

/// In a process of its own, started by the tests below.
#[test]
#[ignore = "started by the other tests"]
fn alone() {
    let limit = LIMIT / MIB;
    let sampling = "sampling: {decision_wait: 30s, policies: [{name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}]}";
    let of_mode = match std::env::var(MODE).as_deref() {
        Ok("decide") => format!("mode: decide, {sampling}"),
        _ => "mode: annotate".to_owned(),
    };
    // What the process itself needs to make and take requests is there before it is measured.
    drop(request(0, 8));
    let (accounted, grown) = burst(&format!("{{memory_limit_mib: {limit}, max_live_spans: 50000000, {of_mode}}}"));
    eprintln!("accounted {:.1} MiB, grown {:.1} MiB", accounted as f64 / MIB as f64, grown as f64 / MIB as f64);
    assert!(accounted <= LIMIT, "{accounted} bytes accounted");
    assert!(grown * 10 <= LIMIT * 11, "{grown} bytes resident at a limit of {LIMIT}");
}

fn check(mode: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let done = command.args(["--exact", "alone", "--ignored", "--nocapture"]).env(MODE, mode).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    eprintln!("{mode}: {said}");
    assert!(done.status.success(), "{mode}: {said}");
}

#[test]
fn a_burst_of_traces_to_decide_takes_no_more_memory_than_the_limit_and_a_tenth() {
    check("decide");
}

#[test]
fn a_burst_of_spans_to_annotate_takes_no_more_memory_than_the_limit_and_a_tenth() {
    check("annotate");
}
