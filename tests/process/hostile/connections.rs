//! More connections than anybody needs.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Semaphore};

use super::arena::{Arena, Attack, Target, value};
use super::ask::connect_from;
use super::malformed::LOOKED_AT;
use super::raw::{PREFACE, SETTINGS, frame};
use super::resident;
use crate::wire::{http, trace};

/// What is not closed within this, when the collector has taken in all connections, is held.
const HELD: Duration = Duration::from_secs(1);
/// Those that it has not accepted until then are known to the kernel at most.
const TAKEN_IN: Duration = Duration::from_secs(5);
/// Connections that are made before the collector has taken them in. The kernel keeps 1,024 for it. From there on it makes
/// connections of which only the client knows, and those are held whatever the collector does.
const AHEAD: usize = 500;
/// Connections that a listener keeps, in all and of one source (security §5).
const CAP: usize = 4096;
const CAP_OF_ONE: usize = 256;

/// As many descriptors as the system lets us have, in this process and those that it starts.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

/// Many that connect, and wait for each other.
struct Crowd {
    attackers: usize,
    /// Addresses that they come from.
    sources: u32,
    is_grpc: bool,
    /// What each says first.
    first: Vec<u8>,
    metrics: u16,
    /// What the collector counts of connections that it has taken in.
    accepted: String,
    /// A counter that says that all are, but for so many, and what it was before the first came.
    counter: String,
    but: usize,
    before: u64,
    next: AtomicU32,
    connected: AtomicUsize,
    failed: AtomicUsize,
    all: Barrier,
    turns: Semaphore,
    began: Mutex<Instant>,
    /// Between the first connection and the look at all of them.
    took: Mutex<Duration>,
    /// Connections that the collector was never given, and those that it had open then.
    never_given: AtomicUsize,
    open: AtomicUsize,
    accepted_before: u64,
}

impl Crowd {
    fn of(arena: &Arena, attackers: usize, sources: u32, is_grpc: bool, first: Vec<u8>) -> Self {
        let transport = if is_grpc { "grpc" } else { "http" };
        let accepted = format!("sluice_listener_accepted_total{{receiver=\"otlp\",transport=\"{transport}\"}}");
        Crowd {
            attackers,
            sources,
            is_grpc,
            first,
            metrics: arena.sluice.metrics,
            accepted: accepted.clone(),
            counter: accepted,
            but: 0,
            before: 0,
            next: AtomicU32::new(0),
            connected: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            all: Barrier::new(attackers),
            turns: Semaphore::new(0),
            began: Mutex::new(Instant::now()),
            took: Mutex::default(),
            never_given: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            accepted_before: 0,
        }
        .counted_from(arena)
    }

    /// Its members are known by another counter, which does not count so many of them.
    fn counted_by(mut self, arena: &Arena, counter: String, but: usize) -> Self {
        (self.counter, self.but) = (counter, but);
        self.counted_from(arena)
    }

    fn counted_from(mut self, arena: &Arena) -> Self {
        self.before = arena.metric(&self.counter);
        self.accepted_before = arena.metric(&self.accepted);
        self
    }

    /// How long it took until all were looked at.
    fn took(&self) -> Duration {
        *self.took.lock().unwrap()
    }

    /// What the collector shows now.
    async fn counted(&self, counter: &str) -> u64 {
        let metrics = self.metrics;
        let text = tokio::task::spawn_blocking(move || http(metrics, "GET", "/metrics", &[], b"").body).await;
        value(&text.unwrap_or_default(), counter)
    }

