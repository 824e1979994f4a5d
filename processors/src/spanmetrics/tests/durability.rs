//! Crash and replay: no span is lost or counted twice (correlation §13).

use std::collections::BTreeMap;

use sluice_pdata::testing::Rng;
use sluice_pipeline::clock::WallTime;
use sluice_pipeline::spine::Seq;
use sluice_pipeline::stage::{Port, Stage as _, StageOutput};

use super::collector::*;

/// What a backend would have made of the calls: increases, with a reset at each new start time.
#[derive(Default)]
struct Backend {
    last: BTreeMap<(Pairs, String, Pairs), (u64, i64, u64)>,
    total: i64,
}

impl Backend {
    fn take(&mut self, metrics: &Metrics) {
        for (key, point) in &metrics.sums {
            let (value, start) = (int(point), point.start_time_unix_nano);
            let before = self.last.get(key).copied();
            let base = match before {
                Some((known, value, time)) => {
                    assert!(point.time_unix_nano > time, "older than what was written before");
                    if let Some(zero) = metrics.zeros.get(key) {
                        assert!(zero.time_unix_nano > time, "begins before what was written before");
                    }
                    if known == start { value } else { 0 }
                }
                None => 0,
            };
            self.total += value - base;
            self.last.insert(key.clone(), (start, value, point.time_unix_nano));
        }
    }
}

#[test]
fn after_a_crash_what_no_flush_has_told_of_is_read_again_and_counts_once() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut log: Vec<(u64, u64, usize)> = Vec::new(); // seq, time, spans
        let mut backend = Backend::default();
        let mut note: Option<Vec<u8>> = None;
        let mut cursor = 0; // entries that are committed
        let mut collector = Collector::new("metrics_flush_interval: 10s");
        let mut read = 0;
        for _ in 0..40 {
            collector.now += 1 + rng.below(4) as u64 * SECOND;
            let spans = 1 + rng.below(3);
            log.push((log.len() as u64, collector.now, spans));
            if rng.chance(15) {
                // The process dies; another reads from the watermark on.
                let now = collector.now;
                collector = Collector::new("metrics_flush_interval: 10s");
                collector.now = now;
                if let Some(note) = &note {
                    collector.stage.recall(note, WallTime(now));
                }
                read = cursor;
            }
            while read < log.len() {
                let (seq, time, spans) = log[read];
                let mut out = StageOutput::default();
                if collector.stage.next_deadline().is_some_and(|due| due.0 <= time) {
                    collector.stage.tick(WallTime(time), &mut out);
                    backend.take(&Metrics::of(&out));
                    note = out.notes.last().map(|(note, _)| note.to_vec()).or(note);
                    assert_eq!(collector.stage.low_watermark(), None);
                    assert_eq!(collector.stage.held().items, 0);
                    cursor = read;
                }
                let names = ["a", "b"].map(|name| span(name, 1.0));
                let sent = (0..spans).map(|at| names[at % 2].clone()).collect();
                let sent = entry(seq, &request(&[("service.name", "x")], sent), "", time);
                collector.stage.absorb(Port(0), &sent, WallTime(time), &mut out);
                assert_eq!(collector.stage.low_watermark(), Some(Seq(log[cursor].0)));
                read += 1;
            }
        }
        let mut out = StageOutput::default();
        collector.stage.drain(WallTime(collector.now + SECOND), &mut out);
        backend.take(&Metrics::of(&out));
        let sent: usize = log.iter().map(|(_, _, spans)| spans).sum();
        assert_eq!(backend.total, sent as i64, "seed {seed}");
    }
}

#[test]
fn a_replay_writes_the_same_points_as_the_first_time() {
    let run = |late: bool| {
        let mut collector = Collector::new("metrics_flush_interval: 10s");
        let mut written = Vec::new();
        for at in 0..30_u64 {
            let time = START + at * 3 * SECOND;
            let mut out = StageOutput::default();
            // Live, the deadline is met; in a replay it is noticed with the next entry.
            while let Some(due) = collector.stage.next_deadline().filter(|due| due.0 <= time) {
                collector.stage.tick(WallTime(if late { time } else { due.0 }), &mut out);
            }
            written.extend(out.batches.iter().map(|(_, batch)| batch.bytes().clone()));
            let sent = entry(at, &request(&[("service.name", "x")], vec![span("s", 1.0)]), "", time);
            collector.stage.absorb(Port(0), &sent, WallTime(time), &mut out);
        }
        written
    };
    assert_eq!(run(false), run(true));
    assert_eq!(run(false).len(), 8);
}

#[test]
fn every_pipeline_behind_it_gets_the_same_bytes() {
    let mut collector = Collector::with_ports("{}", 3);
    collector.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    let out = collector.pass(60);
    let ports: Vec<_> = out.batches.iter().map(|(port, _)| port.0).collect();
    assert_eq!(ports, [0, 1, 2]);
    assert!(out.batches.windows(2).all(|pair| pair[0].1.bytes() == pair[1].1.bytes()));
    // Calls with their 0, and duration.
    assert_eq!(out.created, 3 * 3);
}

#[test]
fn draining_writes_what_waits_and_nothing_twice() {
    let mut collector = Collector::new("{}");
    collector.spans(&[("service.name", "x")], vec![span("s", 1.0)]);
    collector.now += SECOND;
    let mut out = StageOutput::default();
    collector.stage.drain(WallTime(collector.now), &mut out);
    assert_eq!(Metrics::of(&out).sums.len(), 1);
    let mut out = StageOutput::default();
    collector.stage.drain(WallTime(collector.now), &mut out);
    assert!(out.is_empty());
    assert_eq!(collector.stage.next_deadline(), None);
}
