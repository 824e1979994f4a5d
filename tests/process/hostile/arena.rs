//! One collector, good clients that go on all the time, and one attack after another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::good::{Good, Served};
use super::resident;
use super::table::{Row, shown};
use crate::sluice::Sluice;
use crate::wire::http;

/// Between two rounds of one attacker.
const PAUSE: Duration = Duration::from_millis(1);
/// How often an attack is looked at again when good clients were slow beside it: a busy machine is no fault of ours.
const TRIES: usize = 4;

/// Where the collector is.
#[derive(Clone, Copy)]
pub struct Target {
    pub grpc: u16,
    pub http: u16,
}

/// One round of an attack, to its end: what was seen.
pub type Round = Arc<dyn Fn(Target) -> BoxFuture<'static, String> + Send + Sync>;

/// Something a hostile peer does.
pub struct Attack {
    name: String,
    wire: &'static str,
    expected: &'static str,
    cause: Option<&'static str>,
    attackers: usize,
    lasts: Option<Duration>,
    round: Round,
}

impl Attack {
    /// `expected`: answers that are right, with `|` between them.
    pub fn new<F>(
        name: impl Into<String>,
        wire: &'static str,
        expected: &'static str,
        round: impl Fn(Target) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        let round: Round = Arc::new(move |target| Box::pin(round(target)));
        Attack { name: name.into(), wire, expected, cause: None, attackers: 1, lasts: None, round }
    }

    /// Every round is counted as a refusal for this cause.
    pub fn counted(mut self, cause: &'static str) -> Self {
        self.cause = Some(cause);
        self
    }

    /// So many at a time.
    pub fn by(mut self, attackers: usize) -> Self {
        self.attackers = attackers;
        self
    }

    /// Rounds begin for so long, instead of the usual time.
    pub fn lasting(mut self, lasts: Duration) -> Self {
        self.lasts = Some(lasts);
        self
    }
}

/// What good clients are held to.
#[derive(Clone, Copy)]
struct Rule {
    /// How long an attack lasts.
    window: Duration,
    /// How long good clients are watched alone before the first attack, and between two.
    alone: Duration,
    between: Duration,
    /// Times below this are no delay, whatever they were alone.
    floor: Duration,
}

/// `SLUICE_HOSTILE_SECONDS=3`: each attack for so long, on a quiet machine, and good clients within twice their p99, or 20 ms:
/// two turns of the kernel's scheduler between attackers, clients and collector on a few processors. Their p99 is that of all the
/// time that they were alone with this collector: some thousand requests, so that it is not one of the slowest few by chance.
/// Without it each attack takes a fifth of a second, beside other tests, and 250 ms are no delay.
fn rule() -> Rule {
    match std::env::var("SLUICE_HOSTILE_SECONDS").ok().and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => Rule {
            window: Duration::from_secs_f64(seconds),
            alone: Duration::from_secs(4),
            between: Duration::from_millis(300),
            floor: Duration::from_millis(20),
        },
        None => Rule {
            window: Duration::from_millis(200),
            alone: Duration::from_millis(100),
            between: Duration::from_millis(50),
            floor: Duration::from_millis(250),
        },
    }
}

/// Whether there is time for everything.
pub fn is_long() -> bool {
    std::env::var_os("SLUICE_HOSTILE_SECONDS").is_some()
}

/// One at a time: what one sees of memory and delays is to be its own.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Arena {
    _alone: MutexGuard<'static, ()>,
    title: &'static str,
    pub sluice: Sluice,
    good: Good,
    /// What became of good clients when they were alone.
    alone: Served,
    runtime: tokio::runtime::Runtime,
    rows: Vec<Row>,
    faults: Vec<String>,
}

impl Arena {
    /// Starts a collector with these arguments. `renews`: good clients make new connections all the time.
    pub fn open(title: &'static str, arguments: &[&str], renews: bool) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let sluice = Sluice::start(arguments);
        let good = Good::start(sluice.grpc, sluice.http, renews);
        good.wait();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let lock = alone;
        let alone = watched(&good, rule().alone);
        Arena { _alone: lock, title, sluice, good, alone, runtime, rows: Vec::new(), faults: Vec::new() }
    }

    pub fn target(&self) -> Target {
        Target { grpc: self.sluice.grpc, http: self.sluice.http }
    }

    /// Something else that has to hold.
    pub fn check(&mut self, is_right: bool, fault: impl Into<String>) {
        if !is_right {
            self.faults.push(fault.into());
        }
    }

    /// A metric of the collector: the sum of what begins with this.
    pub fn metric(&self, series: &str) -> u64 {
        value(&http(self.sluice.metrics, "GET", "/metrics", &[], b"").body, series)
    }

