//! A toy stage under virtual time: it holds every batch for ten seconds of its own time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

mod panic;
mod ports;
mod restore;

use super::*;
use crate::batch::Batch;
use crate::intake::Outputs;
use crate::ledger::reasons;
use crate::spine::OnQuota::Reject;
use crate::spine::memory::MemorySpine;
use crate::spine::{Entry, ReadLimit, Record, Seq};
use crate::stage::{Held, Port};
use crate::testing::{DropNamed, World, destination, names, to};

const HOLD: Duration = Duration::from_secs(10);
const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };
const STAGE: Destination = Destination(0);
const OUT: Destination = Destination(1);

/// What the stage did, in order.
type Diary = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
struct Hold {
    held: VecDeque<(Seq, WallTime, Port, Batch)>,
    diary: Diary,
    /// Batches that it has room for; 0 for any number.
    room: usize,
    /// Calls with something in its hands that makes it panic.
    ticks: AtomicUsize,
    patience: Duration,
}

impl Hold {
    fn write(&self, what: &str, batch: &Batch) {
        self.diary.lock().unwrap().push(format!("{what} {}", names(batch.bytes()).concat()));
    }

    fn release(&mut self, until: WallTime, out: &mut StageOutput) {
        while self.held.front().is_some_and(|(_, deadline, ..)| *deadline <= until) {
            let Some((_, _, port, batch)) = self.held.pop_front() else { return };
            self.write("emit", &batch);
            out.emit(port, batch);
        }
    }
}

impl Stage for Hold {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        let batch = input.batch();
        if names(batch.bytes()) == ["sampled"] {
            return out.drop_items(batch.signal(), reasons::SAMPLED, batch.items());
        }
        let names = names(batch.bytes());
        assert!(!names.iter().any(|name| name == "poison"), "asked to");
        assert!(names != ["x", "y"], "asked to, by no item alone");
        self.write("absorb", batch);
        let deadline = WallTime(now.0 + HOLD.as_nanos() as u64);
        self.held.push_back((input.seq(), deadline, port, Batch::clone(batch)));
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        let late = self.held.iter().any(|(.., batch)| names(batch.bytes()) == ["late poison"]);
        assert!(!late || self.ticks.fetch_add(1, Ordering::Relaxed) >= 2, "asked to, twice");
        self.release(now, out);
    }

    fn reset(&mut self) -> bool {
        self.held.clear();
        self.diary.lock().unwrap().push("reset".to_owned());
        true
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.held.front().map(|(_, deadline, ..)| *deadline)
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.held.front().map(|(seq, ..)| *seq)
    }

    fn held(&self) -> Held {
        Held { items: self.held.iter().map(|(.., batch)| batch.items()).sum(), bytes: self.held.len() * 100 }
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }

    fn drain(&mut self, _now: WallTime, out: &mut StageOutput) {
        self.release(WallTime(u64::MAX), out);
    }

    fn is_full(&self) -> bool {
        self.room > 0 && self.held.len() >= self.room
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        if percent >= 95 {
            self.release(WallTime(u64::MAX), out);
        }
    }
}

struct Running {
    driving: Driving,
    diary: Diary,
}

impl Running {
    async fn end(mut self, how: Ending) {
        self.driving.end(how);
        self.driving.ended().await;
    }
}

fn start(world: &World, spine: &MemorySpine) -> Running {
    start_with(world, spine, Hold::default())
}

fn start_with(world: &World, spine: &MemorySpine, stage: Hold) -> Running {
    let steps: Vec<Arc<crate::Step>> = vec![Arc::new(DropNamed("drop", "filter"))];
    let outputs = Outputs { routes: to(&[1]), ..Outputs::default() };
    let diary = Arc::clone(&stage.diary);
    let driver = StageDriver {
        stage: Box::new(stage),
        ports: vec![STAGE],
        notes: None,
        spine: Arc::new(spine.clone()),
        clock: Arc::new(world.clock.clone()),
        account: world.ledger.stage("hold"),
        memory: world.memory.clone(),
    };
    let branches = vec![world.branch("behind", steps, outputs)];
    Running { driving: driver.start(Behind { branches, lease: None }), diary }
}