    /// Lets members go as others are taken in, until all are on their way.
    async fn pace(&self) {
        let (before, gone) = (self.counted(&self.accepted).await, self.failed.load(Ordering::Relaxed));
        let mut let_go = 0;
        while let_go < self.attackers {
            let done = self.counted(&self.accepted).await - before;
            let failed = self.failed.load(Ordering::Relaxed) - gone;
            let may = (done as usize + failed + AHEAD).min(self.attackers);
            self.turns.add_permits(may.saturating_sub(let_go));
            let_go = let_go.max(may);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many the collector was never given.
    fn never_given(&self) -> usize {
        self.never_given.load(Ordering::Relaxed)
    }

    /// One of them: whether its connection is `held` or `closed` when the collector has taken in all.
    async fn member(self: Arc<Self>, target: Target) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if (number as usize).is_multiple_of(self.attackers) {
            *self.began.lock().unwrap() = Instant::now();
            let crowd = Arc::clone(&self);
            tokio::spawn(async move { crowd.pace().await });
        }
        let number = number % self.sources;
        let source = Ipv4Addr::new(127, 0, 4 + (number / 250) as u8, (number % 250) as u8 + 1);
        let port = if self.is_grpc { target.grpc } else { target.http };
        let connecting = async {
            self.turns.acquire().await.ok()?.forget();
            let mut stream = connect_from(source, port).await.ok()?;
            self.connected.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(&self.first).await;
            Some(stream)
        };
        let connected = connecting.await;
        if connected.is_none() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.all.wait().await.is_leader() {
            self.wait_until_taken_in().await;
        }
        self.all.wait().await;
        let outcome = match connected {
            None => "no connection",
            Some(mut stream) => {
                let reading = async {
                    let mut sink = vec![0; 1024];
                    while let Ok(1..) = stream.read(&mut sink).await {}
                };
                let is_held = tokio::time::timeout(HELD, reading).await.is_err();
                // Nobody makes room for another before all have looked.
                self.all.wait().await;
                return if is_held { "held" } else { "closed" }.to_owned();
            }
        };
        self.all.wait().await;
        outcome.to_owned()
    }

    /// What the kernel has accepted for the collector it may not have seen yet.
    async fn wait_until_taken_in(&self) {
        let deadline = Instant::now() + TAKEN_IN;
        let crowds = self.next.load(Ordering::Relaxed) as usize / self.attackers;
        let wanted = self.before + self.connected.load(Ordering::Relaxed).saturating_sub(crowds * self.but) as u64;
        while Instant::now() < deadline && self.counted(&self.counter).await < wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let connected = self.connected.load(Ordering::Relaxed) as u64;
        let never_given = (self.accepted_before + connected).saturating_sub(self.counted(&self.accepted).await);
        self.never_given.store(never_given as usize, Ordering::Relaxed);
        let open = self.accepted.replace("_accepted_total", "_connections");
        self.open.store(self.counted(&open).await as usize, Ordering::Relaxed);
        *self.took.lock().unwrap() = self.began.lock().unwrap().elapsed();
    }
}

/// The attack of a crowd.
fn attack(name: String, wire: &'static str, crowd: &Arc<Crowd>) -> Attack {
    let (crowd, attackers) = (Arc::clone(crowd), crowd.attackers);
    let member = move |target: Target| Arc::clone(&crowd).member(target);
    Attack::new(name, wire, "held|closed", member).by(attackers).lasting(Duration::ZERO)
}

/// A whole request, good.
fn request() -> Vec<u8> {
    let good = trace("x");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        good.len()
    );
    [head.as_bytes(), &good].concat()
}

