//! What it costs (`up`, Cost): printed, never asserted as time. Run with `--ignored --nocapture`.

use std::time::Instant;

use super::world::*;
use crate::up::config::Signal;
use crate::up::emit::encode;
use crate::up::engine::Arrival;
use crate::up::observer::Observer;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "prints figures"]
fn t27_a_hundred_thousand_targets_and_ten_thousand_pushes_a_second() {
    let yaml = "{jobs: [{job_name: app, scrape_interval: 60s, expected_interval: 10s}]}";
    let mut world = World::new(yaml);
    let names: Vec<String> = (0..100_000).map(|i| format!("instance-{i}:8080")).collect();
    let instances: Vec<&str> = names.iter().map(String::as_str).collect();
    let observer = Observer::new(seed(), 400_000);
    let targets = world.targets(&instances);
    let before = resident_kib();
    let start = Instant::now();
    let now = world.now();
    world.engine.sync(crate::up::engine::JobId(0), &targets, now);
    println!("sync: {:?}, {} B/target", start.elapsed(), (resident_kib() - before) * 1024 / 100_000);
    let arrival = Arrival { items: 10, bytes: 1000, ..Arrival::new(Signal::Metrics) };
    let mut bytes = Vec::new();
    let mut out = 0;
    for round in 0..8 {
        let (mut observing, mut engine) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        for second in 0..10 {
            let start = Instant::now();
            for name in &names[second * 10_000..(second + 1) * 10_000] {
                let resource =
                    || [(b"service.name".as_slice(), "app"), (b"service.instance.id".as_slice(), name.as_str())];
                let contact = observer.resource(name.as_bytes(), None, None, resource);
                observer.arrived(&contact, world.now(), arrival);
            }
            observing += start.elapsed();
            let start = Instant::now();
            world.sleep(secs(1));
            let now = world.now();
            observer.drain(&mut world.engine, now);
            let emissions = world.engine.tick(now);
            bytes.clear();
            encode(&emissions, &mut bytes);
            out += bytes.len();
            engine += start.elapsed();
        }
        println!(
            "round {round}: observer {:?} a push, engine and encoding {:?} a second, {} B written, {} KiB resident",
            observing / 100_000,
            engine / 10,
            out,
            resident_kib()
        );
    }
}
