//! The two laws, over random histories: a fault of the collector or of discovery never makes a 0, and a real outage is
//! never hidden for ever. A failure prints the shortest history that breaks the law; `PROPTEST_RNG_SEED` and
//! `PROPTEST_CASES` vary and lengthen the search.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::world::*;
use crate::up::config::Signal;
use crate::up::engine::Arrival;
use crate::up::fault::FaultKind;
use crate::up::series::Series;

/// I 60 s, G 15 s, D and W 135 s, startup grace 120 s.
const APP: &str = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s}], ingest_metrics: off}";
const DEADLINE: Duration = Duration::from_secs(135);

fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0x5eed);
    }
    config
}

/// Something that happens to the collector or to discovery, not to the target.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nothing, for some seconds.
    Calm(u64),
    /// Pushes are refused.
    Refusing(u64),
    /// The process ends and comes back; pushes meanwhile are lost.
    Restart(u64),
    /// The process stands still; pushes meanwhile are lost, or come late if it is not for longer than I.
    Stall(u64),
    /// Discovery forgets the target for a while.
    Forgotten(u64),
    /// Discovery fails.
    DiscoveryError,
    /// The wall clock is set.
    ClockSet(i64),
    /// A part of the arrivals is lost inside the collector.
    Lost(u64),
}

fn event(longest_jump: i64) -> impl Strategy<Value = Event> {
    prop_oneof![
        (1u64..400).prop_map(Event::Calm),
        (1u64..400).prop_map(Event::Refusing),
        (0u64..400).prop_map(Event::Restart),
        (1u64..400).prop_map(Event::Stall),
        (1u64..60).prop_map(Event::Forgotten),
        Just(Event::DiscoveryError),
        (-longest_jump..longest_jump).prop_map(Event::ClockSet),
        (1u64..400).prop_map(Event::Lost),
    ]
}

/// A world with one target that pushes with jitter until it dies.
struct Life {
    world: World,
    next_push: Duration,
    dies: Duration,
    jitter: u64,
    /// Pushes reach the engine.
    reachable: bool,
    last_delivered: Option<Duration>,
}

impl Life {
    fn new(jitter: u64, dies: Duration) -> Life {
        let mut world = World::new(APP);
        world.sync(&["a:1"]);
        Life { world, next_push: secs(jitter % 60), dies, jitter: jitter | 1, reachable: true, last_delivered: None }
    }

    /// The next push comes 0.8 to 1.2 I after this one.
    fn schedule(&mut self) {
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.next_push += Duration::from_millis(48_000 + (self.jitter >> 33) % 24_000);
    }

    fn live(&mut self, time: Duration, ticking: bool) {
        let until = self.world.mono + time;
        while self.next_push <= until {
            let at = self.next_push;
            self.pass(at, ticking);
            if self.reachable && at < self.dies {
                self.world.push(&app("a:1"));
                self.last_delivered = Some(at);
            }
            self.schedule();
        }
        self.pass(until, ticking);
    }

    fn pass(&mut self, until: Duration, ticking: bool) {
        if ticking {
            self.world.run_until(until);
        } else {
            self.world.sleep(until.saturating_sub(self.world.mono));
        }
    }