#[test]
fn ten_thousand_connections_are_held_up_to_the_cap_and_the_rest_is_closed() {
    let most = descriptors().saturating_sub(500).min(10_000);
    println!("\n{most} connections: the system allows {} descriptors", descriptors());
    let mut arena = Arena::open("Connections from everywhere", &["-c", LOOKED_AT], false);
    let before = resident::descriptors(arena.sluice.id());
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let mut over = 0;
    // With the seconds after which the first of them are closed for another reason.
    for (name, is_grpc, first, closed_after) in [
        ("idle", false, Vec::new(), 10),
        ("idle", true, Vec::new(), 10),
        ("idle behind a request", false, request(), 60),
        ("idle behind the preface", true, settings, 30),
    ] {
        let wire = if is_grpc { "grpc" } else { "http" };
        let crowd = Arc::new(Crowd::of(&arena, most, 50, is_grpc, first));
        arena.face(attack(format!("{most} connections, {name}"), wire, &crowd));
        let deadline = Instant::now() + Duration::from_secs(15);
        while resident::descriptors(arena.sluice.id()) > before + 5 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
        }
        let after = resident::descriptors(arena.sluice.id());
        arena.check(after <= before + 5, format!("{after} descriptors are open instead of {before}"));
        let (held, took) = (arena.seen_last("held").saturating_sub(crowd.never_given()), crowd.took());
        // One more is the good client's. One that the kernel had kept from the crowd before, closed by then, may have a place for
        // a moment.
        let open = crowd.open.load(Ordering::Relaxed);
        let is_early = took + HELD < Duration::from_secs(closed_after);
        let is_right = if is_early { open == CAP && (CAP - 5..CAP).contains(&held) } else { open <= CAP && held < CAP };
        over += if is_early { most - crowd.never_given() - (CAP - 1) } else { 0 };
        arena.check(is_right, format!("{open} connections were open, {held} held, {name}, {wire}, after {took:.1?}"));
        let bytes = arena.growth_last() / held.max(1) as u64;
        let never_given = crowd.never_given();
        println!(
            "{open} open, {held} held over {wire}, {name}, after {took:.1?}: {bytes} bytes each; {never_given} never reached it"
        );
    }
    let counted = arena.metric("sluice_requests_refused_total{receiver=\"otlp\",cause=\"connections\"}");
    arena.check(counted as usize >= over, format!("{counted} were counted as over the cap instead of {over}"));
    arena.close();
}

#[test]
fn one_source_gets_its_share_of_connections_and_others_get_in() {
    descriptors();
    let mut arena = Arena::open("Connections from one source", &["-c", LOOKED_AT], true);
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let refused = "sluice_requests_refused_total{receiver=\"otlp\",cause=\"connections_per_ip\"}";
    for (wire, is_grpc, first) in [("http", false, request()), ("grpc", true, settings)] {
        let crowd = Crowd::of(&arena, 2_000, 1, is_grpc, first).counted_by(&arena, refused.to_owned(), CAP_OF_ONE);
        let crowd = Arc::new(crowd);
        arena.face(attack("2,000 connections".to_owned(), wire, &crowd));
        let (held, took) = (arena.seen_last("held"), crowd.took());
        let fault = format!("{held} connections of one source were held over {wire}, looked at after {took:.1?}");
        arena.check(held == CAP_OF_ONE, fault);
    }
    arena.close();
}

/// The same caps as they are written.
#[test]
fn as_many_connections_are_held_as_the_configuration_says() {
    let config = LOOKED_AT.replace(
        "{grpc: , http: }",
        "{grpc: {max_connections: 41, max_connections_per_ip: 7, trusted_proxies: [127.0.4.2]},
          http: {max_connections: 31, max_connections_per_ip: 9, trusted_proxies: [127.0.4.0/30]}}",
    );
    let mut arena = Arena::open("Connections as configured", &["-c", &config], false);
    // In turns from 127.0.4.1, .2 and .3; a good client has a connection besides.
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for (wire, is_grpc, first, held) in [("grpc", true, settings, 40), ("http", false, request(), 30)] {
        let crowd = Arc::new(Crowd::of(&arena, 120, 3, is_grpc, first));
        arena.face(attack("120 connections, of three sources".to_owned(), wire, &crowd));
        arena.check(arena.seen_last("held") == held, format!("{} were held over {wire}", arena.seen_last("held")));
    }
    let refused =
        |cause: &str| arena.metric(&format!("sluice_requests_refused_total{{receiver=\"otlp\",cause=\"{cause}\"}}"));
    let (total, of_one) = (refused("connections"), refused("connections_per_ip"));
    arena.check(total > 90 && of_one > 0, format!("{total} and {of_one} were counted as over the caps"));
    arena.close();
}