fn spine(world: &World, rule: CursorRule) -> MemorySpine {
    let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
    world.spine(30_000, true, rule, &specs)
}

async fn append(world: &World, spine: &MemorySpine, names: &[&str]) {
    let record = Record { batch: world.redacted(names), routes: to(&[0]) };
    spine.append(vec![record]).await.unwrap();
}

/// Lets every task run until none can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn pass(world: &World, seconds: u64) {
    for _ in 0..seconds {
        world.clock.advance(Duration::from_secs(1));
        settle().await;
        world.assert_balanced();
    }
}

fn out(spine: &MemorySpine) -> Vec<String> {
    spine.read(OUT, ALL).iter().flat_map(|entry| names(entry.batch().bytes())).collect()
}

#[tokio::test]
async fn what_is_held_leaves_at_its_deadline_through_the_steps_behind() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let running = start(&world, &spine);
    append(&world, &spine, &["a", "drop"]).await;
    append(&world, &spine, &["sampled"]).await;
    settle().await;
    pass(&world, 9).await;
    assert_eq!(out(&spine), [""; 0]);
    let snapshot = world.ledger.snapshot();
    let stage = snapshot.get("stage/hold").unwrap();
    assert_eq!((stage.held[0], stage.dropped[0].1), (2, "sampled"));
    pass(&world, 1).await;
    assert_eq!(out(&spine), ["a"]);
    let snapshot = world.ledger.snapshot();
    assert_eq!(snapshot.get("pipeline/traces/behind").unwrap().dropped[0].1, "filter");
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test]
async fn the_cursor_never_passes_the_low_watermark() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let running = start(&world, &spine);
    append(&world, &spine, &["a"]).await;
    pass(&world, 5).await;
    append(&world, &spine, &["b"]).await;
    append(&world, &spine, &["sampled"]).await;
    pass(&world, 4).await;
    // Absorbed, even dropped, and yet all owed: "a" is still held.
    assert_eq!(spine.backlog(STAGE).records, 3);
    pass(&world, 1).await;
    assert_eq!((out(&spine), spine.backlog(STAGE).oldest.unwrap().0), (vec!["a".to_owned()], Seq(1)));
    pass(&world, 5).await;
    assert_eq!((out(&spine), spine.backlog(STAGE).records), (vec!["b".to_owned()], 0));
    running.end(Ending::Shutdown).await;
}

#[tokio::test]
async fn after_a_crash_a_replay_from_the_watermark_sees_the_same_windows() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let first = start(&world, &spine);
    for name in ["a", "b", "c", "d"] {
        append(&world, &spine, &[name]).await;
        pass(&world, 4).await;
    }
    // At 16 s: "a" left at 10 s and "b" at 14 s.
    assert_eq!(out(&spine), ["a", "b"]);
    first.driving.task.abort();
    assert!(first.driving.task.await.unwrap_err().is_cancelled());

    world.clock.advance(Duration::from_secs(3600));
    let second = start(&world, &spine);
    settle().await;
    assert_eq!(out(&spine), ["c", "d"]);
    assert_eq!(*second.diary.lock().unwrap(), ["absorb c", "absorb d", "emit c", "emit d"]);
    assert_eq!(spine.backlog(STAGE).records, 0);
    world.assert_balanced();
    second.end(Ending::Shutdown).await;
}