    fn apply(&mut self, event: Event) {
        let world = &mut self.world;
        match event {
            Event::Calm(time) => self.live(secs(time), true),
            Event::Refusing(time) => {
                world.engine.fault_begins(FaultKind::Refusing, world.now());
                self.reachable = false;
                self.live(secs(time), true);
                self.reachable = true;
                self.world.engine.fault_ends(FaultKind::Refusing, self.world.now());
            }
            Event::Restart(time) => {
                let snapshot = world.engine.snapshot(world.now());
                world.tick();
                self.reachable = false;
                self.live(secs(time), false);
                self.reachable = true;
                self.world.restart_from(Some(snapshot), Duration::ZERO);
                self.world.sync(&["a:1"]);
            }
            Event::Stall(time) => {
                self.reachable = false;
                let waiting = self.next_push < self.world.mono + secs(time).min(secs(60));
                self.live(secs(time), false);
                self.reachable = true;
                self.world.tick();
                if waiting && time <= 60 && self.world.mono < self.dies {
                    self.world.push(&app("a:1"));
                    self.last_delivered = Some(self.world.mono);
                }
            }
            Event::Forgotten(time) => {
                world.sync(&[]);
                self.live(secs(time), true);
                self.world.sync(&["a:1"]);
            }
            Event::DiscoveryError => world.engine.sync_failed(crate::up::engine::JobId(0), world.now()),
            Event::ClockSet(seconds) => {
                let by = secs(seconds.unsigned_abs());
                world.unix = if seconds > 0 { world.unix + by } else { world.unix - by };
                world.tick();
            }
            Event::Lost(time) => {
                let from = world.now().mono;
                self.reachable = false;
                self.live(secs(time), true);
                self.reachable = true;
                self.world.engine.arrivals_lost(from, self.world.now());
            }
        }
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn no_fault_of_the_collector_or_of_discovery_makes_a_0(
        jitter in any::<u64>(),
        events in prop::collection::vec(event(7200), 0..12),
    ) {
        let mut life = Life::new(jitter, Duration::MAX);
        for event in events {
            // Arrivals are lost without the engine's knowledge until the loss is found out: within I.
            let event = if let Event::Lost(time) = event { Event::Lost(time.min(50)) } else { event };
            life.apply(event);
        }
        life.live(secs(600), true);
        let zeros: Vec<_> = life.world.samples(Series::Up).into_iter().filter(|s| s.2 == Some(0.0)).collect();
        prop_assert!(zeros.is_empty(), "{:?}", zeros);
    }

    #[test]
    fn an_outage_shows_within_a_deadline_and_a_grid_point_of_the_last_fault(
        jitter in any::<u64>(),
        dies in 0u64..1500,
        events in prop::collection::vec(event(30), 0..8),
    ) {
        let mut life = Life::new(jitter, secs(dies));
        let mut set_back = Duration::ZERO;
        for event in events {
            life.apply(event);
            if let Event::ClockSet(seconds) = event {
                set_back += secs(seconds.unsigned_abs());
            }
        }
        let calm_from = life.world.mono.max(secs(dies));
        life.live(calm_from - life.world.mono + secs(1000), true);
        // Never seen at all: nothing tells it from one that has not started yet, until warm-up and grace are over.
        let never_seen = if life.last_delivered.is_none() { DEADLINE + secs(120) } else { Duration::ZERO };
        let bound = calm_from + DEADLINE + secs(15) + set_back + never_seen;
        let world = &life.world;
        let mut after = world.written.iter().zip(&world.written_at).filter(|(_, at)| **at >= bound).peekable();
        prop_assert!(after.peek().is_some());
        for (emission, at) in after {
            prop_assert_eq!(emission.samples[0].value, Some(0.0), "at {:?}, bound {:?}", at, bound);
        }
    }

    /// T10. Without the doubt of mass absence, in which one target's 0 depends on when others were heard of.
    #[test]
    fn a_restart_makes_no_0_that_the_run_without_it_lacks(
        restart in 0u64..1200,
        pushes in prop::collection::vec((0u64..4, 1u64..120, prop::bool::weighted(0.05)), 0..60),
        removed in prop::option::of(0u64..1200),
    ) {
        let all = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
        let config = APP.replace("ingest", "mass_absence_ratio: 1, ingest");
        let run = |restart: Option<u64>| {
            let mut world = World::new(&config);
            let mut expected = all.to_vec();
            world.sync(&expected);
            let mut todo: Vec<(u64, u8, usize, bool)> = Vec::new();
            let mut at = 0;
            for (who, wait, closing) in &pushes {
                at += wait;
                todo.push((at, 2, *who as usize, *closing));
            }
            todo.extend(restart.map(|at| (at, 0, 0, false)));
            todo.extend(removed.map(|at| (at, 1, 0, false)));
            todo.sort_by_key(|(at, kind, ..)| (*at, *kind));
            for (at, kind, who, closing) in todo {
                world.run_until(secs(at));
                match kind {
                    0 => {
                        world.restart(Duration::ZERO);
                        world.sync(&expected);
                    }
                    1 => {
                        expected.remove(0);
                        world.sync(&expected);
                    }
                    _ => {
                        let arrival = Arrival { all_no_recorded_value: closing, ..Arrival::new(Signal::Metrics) };
                        world.push_with(&app(all[who]), arrival);
                    }
                }
            }
            world.run_until(secs(2500));
            let mut zeros = world.samples(Series::Up);
            zeros.retain(|s| s.2 == Some(0.0));
            zeros
        };
        let without = run(None);
        for zero in run(Some(restart)) {
            prop_assert!(without.contains(&zero), "{:?}", zero);
        }
    }

    /// What is written does not depend on how often the engine is called.
    #[test]
    fn late_and_additional_ticks_change_nothing(
        pushes in prop::collection::vec((0usize..3, 1u64..100), 0..40),
        ticks in prop::collection::vec(1u64..20_000, 0..40),
    ) {
        let all = ["a:1", "b:1", "c:1"];
        let run = |ticks: &[u64]| {
            let mut world = World::new(APP);
            world.sync(&all);
            let mut ticks = ticks.iter();
            for (who, wait) in &pushes {
                let until = world.mono + secs(*wait);
                // As late as 20 s, which is less than I.
                for wait in ticks.by_ref() {
                    if world.mono + Duration::from_millis(*wait) > until {
                        break;
                    }
                    world.sleep(Duration::from_millis(*wait));
                    world.tick();
                }
                let left = until - world.mono;
                if left > secs(20) {
                    world.run_until(until);
                } else {
                    world.sleep(left);
                }
                world.push(&app(all[*who]));
            }
            world.run_until(world.mono + secs(400));
            let mut written = world.written;
            written.sort_by(|a, b| (a.time_ms, &a.labels).cmp(&(b.time_ms, &b.labels)));
            written
        };
        prop_assert_eq!(run(&[]), run(&ticks));
    }
}

#[test]
fn t15_jitter_of_half_an_interval_makes_no_0_in_a_hundred_thousand_intervals() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    let mut random = 7u64;
    let mut zeros = 0;
    let sender = app("a:1");
    world.push(&sender);
    for _ in 0..100_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        world.run_until(world.mono + Duration::from_millis(30_000 + (random >> 33) % 60_000));
        world.push(&sender);
        zeros += world.samples(Series::Up).iter().filter(|s| s.2 == Some(0.0)).count();
        world.written.clear();
        world.written_at.clear();
    }
    assert_eq!(zeros, 0);
}

