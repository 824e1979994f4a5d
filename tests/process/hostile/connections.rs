//! More connections than anybody needs.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Semaphore};

use super::arena::{Arena, Attack, Target};
use super::ask::connect_from;
use super::malformed::LOOKED_AT;
use super::raw::{PREFACE, SETTINGS, frame};
use super::resident;
use crate::wire::trace;

/// How long connections are held when all are there.
const HELD: Duration = Duration::from_secs(3);
/// Connections that are being made at one time: more would wait for the kernel to try again.
const AT_A_TIME: usize = 300;
/// Connections that a listener keeps, in all and of one source (security §5).
const CAP: usize = 4096;
const CAP_OF_ONE: usize = 256;
/// Connections that the kernel holds before they are accepted.
const BACKLOG: usize = 1024;

/// As many descriptors as the system lets us have, in this process and those that it starts.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

/// Connects from the next of so many sources, says `first`, and waits until all `attackers` have: `held`, or `closed` by then.
fn hold(
    attackers: usize,
    sources: u32,
    is_grpc: bool,
    first: Vec<u8>,
) -> impl Fn(Target) -> futures_util::future::BoxFuture<'static, String> {
    let (next, all) = (AtomicU32::new(0), Arc::new(Barrier::new(attackers)));
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    move |target| {
        let number = next.fetch_add(1, Ordering::Relaxed) % sources;
        let source = Ipv4Addr::new(127, 0, 4 + (number / 250) as u8, (number % 250) as u8 + 1);
        let (port, first) = (if is_grpc { target.grpc } else { target.http }, first.clone());
        let (all, turns) = (Arc::clone(&all), Arc::clone(&turns));
        Box::pin(async move {
            let connecting = async {
                let _turn = turns.acquire().await.ok()?;
                let mut stream = connect_from(source, port).await.ok()?;
                let _ = stream.write_all(&first).await;
                Some(stream)
            };
            let connected = connecting.await;
            all.wait().await;
            let Some(mut stream) = connected else {
                all.wait().await;
                return "no connection".to_owned();
            };
            let reading = async {
                let mut sink = vec![0; 1024];
                while let Ok(1..) = stream.read(&mut sink).await {}
            };
            let outcome = match tokio::time::timeout(HELD, reading).await {
                Err(_) => "held",
                Ok(()) => "closed",
            };
            // Nobody makes room for another before all have looked.
            all.wait().await;
            outcome.to_owned()
        })
    }
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
    for (name, is_grpc, first) in [
        ("idle", false, Vec::new()),
        ("idle", true, Vec::new()),
        ("idle behind a request", false, request()),
        ("idle behind the preface", true, settings),
    ] {
        let wire = if is_grpc { "grpc" } else { "http" };
        let attack =
            Attack::new(format!("{most} connections, {name}"), wire, "held|closed", hold(most, 50, is_grpc, first));
        arena.face(attack.by(most).lasting(Duration::ZERO));
        let deadline = Instant::now() + Duration::from_secs(15);
        while resident::descriptors(arena.sluice.id()) > before + 5 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
        }
        let after = resident::descriptors(arena.sluice.id());
        arena.check(after <= before + 5, format!("{after} descriptors are open instead of {before}"));
        let held = arena.seen_last("held");
        // Some may have been silent for too long when all were there; some of which nothing came may be with the kernel still.
        arena.check((CAP / 4..=CAP + BACKLOG).contains(&held), format!("{held} connections were held, {name}, {wire}"));
        let bytes = arena.growth_last() / held.max(1) as u64;
        println!("{held} connections over {wire}, {name}: {bytes} bytes each");
    }
    let over = arena.metric("sluice_requests_refused_total{receiver=\"otlp\",cause=\"connections\"}");
    arena.check(over as usize >= 2 * (most - CAP), format!("{over} connections were counted as over the cap"));
    arena.close();
}

#[test]
fn one_source_gets_its_share_of_connections_and_others_get_in() {
    descriptors();
    let mut arena = Arena::open("Connections from one source", &["-c", LOOKED_AT], true);
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for (wire, is_grpc, first) in [("http", false, request()), ("grpc", true, settings)] {
        let attack = Attack::new("2,000 connections", wire, "held|closed", hold(2_000, 1, is_grpc, first));
        arena.face(attack.by(2_000).lasting(Duration::ZERO));
        let held = arena.seen_last("held");
        arena.check(
            (CAP_OF_ONE / 4..=CAP_OF_ONE).contains(&held),
            format!("{held} connections of one source were held over {wire}"),
        );
    }
    let over = arena.metric("sluice_requests_refused_total{receiver=\"otlp\",cause=\"connections_per_ip\"}");
    arena.check(over >= 2_000 - CAP_OF_ONE as u64, format!("{over} connections were counted as over the cap"));
    arena.close();
}
