//! A stage that gives up what it took, and is given it again from the log.

use super::ports::open_with;
use super::*;

/// Holds nothing but the place of each entry in the log; after ten seconds it wants those again.
#[derive(Default)]
struct Cold {
    held: VecDeque<(Seq, WallTime, Port, usize)>,
    wanted: Vec<(Port, Seq)>,
    lost: Diary,
}

impl Stage for Cold {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, _out: &mut StageOutput) {
        let deadline = WallTime(now.0 + HOLD.as_nanos() as u64);
        self.held.push_back((input.seq(), deadline, port, input.batch().items()));
    }

    fn tick(&mut self, now: WallTime, _out: &mut StageOutput) {
        let due = self.held.iter().filter(|(_, deadline, ..)| *deadline <= now);
        self.wanted = due.map(|&(seq, _, port, _)| (port, seq)).collect();
    }

    fn wanted(&self) -> Vec<(Port, Seq)> {
        self.wanted.clone()
    }

    fn restore(&mut self, port: Port, seq: Seq, input: Option<&Entry>, _now: WallTime, out: &mut StageOutput) {
        self.wanted.retain(|wanted| *wanted != (port, seq));
        let at = self.held.iter().position(|(held, ..)| *held == seq).unwrap();
        let (.., items) = self.held.remove(at).unwrap();
        match input {
            Some(entry) => out.emit(port, Batch::clone(entry.batch())),
            None => {
                self.lost.lock().unwrap().push(seq.0.to_string());
                out.drop_items(crate::Signal::Traces, reasons::CORRUPT, items);
            }
        }
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.held.front().map(|(_, deadline, ..)| *deadline)
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.held.front().map(|(seq, ..)| *seq)
    }

    fn held(&self) -> Held {
        Held { items: self.held.iter().map(|(.., items)| items).sum(), bytes: 0 }
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }

    fn drain(&mut self, _now: WallTime, out: &mut StageOutput) {
        self.tick(WallTime(u64::MAX), out);
    }
}

fn drive(world: &World, spine: Arc<dyn Spine>) -> Driving {
    let driver = StageDriver {
        stage: Box::new(Cold::default()),
        ports: vec![STAGE],
        notes: None,
        spine,
        clock: Arc::new(world.clock.clone()),
        account: world.ledger.stage("hold"),
        memory: world.memory.clone(),
    };
    let outputs = Outputs { routes: to(&[1]), ..Outputs::default() };
    driver.start(Behind { branches: vec![world.branch("behind", Vec::new(), outputs)], lease: None })
}

async fn fill(world: &World, spine: &dyn Spine) -> Vec<String> {
    let mut all = Vec::new();
    for n in 0..300 {
        let name = n.to_string();
        // Some for others lie between them.
        let record = Record { batch: world.redacted(&[&name]), routes: to(&[u8::from(n % 3 == 0)]) };
        spine.append(vec![record]).await.unwrap();
        all.extend((n % 3 != 0).then_some(name));
    }
    all
}

#[tokio::test]
async fn everything_comes_again_when_it_is_due() {
    let world = World::new();
    let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
    let spine = world.spine(4 << 20, true, CursorRule::Emitted, &specs);
    let expected = fill(&world, &spine).await;
    out(&spine);
    let mut driving = drive(&world, Arc::new(spine.clone()));
    let mut found = Vec::new();
    // Reading is for a thread that may wait.
    while found.len() < expected.len() {
        world.clock.advance(Duration::from_secs(1));
        settle().await;
        found.extend(out(&spine));
        std::thread::yield_now();
    }
    assert_eq!((found, spine.backlog(STAGE).records), (expected, 0));
    world.assert_balanced();
    driving.end(Ending::Shutdown);
    driving.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_again_from_a_journal_that_has_it_only_on_disk() {
    for ending in [None, Some(Ending::Removed)] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new();
        let specs = [destination("hold", None, Reject), destination("out", None, Reject)];
        let spine = open_with(&world, directory.path(), &specs, 0);
        let expected = fill(&world, &spine).await;
        out_of(&spine);
        let mut driving = drive(&world, Arc::new(spine.clone()));
        let absorbed = async {
            while world.ledger.snapshot().get("stage/hold").is_none_or(|stage| stage.held[0] < expected.len() as u64) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), absorbed).await.expect("it reads everything");
        match ending {
            None => world.clock.advance(HOLD),
            Some(ending) => driving.end(ending),
        }
        let gone = async {
            while spine.backlog(STAGE).records > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it lets go of everything");
        assert_eq!(out_of(&spine), expected);
        world.assert_balanced();
        driving.end(Ending::Shutdown);
        driving.ended().await;
    }
}

fn out_of(spine: &dyn Spine) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let entries = spine.read(OUT, ALL);
        if entries.is_empty() {
            return all;
        }
        all.extend(entries.iter().flat_map(|entry| names(entry.batch().bytes())));
    }
}