    /// How often this was seen of the last attack.
    pub fn seen_last(&self, answer: &str) -> usize {
        let seen = self.rows.last().and_then(|row| row.seen.iter().find(|(seen, _)| seen == answer));
        seen.map_or(0, |(_, times)| *times)
    }

    /// Bytes by which memory grew in the last attack.
    pub fn growth_last(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.growth)
    }

    fn refused(&self, cause: &str) -> u64 {
        self.metric(&format!("sluice_requests_refused_total{{receiver=\"otlp\",cause=\"{cause}\"}}"))
    }

    /// Good clients before an attack, beside it, and after it.
    pub fn face(&mut self, attack: Attack) {
        self.face_all(vec![attack]);
    }

    /// Attacks that go on at the same time, a row each; memory and good clients are the same in all.
    pub fn face_all(&mut self, attacks: Vec<Attack>) {
        for left in (0..TRIES).rev() {
            let rows = self.observe(&attacks, TRIES - left);
            if left == 0 || rows.iter().all(Row::is_in_time) {
                self.faults.extend(rows.iter().flat_map(Row::faults));
                self.rows.extend(rows);
                return;
            }
        }
    }

    fn observe(&mut self, attacks: &[Attack], tries: usize) -> Vec<Row> {
        let rule = rule();
        let process = self.sluice.id();
        let counted: Vec<u64> =
            attacks.iter().map(|attack| attack.cause.map_or(0, |cause| self.refused(cause))).collect();
        let resident = resident::now(process);
        resident::forget_peak(process);
        let from = Instant::now();
        let seen = self.runtime.block_on(all(attacks, self.target(), rule.window));
        let beside = self.good.between(from, Instant::now());
        let growth = resident::peak(process).saturating_sub(resident);
        self.alone.add(watched(&self.good, rule.between));
        let alone = &self.alone;
        let p99_allowed = (alone.p99() * 2).max(rule.floor);
        let rows = attacks.iter().zip(seen).zip(counted).map(|((attack, seen), counted)| Row {
            attack: attack.name.clone(),
            wire: attack.wire,
            expected: attack.expected,
            seen: seen.into_iter().collect(),
            counted: attack.cause.map(|cause| (cause, self.refused(cause) - counted)),
            growth,
            beside: beside.clone(),
            alone: alone.p99(),
            p99_allowed,
            tries,
        });
        rows.collect()
    }

    /// Prints the table. Whatever was not right is told here.
    pub fn close(self) {
        let panics = self.metric("sluice_panics_total");
        let Arena { title, sluice, good, alone, rows, mut faults, .. } = self;
        println!("{}{} requests alone", shown(title, &rows), alone.requests());
        if let Some(error) = alone.errors.first() {
            faults.push(format!("{} errors of good clients that were alone, first {error:?}", alone.errors.len()));
        }
        good.end();
        sluice.signal("TERM");
        let (status, log, _) = sluice.end();
        if !status.success() || panics > 0 {
            faults.push(format!("{panics} panics, {status}: {log}"));
        }
        assert!(faults.is_empty(), "{title}:\n{}", faults.join("\n"));
    }
}

/// Some time with nothing but good clients.
fn watched(good: &Good, time: Duration) -> Served {
    let from = Instant::now();
    std::thread::sleep(time);
    good.between(from, Instant::now())
}

/// The sum of the metrics that begin with this, in what a collector shows of them.
pub fn value(shown: &str, series: &str) -> u64 {
    let values = shown.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum::<f64>() as u64
}

/// Each attack over and over for its time, each by its attackers: what was seen of each, and how often.
async fn all(attacks: &[Attack], target: Target, window: Duration) -> Vec<BTreeMap<String, usize>> {
    let mut running = Vec::new();
    for attack in attacks {
        let lasts = attack.lasts.unwrap_or(window);
        let attackers: Vec<_> = (0..attack.attackers)
            .map(|_| tokio::spawn(rounds(Arc::clone(&attack.round), target, Instant::now() + lasts)))
            .collect();
        running.push(attackers);
    }
    let mut seen = Vec::new();
    for attackers in running {
        let mut of_attack = BTreeMap::new();
        for attacker in attackers {
            for (answer, times) in attacker.await.expect("an attacker") {
                *of_attack.entry(answer).or_default() += times;
            }
        }
        seen.push(of_attack);
    }
    seen
}

async fn rounds(round: Round, target: Target, until: Instant) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    loop {
        *seen.entry(round(target).await).or_default() += 1;
        if Instant::now() >= until {
            return seen;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
