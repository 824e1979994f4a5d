//! Several ports, what is noted, and a journal that outlives the process.

use std::path::Path;

use sluice_journal::Config;
use sluice_journal::vfs::disk::DiskVfs;

use super::*;
use crate::spine::durable::{DurableSpine, Surroundings};
use crate::spine::{DestinationSpec, NOTES, Role};

/// Holds batches until one named `go` comes, which goes with them; notes what it has emitted, and emits nothing twice.
#[derive(Default)]
struct Once {
    held: Vec<(Seq, Port, Batch)>,
    known: Vec<String>,
    diary: Diary,
}

impl Once {
    fn write(&self, what: String) {
        self.diary.lock().unwrap().push(what);
    }
}

impl Stage for Once {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        let name = names(input.batch().bytes()).concat();
        self.write(format!("{} {name}", port.0));
        if self.known.contains(&name) {
            return out.drop_items(input.batch().signal(), reasons::DEDUP, input.batch().items());
        }
        self.held.push((input.seq(), port, Batch::clone(input.batch())));
        if name == "go" {
            self.drain(now, out);
        }
    }

    fn tick(&mut self, _now: WallTime, _out: &mut StageOutput) {}

    fn next_deadline(&self) -> Option<WallTime> {
        None
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.held.first().map(|(seq, ..)| *seq)
    }

    fn held(&self) -> Held {
        Held { items: self.held.iter().map(|(.., batch)| batch.items()).sum(), bytes: 0 }
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        for (_, port, batch) in self.held.drain(..) {
            let name = names(batch.bytes()).concat();
            // What begins with "l" is needed for a long time, everything else for ten seconds.
            let needed = if name.starts_with('l') { 10 * HOLD } else { HOLD };
            out.note(name.clone().into(), WallTime(now.0 + needed.as_nanos() as u64));
            self.known.push(name);
            out.emit(port, batch);
        }
    }

    fn recall(&mut self, note: &[u8], _now: WallTime) {
        let name = String::from_utf8(note.to_vec()).unwrap();
        self.write(format!("recall {name}"));
        self.known.push(name);
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

fn specs() -> Vec<DestinationSpec> {
    let port = |name: &str| DestinationSpec::of_stage(name.into(), Role::Stage);
    let notes = DestinationSpec::of_stage(format!("once{NOTES}").into(), Role::Notes);
    let out = |name: &str| destination(name, None, Reject);
    vec![port("a/once"), port("b/once"), out("a/out"), out("b/out"), notes]
}

fn open(world: &World, directory: &Path) -> DurableSpine {
    open_with(world, directory, &specs(), 64 << 20)
}

/// A journal that keeps so many bytes of the newest records in memory.
pub(super) fn open_with(world: &World, directory: &Path, specs: &[DestinationSpec], tail: u64) -> DurableSpine {
    let around = Surroundings {
        name: "journal",
        memory: world.memory.clone(),
        clock: Arc::new(world.clock.clone()),
        ledger: &world.ledger,
        telemetry: &world.telemetry,
    };
    let mut config = Config { ballast: 0, stages: true, ..Config::sized(256 << 20) };
    (config.segment_size, config.tail_bytes) = (8 << 20, tail);
    let vfs = Arc::new(DiskVfs::open(&directory.join("journal"), true).unwrap());
    DurableSpine::open(vfs, config, around, specs).unwrap().0
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn drive(world: &World, spine: Arc<dyn Spine>, notes: Option<Destination>) -> Running {
    let diary = Diary::default();
    let driver = StageDriver {
        stage: Box::new(Once { diary: Arc::clone(&diary), ..Once::default() }),
        ports: vec![Destination(0), Destination(1)],
        notes,
        spine,
        clock: Arc::new(world.clock.clone()),
        account: world.ledger.stage("once"),
        memory: world.memory.clone(),
    };
    let steps: Vec<Arc<crate::Step>> = vec![Arc::new(DropNamed("drop", "filter"))];
    let branch = |name: &str, route| {
        let outputs = Outputs { routes: to(&[route]), ..Outputs::default() };
        world.branch(name, steps.clone(), outputs)
    };
    let branches = vec![branch("a/once", 2), branch("b/once", 3)];
    Running { driving: driver.start(Behind { branches, lease: None }), diary }
}

async fn append_to(world: &World, spine: &dyn Spine, name: &str, ports: &[u8]) {
    spine.append(vec![Record { batch: world.redacted(&[name]), routes: to(ports) }]).await.unwrap();
}

fn came(spine: &dyn Spine, port: u8) -> Vec<String> {
    spine.read(Destination(2 + port), ALL).iter().flat_map(|entry| names(entry.batch().bytes())).collect()
}

/// Until the diary says so.
async fn says(running: &Running, what: &str) {
    let said = async {
        while !running.diary.lock().unwrap().iter().any(|line| line == what) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), said).await.unwrap_or_else(|_| panic!("never says {what:?}"));
}

/// Until a port has passed everything.
async fn passes(spine: &dyn Spine, port: u8) {
    let passed = async {
        while spine.backlog(Destination(port)).records > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), passed).await.expect("the cursor moves");
}