#[tokio::test]
async fn deadlines_within_a_backlog_fall_where_they_would_have_without_one() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    for name in ["a", "b", "c", "d"] {
        append(&world, &spine, &[name]).await;
        world.clock.advance(Duration::from_secs(6));
    }
    let late = start(&world, &spine);
    settle().await;
    let expected = ["absorb a", "absorb b", "emit a", "absorb c", "emit b", "absorb d", "emit c"];
    assert_eq!(*late.diary.lock().unwrap(), expected);
    pass(&world, 4).await;
    assert_eq!(late.diary.lock().unwrap().last().unwrap(), "emit d");
    late.end(Ending::Shutdown).await;
}

#[tokio::test]
async fn in_memory_the_cursor_advances_on_absorption_and_shutdown_decides_what_is_held() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Absorbed);
    let running = start(&world, &spine);
    append(&world, &spine, &["a"]).await;
    settle().await;
    assert_eq!((spine.backlog(STAGE).records, spine.usage().0), (0, 0));
    append(&world, &spine, &["b"]).await;
    running.end(Ending::Shutdown).await;
    assert_eq!(out(&spine), ["a", "b"]);
    world.assert_balanced();
}

#[tokio::test]
async fn where_the_log_survives_shutdown_leaves_what_is_held_and_removal_decides_it() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Emitted);
    let running = start(&world, &spine);
    append(&world, &spine, &["a"]).await;
    settle().await;
    running.end(Ending::Shutdown).await;
    assert_eq!((out(&spine).len(), spine.backlog(STAGE).records), (0, 1));
    start(&world, &spine).end(Ending::Removed).await;
    assert_eq!((out(&spine), spine.backlog(STAGE).records), (vec!["a".to_owned()], 0));
    world.assert_balanced();
}

#[tokio::test]
async fn without_room_behind_it_a_stage_waits_and_reads_nothing() {
    let world = World::new();
    let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
    // A third for derived records, shared by two destinations: room for two behind the stage.
    let spine = world.spine(7_000, true, CursorRule::Absorbed, &specs);
    let running = start(&world, &spine);
    for name in ["a", "b", "c"] {
        append(&world, &spine, &[name]).await;
        settle().await;
        pass(&world, 10).await;
    }
    assert_eq!(spine.backlog(OUT).records, 2);
    append(&world, &spine, &["d"]).await;
    pass(&world, 20).await;
    assert_eq!((spine.backlog(OUT).records, spine.backlog(STAGE).items[0]), (2, 1));
    let entry = spine.read(OUT, ALL).remove(0);
    spine.complete(OUT, entry.seq(), crate::spine::Completion::delivered(1));
    drop(entry);
    settle().await;
    assert_eq!(spine.backlog(OUT).records, 2);
    assert_eq!(spine.backlog(STAGE).records, 0);
    world.assert_balanced();
    // "d" is held and finds no room at the end: lost with the memory, and counted.
    running.driving.end(Ending::Shutdown);
    settle().await;
    assert!(!running.driving.is_finished(), "it waits for room");
    running.end(Ending::Now).await;
    let snapshot = world.ledger.check();
    assert_eq!(snapshot.get("stage/hold").unwrap().dropped, [("hold".into(), "shutdown_memory_mode", [1, 0, 0])]);
    world.assert_balanced();
}

