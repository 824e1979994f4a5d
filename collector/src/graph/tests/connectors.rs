//! Connectors between pipelines.

use super::*;

const HEAD: &str = "
receivers: {door: , door/b: }
processors: {hold: }
connectors: {pass: , pass/b: , tally: }
exporters: {sink/t: , sink/l: , sink/u: }
";

fn yaml(service: &str) -> String {
    format!("{HEAD}service:\n  delivery: {{ack: memory}}\n  pipelines:\n{service}")
}

#[tokio::test]
async fn pipelines_fan_in_and_out_through_a_connector_before_anything_is_kept() {
    let service = "
    traces/a: {receivers: [door], exporters: [pass]}
    traces/b: {receivers: [door/b], exporters: [pass, sink/l]}
    traces/x: {receivers: [pass], exporters: [sink/t]}
    traces/y: {receivers: [pass], exporters: [sink/u, pass/b]}
    traces/z: {receivers: [pass/b, door], exporters: [sink/u]}
";
    let mut rig = Rig::start(&yaml(service)).await;
    rig.send("door", Signal::Traces, &["a"]).await.unwrap();
    // What comes to a destination by several ways and is the same is kept for it once.
    assert_eq!(rig.come(2).await, ["sink/t a", "sink/u a"]);
    rig.send("door/b", Signal::Traces, &["b"]).await.unwrap();
    assert_eq!(rig.come(3).await, ["sink/l b", "sink/t b", "sink/u b"]);
    rig.stop().await;
    rig.assert_quiet();
}

#[tokio::test]
async fn a_connector_with_state_reads_from_the_log_and_survives_a_reload() {
    let service = "
    traces/a: {receivers: [door], exporters: [tally]}
    traces/b: {receivers: [door/b], exporters: [tally, sink/t]}
    logs: {receivers: [tally], exporters: [sink/l]}
";
    let mut rig = Rig::start(&yaml(service)).await;
    rig.send("door", Signal::Traces, &["a", "b"]).await.unwrap();
    assert_eq!(rig.come(1).await, ["sink/l seen 2"]);
    rig.send("door/b", Signal::Traces, &["c"]).await.unwrap();
    assert_eq!(rig.come(2).await, ["sink/l seen 3", "sink/t c"]);
    rig.reload(&yaml(&service.replace("sink/l", "sink/u"))).await;
    rig.send("door", Signal::Traces, &["d"]).await.unwrap();
    assert_eq!(rig.come(1).await, ["sink/u seen 4"]);
    let other = service.replace("logs: {receivers: [tally]", "logs/b: {receivers: [tally]");
    rig.reload(&yaml(&other)).await;
    rig.send("door", Signal::Traces, &["e"]).await.unwrap();
    assert_eq!(rig.come(1).await, ["sink/l seen 1"], "its pipelines are others");
    rig.stop().await;
    rig.assert_quiet();
}

#[tokio::test]
async fn a_stage_behind_a_connector_is_reached_and_its_pipeline_cannot_be_waited_for() {
    let service = "
    traces/a: {receivers: [door], exporters: [pass]}
    traces/b: {receivers: [pass], processors: [hold], exporters: [sink/t]}
";
    let mut rig = Rig::start(&yaml(service)).await;
    rig.send("door", Signal::Traces, &["a"]).await.unwrap();
    rig.holds("traces/b/hold", 1).await;
    rig.reload(&yaml(&service.replace("[door], exporters", "[door/b], exporters"))).await;
    rig.send("door/b", Signal::Traces, &["go"]).await.unwrap();
    assert_eq!(rig.come(2).await, ["sink/t a", "sink/t go"]);
    rig.stop().await;
    let loaded = load(&rig.toys, &yaml(service));
    let plan = loaded.plan.unwrap();
    assert_eq!(plan.pipelines.iter().map(|it| it.holds_back).collect::<Vec<_>>(), [true, true]);
    let observed = yaml(&service.replace("processors: [hold], exporters: [sink/t]", "exporters: [debug]"));
    let loaded = load(&rig.toys, &observed.replace("exporters: {", "exporters: {debug: , "));
    let plan = loaded.plan.unwrap();
    assert_eq!(plan.pipelines.iter().map(|it| it.only_observes).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn connectors_that_lead_nowhere_or_in_a_circle_are_refused_in_upstreams_words() {
    let toys = Arc::new(Toys::default());
    let cases = [
        (
            "
    traces/in: {receivers: [door], exporters: [pass]}
    traces/in2: {receivers: [door], exporters: [pass]}
    logs/out: {receivers: [pass], exporters: [sink/l]}
",
            vec![
                "connector \"pass\" used as exporter in [traces/in traces/in2] pipeline but not used in any supported \
                 receiver pipeline",
                "connector \"pass\" used as receiver in [logs/out] pipeline but not used in any supported exporter pipeline",
            ],
        ),
        (
            "
    traces/in: {receivers: [door], exporters: [pass]}
",
            vec![
                "connector \"pass\" used as exporter in [traces/in] pipeline but not used in any supported receiver pipeline",
            ],
        ),
        (
            "
    traces/in: {receivers: [door], exporters: [pass]}
    traces/a: {receivers: [pass, pass/b], processors: [hold], exporters: [sink/t, pass/b]}
",
            vec![
                "cycle detected: connector \"pass/b\" (traces to traces) -> processor \"hold\" in pipeline \"traces/a\" -> \
                 connector \"pass/b\" (traces to traces)",
            ],
        ),
        (
            "
    traces/a: {receivers: [door, pass/b], exporters: [pass]}
    traces/b: {receivers: [pass], processors: [hold], exporters: [pass/b]}
",
            vec![
                "cycle detected: connector \"pass\" (traces to traces) -> processor \"hold\" in pipeline \"traces/b\" -> \
                 connector \"pass/b\" (traces to traces) -> connector \"pass\" (traces to traces)",
            ],
        ),
    ];
    for (service, expected) in cases {
        let loaded = load(&toys, &yaml(service));
        assert_eq!(messages(&loaded), expected, "{service}");
        assert!(loaded.findings.iter().all(|found| !found.is_error() || found.origin.is_some()));
    }
}
