//! The match ladder and what follows from a match: labels, bindings, limits.

use super::world::*;
use crate::up::config::{Config, Signal};
use crate::up::engine::Arrival;
use crate::up::ladder::Rung;
use crate::up::series::Series;

const APP: &str = "{jobs: [{job_name: app, scrape_interval: 15s, expected_interval: 60s}], ingest_metrics: off}";

/// A job whose targets carry these labels beside their address.
fn with_labels(targets: &[(&str, &[(&str, &str)])], extra: &str) -> String {
    let mut statics = String::new();
    for (address, labels) in targets {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        statics.push_str(&format!("{{targets: ['{address}'], labels: {{{}}}}},", labels.join(",")));
    }
    format!(
        "{{jobs: [{{job_name: app, scrape_interval: 15s, expected_interval: 60s, static_configs: [{statics}] {extra}}}], ingest_metrics: off}}"
    )
}

/// A world whose targets are those of `static_configs`.
fn static_world(yaml: &str) -> World {
    let mut world = World::new(yaml);
    sync_static(&mut world, yaml);
    world
}

fn sync_static(world: &mut World, yaml: &str) {
    let config: Config = serde_saphyr::from_str(yaml).expect("config");
    let groups = crate::up::discovery::static_::groups(&config.jobs[0].static_configs);
    let targets = crate::up::target::TargetBuilder::new(&config.jobs[0]).expect("job").build(&groups).targets;
    world.engine.sync(crate::up::engine::JobId(0), &targets, world.now());
}

fn matched(world: &World, address: &str) -> Option<Rung> {
    let mut all = world.engine.targets(world.now());
    all.find(|t| t.target.labels.get("instance") == address).expect("target").matched
}

type DiscoveredLabels = &'static [(&'static str, &'static str)];

#[test]
fn each_rung_matches_by_its_own_key() {
    let cases: [(DiscoveredLabels, &str, Rung); 14] = [
        (&[("__meta_kubernetes_pod_uid", "u1")], "k8s.pod.uid=u1", Rung::PodUid),
        (
            &[("__meta_kubernetes_pod_uid", "u1"), ("__meta_kubernetes_pod_container_name", "c1")],
            "k8s.pod.uid=u1 k8s.container.name=c1",
            Rung::PodUid,
        ),
        (
            &[
                ("__meta_kubernetes_namespace", "ns"),
                ("__meta_kubernetes_pod_name", "p"),
                ("__meta_kubernetes_pod_container_name", "c"),
            ],
            "service.instance.id=ns.p.c",
            Rung::K8sInstance,
        ),
        (
            &[("__meta_kubernetes_namespace", "ns"), ("__meta_kubernetes_pod_name", "p")],
            "k8s.namespace.name=ns k8s.pod.name=p",
            Rung::PodName,
        ),
        (
            &[("job", "shop/app")],
            "service.namespace=shop service.name=app service.instance.id=10.0.0.1:80",
            Rung::JobInstance,
        ),
        (&[("__meta_kubernetes_pod_container_id", "'containerd://abc'")], "container.id=abc", Rung::ContainerId),
        (&[("__meta_ec2_instance_id", "i-1")], "host.id=i-1", Rung::HostId),
        (&[("__meta_kubernetes_node_name", "n1.example.com")], "host.name=n1", Rung::HostName),
        (&[("__meta_kubernetes_node_name", "n1")], "host.name=N1.example.com", Rung::HostName),
        (&[("__meta_kubernetes_node_name", "n1.example.com")], "host.name=n1.example.com.", Rung::HostName),
        (&[("__meta_kubernetes_pod_ip", "10.9.9.9")], "k8s.pod.ip=10.9.9.9", Rung::PodIp),
        (&[("__meta_kubernetes_pod_ip", "10.9.9.9")], "peer=10.9.9.9", Rung::PeerIp),
        (&[], "peer=10.0.0.1", Rung::PeerIp),
        (&[], "peer=::ffff:10.0.0.1", Rung::PeerIp),
    ];
    for (labels, attributes, rung) in cases {
        let mut world = static_world(&with_labels(&[("10.0.0.1:80", labels)], ""));
        world.push(&identity(attributes));
        assert_eq!(matched(&world, "10.0.0.1:80"), Some(rung), "{labels:?} {attributes}");
        // The same key of somebody else.
        let mut world = static_world(&with_labels(&[("10.0.0.1:80", labels)], ""));
        let of_other = |pair: &str| match pair.split_once('=') {
            Some((key, value)) if value.contains("10.") => format!("{key}={value}9"),
            Some((key, value)) => format!("{key}=9{value}"),
            None => String::new(),
        };
        let other: Vec<String> = attributes.split(' ').map(of_other).collect();
        world.push(&identity(&other.join(" ")));
        assert_eq!(matched(&world, "10.0.0.1:80"), None, "{other:?}");
        assert_eq!(world.engine.unexpected().count(), 1);
    }
}