#[test]
fn t16_a_false_0_needs_one_more_loss_in_a_row_than_is_tolerated() {
    for (tolerated, expected) in [(1u32, 0.01), (2, 0.001)] {
        let mut world = World::new(&APP.replace("ingest", &format!("tolerated_losses: {tolerated}, ingest")));
        world.sync(&["a:1"]);
        let mut random = 11u64;
        let mut draw = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 33
        };
        let (mut losses, mut outages, mut down) = (0, 0, false);
        let intervals = 50_000;
        let sender = app("a:1");
        world.push(&sender);
        for i in 1..=intervals {
            // Jitter of a fifth of I around a steady beat.
            let at = secs(i * 60 + 12) + Duration::from_millis(draw() % 24_000) - secs(24);
            world.run_until(at);
            let zero = world.samples(Series::Up).iter().any(|s| s.2 == Some(0.0));
            outages += u32::from(zero && !down);
            assert!(!zero || losses > tolerated || down, "a 0 after {losses} losses");
            down = zero;
            world.written.clear();
            world.written_at.clear();
            if draw() % 10 == 0 {
                losses += 1;
            } else {
                losses = 0;
                world.push(&sender);
            }
        }
        let rate = f64::from(outages) / intervals as f64;
        assert!(rate > expected * 0.5 && rate < expected * 1.2, "m {tolerated}: {rate}");
    }
}