#[tokio::test]
async fn entries_of_all_ports_come_in_their_order_and_go_back_where_they_came_from() {
    let world = World::new();
    let spine = world.spine(4 << 20, true, CursorRule::Absorbed, &specs());
    // A backlog longer than one read at one port, with single entries at the other in between.
    let mut expected = Vec::new();
    for number in 0..200 {
        let ports: &[u8] = if number % 90 == 7 { &[0, 1] } else { &[0] };
        append_to(&world, &spine, &number.to_string(), ports).await;
        expected.extend(ports.iter().map(|port| format!("{port} {number}")));
    }
    append_to(&world, &spine, "go", &[1]).await;
    expected.push("1 go".to_owned());
    let running = drive(&world, Arc::new(spine.clone()), None);
    settle().await;
    assert_eq!(*running.diary.lock().unwrap(), expected);
    assert_eq!((came(&spine, 0).len(), came(&spine, 1)), (200, ["7", "97", "187", "go"].map(str::to_owned).to_vec()));
    world.assert_balanced();
    running.end(Ending::Shutdown).await;
}

#[tokio::test]
async fn no_port_passes_what_another_one_still_holds() {
    let world = World::new();
    let spine = world.spine(100_000, true, CursorRule::Emitted, &specs());
    let running = drive(&world, Arc::new(spine.clone()), None);
    append_to(&world, &spine, "x", &[1]).await;
    append_to(&world, &spine, "y", &[0]).await;
    settle().await;
    assert_eq!(spine.backlog(Destination(0)).records + spine.backlog(Destination(1)).records, 2);
    append_to(&world, &spine, "go", &[0]).await;
    settle().await;
    assert_eq!((came(&spine, 0), came(&spine, 1)), (vec!["y".to_owned(), "go".to_owned()], vec!["x".to_owned()]));
    assert_eq!(spine.backlog(Destination(0)).records + spine.backlog(Destination(1)).records, 0);
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_on_a_journal_what_was_held_is_read_again_and_what_was_noted_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, directory.path());
    let notes = spine.destination(&format!("once{NOTES}"));
    assert!(notes.is_some());
    let running = drive(&world, Arc::new(spine.clone()), notes);
    for (name, port) in [("long", 0), ("short", 1), ("go", 0)] {
        append_to(&world, &spine, name, &[port]).await;
    }
    says(&running, "0 go").await;
    passes(&spine, 0).await;
    append_to(&world, &spine, "held", &[1]).await;
    says(&running, "1 held").await;
    world.assert_balanced();
    assert!(world.ledger.snapshot().accounts.iter().all(|account| !account.scope.contains(NOTES)), "no telemetry");
    // Killed: what is on disk now is all that there is.
    let left = tempfile::tempdir().unwrap();
    copy(&directory.path().join("journal"), &left.path().join("journal"));
    running.driving.task.abort();

    world.clock.advance(Duration::from_secs(30));
    let again = World { clock: world.clock.clone(), ..World::new() };
    let spine = open(&again, left.path());
    let running = drive(&again, Arc::new(spine.clone()), spine.destination(&format!("once{NOTES}")));
    says(&running, "1 held").await;
    // Its windows are as old as their entries: then both were needed.
    let lines = running.diary.lock().unwrap().clone();
    assert_eq!(lines, ["recall long", "recall short", "recall go", "1 held"]);
    append_to(&again, &spine, "long", &[0]).await;
    says(&running, "0 long").await;
    append_to(&again, &spine, "go2", &[0]).await;
    says(&running, "0 go2").await;
    again.assert_balanced();
    running.end(Ending::Removed).await;
    let mut all = [came(&spine, 0), came(&spine, 1)].concat();
    all.sort();
    assert_eq!(all, ["go", "go2", "held", "long", "short"], "each once");
    assert_eq!(spine.backlog(notes.unwrap()).records, 0, "nobody will ask for them");
    again.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_goes_when_the_time_of_the_stage_has_passed_it() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new();
    let spine = open(&world, directory.path());
    let notes = spine.destination(&format!("once{NOTES}")).unwrap();
    let running = drive(&world, Arc::new(spine.clone()), Some(notes));
    append_to(&world, &spine, "short", &[0]).await;
    append_to(&world, &spine, "go", &[0]).await;
    passes(&spine, 0).await;
    append_to(&world, &spine, "a", &[0]).await;
    says(&running, "0 a").await;
    assert_eq!(spine.backlog(notes).records, 2);
    world.clock.advance(HOLD);
    append_to(&world, &spine, "b", &[0]).await;
    says(&running, "0 b").await;
    let gone = async {
        while spine.backlog(notes).records > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("they go");
    running.end(Ending::Shutdown).await;
    world.assert_balanced();
}

#[tokio::test]
async fn in_memory_notes_have_no_effect() {
    let world = World::new();
    let spine = world.spine(100_000, true, CursorRule::Absorbed, &specs());
    let running = drive(&world, Arc::new(spine.clone()), Some(Destination(4)));
    append_to(&world, &spine, "go", &[0]).await;
    settle().await;
    assert_eq!((came(&spine, 0), spine.backlog(Destination(4)).records), (vec!["go".to_owned()], 0));
    running.end(Ending::Shutdown).await;
}