#[test]
fn a_host_name_in_the_address_is_a_host_name() {
    let mut world = static_world(&with_labels(&[("web-1.example.com:80", &[]), ("web-2.example.com:80", &[])], ""));
    world.push(&identity("host.name=web-1"));
    assert_eq!(matched(&world, "web-1.example.com:80"), Some(Rung::HostName));
    world.push(&identity("host.name=web-2.other.org"));
    assert_eq!(matched(&world, "web-2.example.com:80"), None);
}

#[test]
fn a_pod_with_several_containers_is_ambiguous_without_the_container_name() {
    let uid = ("__meta_kubernetes_pod_uid", "u1");
    let yaml = with_labels(
        &[
            ("10.0.0.1:80", &[uid, ("__meta_kubernetes_pod_container_name", "c1")]),
            ("10.0.0.1:81", &[uid, ("__meta_kubernetes_pod_container_name", "c2")]),
        ],
        "",
    );
    let mut world = static_world(&yaml);
    world.push(&identity("k8s.pod.uid=u1"));
    assert_eq!((matched(&world, "10.0.0.1:80"), matched(&world, "10.0.0.1:81")), (None, None));
    assert_eq!(world.engine.counters().ambiguous[Rung::PodUid as usize], 1);
    world.push(&identity("k8s.pod.uid=u1 k8s.container.name=c2"));
    assert_eq!((matched(&world, "10.0.0.1:80"), matched(&world, "10.0.0.1:81")), (None, Some(Rung::PodUid)));
}

#[test]
fn tenant_and_cluster_keep_equal_names_apart() {
    for (label, own, other) in [
        ("__k8s_cluster_name__", "k8s.cluster.name=east", "k8s.cluster.name=west"),
        ("__tenant__", "tenant=east", "tenant=west"),
    ] {
        let yaml = with_labels(&[("10.0.0.1:80", &[(label, "east"), ("__meta_kubernetes_pod_uid", "u1")])], "");
        let mut world = static_world(&yaml);
        world.push(&identity(&format!("k8s.pod.uid=u1 {other}")));
        assert_eq!(matched(&world, "10.0.0.1:80"), None);
        world.push(&identity(&format!("k8s.pod.uid=u1 {own}")));
        assert_eq!(matched(&world, "10.0.0.1:80"), Some(Rung::PodUid));
    }
}

#[test]
fn a_strong_match_binds_the_instance() {
    let yaml = with_labels(&[("10.0.0.1:80", &[("__meta_kubernetes_pod_uid", "u1")])], "");
    let mut world = static_world(&yaml);
    world.push(&identity("service.name=app service.instance.id=x k8s.pod.uid=u1"));
    world.run_until(secs(100));
    world.push(&identity("service.name=app service.instance.id=x"));
    world.run_until(secs(200));
    assert!(world.samples(Series::Up).iter().all(|s| s.2 == Some(1.0)));
    // The pod is replaced under the same address: the binding ends.
    sync_static(&mut world, &yaml.replace("u1", "u2"));
    world.push(&identity("service.name=app service.instance.id=x"));
    world.run_until(secs(300));
    assert_eq!(world.samples(Series::Up).last().map(|s| s.2), Some(Some(0.0)));
    assert_eq!(world.engine.unexpected().count(), 1);
}

