//! The handle of the receivers' tasks.

use super::world::*;
use crate::up::config::Signal;
use crate::up::engine::Arrival;
use crate::up::observer::Observer;
use crate::up::series::Series;

const APP: &str = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s}]}";

fn attributes() -> [(&'static [u8], &'static str); 2] {
    [(b"service.name", "app"), (b"service.instance.id", "a:1")]
}

fn drain(observer: &Observer, world: &mut World) {
    let now = world.now();
    observer.drain(&mut world.engine, now);
}

#[test]
fn arrivals_between_two_drains_are_merged_and_none_is_lost() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    let observer = Observer::new(seed(), 1000);
    let arrival = Arrival { items: 5, bytes: 10, ..Arrival::new(Signal::Metrics) };
    for _ in 0..3 {
        let contact = observer.resource(b"bytes of the resource", None, None, attributes);
        observer.arrived(&contact, world.now(), arrival);
        world.sleep(secs(3));
    }
    drain(&observer, &mut world);
    world.run_until(secs(15));
    assert_eq!(world.samples(Series::Samples)[0].2, Some(15.0));
    assert_eq!(world.samples(Series::Requests)[0].2, Some(3.0));
    assert_eq!(world.samples(Series::Bytes)[0].2, Some(30.0));
    // Silence begins at the last of them, 6 s.
    world.run_until(secs(300));
    let up: Vec<_> = world.samples(Series::Up).into_iter().map(|(at, _, value)| (at, value)).collect();
    assert_eq!(up, up_then_down(world.points("a:1", secs(0), secs(300)), secs(6 + 135)));
}

#[test]
fn a_resource_seen_before_is_not_looked_at_again() {
    let observer = Observer::new(seed(), 1000);
    let first = observer.resource(b"r", Some("t"), None, attributes);
    let again = observer.resource(b"r", Some("t"), None, || -> [(&[u8], &str); 0] { panic!("looked at again") });
    assert!(std::sync::Arc::ptr_eq(first.identity(), again.identity()));
    // Another tenant or peer is another sender.
    let other = observer.resource(b"r", None, Some("10.0.0.1".parse().expect("ip")), attributes);
    assert_ne!(first.identity().key(), other.identity().key());
}

#[test]
fn what_is_beyond_the_bound_is_lost_but_makes_no_0() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    let observer = Observer::new(seed(), 32);
    let contact = observer.resource(b"known", None, None, attributes);
    observer.arrived(&contact, world.now(), Arrival::new(Signal::Metrics));
    drain(&observer, &mut world);
    world.run_until(secs(130));
    for i in 0..1000u32 {
        let id = i.to_string();
        let flood = observer.resource(&i.to_le_bytes(), None, None, || [(b"host.name".as_slice(), id.as_str())]);
        observer.arrived(&flood, world.now(), Arrival::new(Signal::Logs));
    }
    drain(&observer, &mut world);
    assert!(world.engine.unexpected().count() <= 32);
    world.run_until(secs(250));
    assert!(world.samples(Series::Up).iter().all(|sample| sample.2 == Some(1.0)));
    world.run_until(secs(300));
    assert_eq!(world.samples(Series::Up).last().map(|sample| sample.2), Some(Some(0.0)));
}

#[test]
fn a_refusal_for_lack_of_room_stops_judgement_for_a_deadline() {
    let mut world = World::new(APP);
    world.sync(&["a:1"]);
    let observer = Observer::new(seed(), 100);
    let contact = observer.resource(b"r", None, None, attributes);
    observer.arrived(&contact, world.now(), Arrival::new(Signal::Metrics));
    drain(&observer, &mut world);
    // Every push from now on is refused, until 240 s.
    while world.mono < secs(240) {
        world.run_until(world.mono + secs(60));
        observer.refused(world.now());
        drain(&observer, &mut world);
    }
    world.run_until(secs(500));
    let zeros: Vec<_> = world.samples(Series::Up).into_iter().filter(|s| s.2 == Some(0.0)).map(|s| s.0).collect();
    assert_eq!(zeros, world.points("a:1", secs(240 + 135), secs(500)));
}