#[tokio::test]
async fn a_full_class_makes_the_stage_give_back_early() {
    let mut world = World::new();
    world.memory = MemBudget::new(4_000, Arc::new(world.clock.clone()));
    let roomy = World::new();
    let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
    let spine =
        MemorySpine::new(60_000, true, CursorRule::Absorbed, roomy.memory.clone(), &world.ledger, &specs).unwrap();
    let running = start(&world, &spine);
    for _ in 0..9 {
        append(&world, &spine, &["a"]).await;
        settle().await;
    }
    assert_eq!((out(&spine).len(), world.memory.used(Class::State)), (0, 900));
    append(&world, &spine, &["a"]).await;
    settle().await;
    assert_eq!((out(&spine).len(), world.memory.used(Class::State)), (10, 0));
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test]
async fn a_full_stage_reads_nothing_and_the_log_refuses_what_is_too_much() {
    for rule in [CursorRule::Emitted, CursorRule::Absorbed] {
        let world = World::new();
        let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
        let spine = world.spine(20_000, true, rule, &specs);
        let running = start_with(&world, &spine, Hold { room: 2, ..Hold::default() });
        for name in ["a", "b", "c"] {
            append(&world, &spine, &[name]).await;
        }
        settle().await;
        pass(&world, 9).await;
        assert_eq!(*running.diary.lock().unwrap(), ["absorb a", "absorb b"]);
        // The clock goes on: room comes of itself, and each one waits its ten seconds.
        pass(&world, 2).await;
        assert_eq!(*running.diary.lock().unwrap(), ["absorb a", "absorb b", "emit a", "emit b", "absorb c"]);
        pass(&world, 8).await;
        let mut accepted = 0;
        let refusal = loop {
            let record = Record { batch: world.redacted(&["d"]), routes: to(&[0]) };
            match spine.append(vec![record]).await {
                Ok(_) => accepted += 1,
                Err(refusal) => break refusal,
            }
            settle().await;
        };
        assert!(accepted > 2 && refusal.is_retryable(), "{accepted} {refusal}");
        assert_eq!(running.diary.lock().unwrap().iter().filter(|it| it.starts_with("absorb")).count(), 4);
        pass(&world, 3).await;
        assert!(running.diary.lock().unwrap().len() > 6, "it goes on");
        running.end(Ending::Now).await;
        world.assert_balanced();
    }
}

#[tokio::test]
async fn output_that_can_never_fit_is_dropped_and_counted() {
    let world = World::new();
    let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
    let spine = world.spine(7_000, true, CursorRule::Emitted, &specs);
    let running = start(&world, &spine);
    append(&world, &spine, &vec!["a name"; 80]).await;
    append(&world, &spine, &["b"]).await;
    pass(&world, 10).await;
    assert_eq!((out(&spine), spine.backlog(STAGE).records), (vec!["b".to_owned()], 0));
    let snapshot = world.ledger.snapshot();
    assert_eq!(snapshot.get("stage/hold").unwrap().dropped, [("hold".into(), "limit_size", [80, 0, 0])]);
    running.end(Ending::Shutdown).await;
}

#[tokio::test]
async fn a_patient_stage_takes_in_together_what_comes_one_after_the_other() {
    let world = World::new();
    let spine = spine(&world, CursorRule::Absorbed);
    let running = start_with(&world, &spine, Hold { patience: Duration::from_millis(20), ..Hold::default() });
    let later = async |ms| {
        world.clock.advance(Duration::from_millis(ms));
        settle().await;
    };
    settle().await;
    later(100).await;
    append(&world, &spine, &["a"]).await;
    settle().await;
    assert_eq!(*running.diary.lock().unwrap(), ["absorb a"], "one that comes alone is not kept waiting");
    for name in ["b", "c"] {
        later(5).await;
        append(&world, &spine, &[name]).await;
        settle().await;
    }
    assert_eq!(spine.backlog(STAGE).records, 2);
    later(9).await;
    assert_eq!(running.diary.lock().unwrap().len(), 1);
    later(1).await;
    assert_eq!(*running.diary.lock().unwrap(), ["absorb a", "absorb b", "absorb c"]);
    // Each waits from when it came, and no deadline is late.
    later(9_980).await;
    append(&world, &spine, &["d"]).await;
    settle().await;
    later(5).await;
    assert_eq!(out(&spine), ["a", "b"]);
    assert_eq!(spine.backlog(STAGE).records, 0, "who is awake reads");
    later(5).await;
    assert_eq!(out(&spine), ["c"]);
    append(&world, &spine, &["e"]).await;
    running.end(Ending::Shutdown).await;
    assert_eq!(out(&spine), ["d", "e"], "at the end nothing is left unread");
    world.assert_balanced();
}