#[test]
fn t19_a_random_instance_id_is_matched_by_the_peer_also_after_a_restart() {
    let mut world = World::new(APP);
    world.sync(&["10.0.0.1:80"]);
    world.push_every(&identity("service.name=app service.instance.id=r1 peer=10.0.0.1"), secs(60), secs(300));
    world.push_every(&identity("service.name=app service.instance.id=r2 peer=10.0.0.1"), secs(60), secs(600));
    let up: Vec<_> = world.samples(Series::Up).into_iter().map(|(at, _, value)| (at, value)).collect();
    let points = world.points("10.0.0.1:80", secs(60), secs(600));
    let change = *points.iter().find(|at| **at >= secs(360)).expect("point");
    let mut expected = Vec::new();
    for at in points {
        // The series of the old instance ends where that of the new one begins.
        expected.extend((at == change).then_some((at, None)));
        expected.push((at, Some(1.0)));
    }
    assert_eq!(up, expected);
    let instances: std::collections::BTreeSet<String> =
        world.samples(Series::Up).iter().map(|(_, labels, _)| labels.get("instance").to_owned()).collect();
    assert_eq!(instances.into_iter().collect::<Vec<_>>(), ["r1", "r2"]);
    // Without the peer there is nothing to match by.
    let mut world = World::new(APP);
    world.sync(&["10.0.0.1:80"]);
    world.push(&identity("service.name=app service.instance.id=r1"));
    assert_eq!(world.engine.unexpected().count(), 1);
}

#[test]
fn a_peer_that_forwards_for_several_is_no_key() {
    let mut world = World::new(APP);
    world.sync(&["10.0.0.1:80"]);
    for second in 0..10u64 {
        for id in ["r1", "r2", "r3"] {
            world.push(&identity(&format!("service.name=app service.instance.id={id} peer=10.0.0.1")));
        }
        world.run_until(secs(60 * second));
    }
    assert_eq!(world.samples(Series::Up).last().map(|s| s.2), Some(Some(0.0)));
    assert_eq!(world.engine.unexpected().count(), 3);
}

#[test]
fn t20_a_reused_address_never_keeps_the_old_target_alive() {
    let old = with_labels(&[("10.0.0.1:80", &[("pod", "old")])], "");
    let new = with_labels(&[("10.0.0.1:80", &[("pod", "new")])], "");
    let mut world = static_world(&old);
    let sender = identity("service.name=app peer=10.0.0.1");
    world.push(&sender);
    world.run_until(secs(60));
    sync_static(&mut world, &new);
    let update = world.mono;
    world.push_every(&sender, secs(30), secs(300));
    let of = |pod: &str| -> Vec<_> {
        world.samples(Series::Up).into_iter().filter(|(_, labels, _)| labels.get("pod") == pod).collect()
    };
    let (old, new) = (of("old"), of("new"));
    assert!(old.iter().all(|(at, _, value)| *at <= update || value.is_none()), "{old:?}");
    assert_eq!(old.last().map(|(_, _, value)| *value), Some(None));
    assert!(new.iter().all(|(at, _, value)| *at > update && *value == Some(1.0)));
    assert!(new.len() > 10);
}

#[test]
fn t21_ambiguous_keys_are_counted_and_the_next_rung_decides() {
    let node = ("__meta_kubernetes_node_name", "n1");
    let yaml = with_labels(&[("10.0.0.1:80", &[node]), ("10.0.0.2:80", &[node])], "");
    let run = || {
        let mut world = static_world(&yaml);
        let sender = identity("service.name=app host.name=n1 peer=10.0.0.2");
        for _ in 0..3 {
            // The same push twice is the same as once.
            world.push(&sender);
            world.push(&sender);
            world.run_until(world.mono + secs(60));
        }
        assert_eq!(world.engine.counters().ambiguous[Rung::HostName as usize], 1);
        assert_eq!(world.engine.counters().matches[Rung::PeerIp as usize], 1);
        assert_eq!((matched(&world, "10.0.0.1:80"), matched(&world, "10.0.0.2:80")), (None, Some(Rung::PeerIp)));
        world.written
    };
    assert_eq!(run(), run());
}

#[test]
fn t22_a_million_unexpected_identities_stay_within_the_limit() {
    let mut world = World::new(&APP.replace("ingest_metrics", "max_unexpected_identities: 1000, ingest_metrics"));
    world.sync(&["10.0.0.1:80"]);
    let arrival = Arrival::new(Signal::Metrics);
    let seed = seed();
    for i in 0..1_000_000u32 {
        let id = i.to_string();
        let peer = std::net::IpAddr::from(std::net::Ipv4Addr::from(i.wrapping_add(0x1400_0000)));
        let attributes = [(b"service.instance.id".as_slice(), id.as_str())];
        let identity = std::sync::Arc::new(crate::up::identity::Identity::new(attributes, None, Some(peer), &seed));
        world.engine.observe(world.now(), &identity, &arrival);
    }
    assert_eq!(world.engine.unexpected().count(), 1000);
    assert_eq!(world.engine.counters().evicted_identities, 999_000);
    // And it still works.
    world.push(&identity("peer=10.0.0.1"));
    world.run_until(secs(30));
    assert!(!world.samples(Series::Up).is_empty());
}

#[test]
fn labels_follow_the_pushed_metrics_or_discovery_as_configured() {
    let sender = identity("service.namespace=shop service.name=cart service.instance.id=x peer=10.0.0.1");
    for (mode, job, instance) in
        [("otlp", "shop/cart", "x"), ("sd", "app", "10.0.0.1:80"), ("none", "app", "10.0.0.1:80")]
    {
        let mut world = World::new(&APP.replace("ingest_metrics", &format!("align_labels: {mode}, ingest_metrics")));
        world.sync(&["10.0.0.1:80"]);
        world.push(&sender);
        world.run_until(secs(60));
        let labels = world.samples(Series::Up).pop().expect("sample").1;
        assert_eq!((labels.get("job"), labels.get("instance")), (job, instance));
    }
}

#[test]
fn a_target_with_several_living_senders_keeps_the_labels_of_discovery() {
    let yaml = with_labels(&[("10.0.0.1:80", &[("__meta_kubernetes_pod_uid", "u1")])], "");
    let mut world = static_world(&yaml);
    for _ in 0..10 {
        for id in ["x", "y"] {
            world.run_until(world.mono + secs(15));
            world.push(&identity(&format!("service.name=app service.instance.id={id} k8s.pod.uid=u1")));
        }
    }
    assert_eq!(world.samples(Series::Up).pop().expect("sample").1.get("instance"), "10.0.0.1:80");
    assert_eq!(world.engine.counters().multiple_identities, 1);
    // One of them dies: after a deadline the other one names the series.
    let left = identity("service.name=app service.instance.id=y k8s.pod.uid=u1");
    world.push_every(&left, secs(30), world.mono + secs(300));
    assert_eq!(world.samples(Series::Up).pop().expect("sample").1.get("instance"), "y");
    assert!(world.samples(Series::Up).iter().all(|s| s.2 != Some(0.0)));
}

#[test]
fn learned_senders_are_up_and_end_with_a_marker() {
    let mut world = World::new("{learned: {enabled: true}, ingest_metrics: off}");
    for _ in 0..5 {
        world.push(&identity("service.name=app service.instance.id=x"));
        world.push(&identity("host.name=nobody"));
        world.run_until(world.mono + secs(60));
    }
    world.run_until(secs(1000));
    let up = world.up("x");
    // Seen at 0, 60, 120: the third time makes it a target. Last seen at 240.
    assert!(up[0].0 > secs(120) && up[0].0 <= secs(180));
    let (last, ones) = up.split_last().expect("samples");
    assert!(ones.iter().all(|(at, value)| *value == Some(1.0) && *at <= secs(240 + 135)));
    assert!(last.1.is_none() && last.0 > secs(240 + 135) && last.0 <= secs(240 + 135 + 60));
    assert_eq!(world.engine.targets(world.now()).count(), 0);
    assert_eq!(world.engine.unexpected().count(), 1);
}

#[test]
fn a_service_matched_as_a_whole_has_no_0_for_an_instance() {
    let yaml = with_labels(
        &[("10.0.0.1:80", &[("zone", "a"), ("team", "x")]), ("10.0.0.2:80", &[("zone", "b"), ("team", "x")])],
        ", match: [service], min_instances: 2",
    );
    let mut world = static_world(&yaml);
    for second in 1..20u64 {
        world.push(&identity("service.name=app peer=10.5.0.1"));
        if second <= 10 {
            world.push(&identity("service.name=app peer=10.5.0.2"));
        }
        world.run_until(secs(60 * second));
    }
    let samples = world.samples(Series::Up);
    // One series, with the labels that all instances share.
    assert!(samples.iter().all(|(_, labels, _)| format!("{labels:?}") == r#"{job="app", team="x"}"#), "{samples:?}");
    // The second instance was seen at 540 s for the last time.
    assert!(samples.iter().all(|(at, _, value)| *value == Some(f64::from(*at <= secs(540 + 135)))), "{samples:?}");
}

#[test]
fn targets_beyond_the_limit_are_refused_and_counted() {
    let mut world = World::new(&APP.replace("ingest_metrics", "max_targets: 2, ingest_metrics"));
    world.sync(&["a:1", "b:1", "c:1"]);
    assert_eq!(world.engine.targets(world.now()).count(), 2);
    assert_eq!(world.engine.counters().refused_targets, 1);
}

#[test]
fn two_jobs_with_one_label_set_write_one_series() {
    let yaml = "{jobs: [{job_name: a, scrape_interval: 15s, match: [peer_ip]}, {job_name: b, scrape_interval: 15s, match: [peer_ip]}], ingest_metrics: off, align_labels: none}";
    let mut world = World::new(yaml);
    let with_job = |world: &World| {
        let mut target = (*world.targets(&["10.0.0.1:80"])[0]).clone();
        let mut labels = target.labels.to_builder();
        labels.set("job", "same");
        target.labels = labels.build();
        vec![std::sync::Arc::new(target)]
    };
    for job in [0, 1] {
        let targets = with_job(&world);
        world.engine.sync(crate::up::engine::JobId(job), &targets, world.now());
    }
    world.push_every(&identity("peer=10.0.0.1"), secs(60), secs(300));
    let times: Vec<_> = world.samples(Series::Up).into_iter().map(|s| s.0).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let withheld = world.engine.counters().withheld_duplicates;
    assert_eq!(withheld, times.len() as u64);
    // The one that writes goes: the other one takes over, without a marker.
    world.engine.sync(crate::up::engine::JobId(0), &[], world.now());
    world.push_every(&identity("peer=10.0.0.1"), secs(60), secs(600));
    let samples = world.samples(Series::Up);
    assert!(samples.iter().all(|s| s.2 == Some(1.0)));
    assert!(samples.last().expect("samples").0 > secs(580));
}

#[test]
fn a_key_is_no_longer_ambiguous_once_the_other_target_is_gone() {
    let node = ("__meta_kubernetes_node_name", "n1");
    let both = with_labels(&[("10.0.0.1:80", &[node]), ("10.0.0.2:80", &[node])], "");
    let mut world = static_world(&both);
    let sender = identity("host.name=n1");
    world.push(&sender);
    assert_eq!((matched(&world, "10.0.0.1:80"), matched(&world, "10.0.0.2:80")), (None, None));
    sync_static(&mut world, &with_labels(&[("10.0.0.1:80", &[node])], ""));
    world.push(&sender);
    assert_eq!(matched(&world, "10.0.0.1:80"), Some(Rung::HostName));
}

#[test]
fn a_job_that_matches_less_than_half_is_told_once_after_two_warm_ups() {
    for (pushing, expected) in [(1, 1), (2, 0)] {
        let mut world = World::new("{jobs: [{job_name: app, expected_interval: 60s}]}");
        world.sync(&["a:1", "b:1", "c:1", "d:1"]);
        for instance in ["a:1", "b:1"].iter().take(pushing) {
            world.push(&app(instance));
        }
        // D is 135 s, and so is the warm-up.
        world.run_until(secs(270));
        assert!(world.engine.poorly_matched(world.now()).is_empty());
        world.run_until(secs(271));
        let found = world.engine.poorly_matched(world.now());
        assert_eq!(found.len(), expected);
        assert!(found.iter().all(|poor| (poor.matched, poor.targets) == (1, 4)));
        assert!(world.engine.poorly_matched(world.now()).is_empty(), "once");
    }
}
