//! Stages among the processors of pipelines.

use super::*;

const HEAD: &str = "
receivers: {door: }
processors:
  join: {label: a}
  hold: {label: a}
  hold/b: {label: b}
  filter: {trace_conditions: [\"span.kind == 5\"]}
exporters: {sink/t: , sink/l: , sink/u: }
";

fn yaml(service: &str) -> String {
    format!("{HEAD}service:\n  delivery: {{ack: memory}}\n  pipelines:\n{service}")
}

const JOINED: &str = "
    traces: {receivers: [door], processors: [filter, join], exporters: [sink/t]}
    logs: {receivers: [door], processors: [join], exporters: [sink/l]}
";

#[tokio::test]
async fn a_shared_stage_serves_all_its_pipelines_and_items_return_to_theirs() {
    let mut rig = Rig::start(&yaml(JOINED)).await;
    assert_eq!(*rig.toys.built.lock().unwrap(), ["join traces logs"]);
    rig.spans(&["a", "b"]).await;
    rig.logs(&["c"]).await;
    rig.holds("join", 3).await;
    rig.assert_quiet();
    rig.logs(&["go"]).await;
    assert_eq!(rig.come(4).await, ["sink/l c", "sink/l go", "sink/t a", "sink/t b"]);
    rig.holds("join", 0).await;
    rig.stop().await;
    rig.assert_quiet();
}

#[tokio::test]
async fn other_stages_have_an_instance_in_each_pipeline() {
    let service = JOINED.replace("join", "hold");
    let mut rig = Rig::start(&yaml(&service)).await;
    assert_eq!(*rig.toys.built.lock().unwrap(), ["hold traces", "hold logs"]);
    rig.spans(&["a"]).await;
    rig.logs(&["b"]).await;
    rig.holds("logs/hold", 1).await;
    rig.holds("traces/hold", 1).await;
    rig.logs(&["go"]).await;
    assert_eq!(rig.come(2).await, ["sink/l b", "sink/l go"]);
    assert_eq!(rig.held("traces/hold"), 1);
    rig.stop().await;
}

#[tokio::test]
async fn shutdown_in_memory_decides_everything_in_the_order_of_the_flow() {
    let service = "
    traces: {receivers: [door], processors: [hold, filter, hold/b, join], exporters: [sink/t, sink/u]}
    logs: {receivers: [door], processors: [join, hold], exporters: [sink/l]}
";
    let mut rig = Rig::start(&yaml(service)).await;
    rig.spans(&["a", "b"]).await;
    rig.logs(&["c"]).await;
    rig.holds("traces/hold", 2).await;
    rig.holds("join", 1).await;
    rig.stop().await;
    let all = ["sink/l c", "sink/t a", "sink/t b", "sink/u a", "sink/u b"];
    assert_eq!(rig.come(5).await, all);
    rig.assert_quiet();
}

#[tokio::test]
async fn a_stage_that_stays_keeps_what_it_holds_and_emits_the_new_way() {
    let mut rig = Rig::start(&yaml(JOINED)).await;
    rig.spans(&["a"]).await;
    rig.holds("join", 1).await;
    rig.reload(&yaml(&JOINED.replace("sink/t", "sink/u").replace("[filter, join]", "[join]"))).await;
    assert_eq!(rig.toys.built.lock().unwrap().len(), 1, "it stays");
    rig.spans(&["go"]).await;
    assert_eq!(rig.come(2).await, ["sink/u a", "sink/u go"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_stage_with_another_config_takes_over_or_has_its_predecessor_decide() {
    let mut rig = Rig::start(&yaml(JOINED)).await;
    rig.spans(&["a"]).await;
    rig.holds("join", 1).await;
    rig.reload(&yaml(JOINED).replace("join: {label: a}", "join: {label: b}")).await;
    assert_eq!(rig.toys.built.lock().unwrap().len(), 2);
    rig.logs(&["b"]).await;
    rig.holds("join", 2).await;
    rig.assert_quiet();
    rig.reload(&yaml(JOINED).replace("join: {label: a}", "join: {stubborn: true}")).await;
    assert_eq!(rig.come(2).await, ["sink/l b", "sink/t a"]);
    rig.spans(&["c"]).await;
    rig.holds("join", 1).await;
    rig.stop().await;
    assert_eq!(rig.come(1).await, ["sink/t c"]);
}

#[tokio::test]
async fn a_stage_that_is_removed_decides_and_what_it_held_goes_its_old_way() {
    let mut rig = Rig::start(&yaml(JOINED)).await;
    rig.spans(&["a"]).await;
    rig.logs(&["b"]).await;
    rig.holds("join", 2).await;
    rig.reload(&yaml("    traces: {receivers: [door], exporters: [sink/u]}")).await;
    assert_eq!(rig.come(2).await, ["sink/l b", "sink/t a"]);
    rig.spans(&["c"]).await;
    assert_eq!(rig.come(1).await, ["sink/u c"]);
    rig.reload(&yaml(JOINED)).await;
    rig.spans(&["d", "e"]).await;
    rig.holds("join", 2).await;
    rig.stop().await;
    assert_eq!(rig.come(2).await, ["sink/t d", "sink/t e"]);
}

#[tokio::test]
async fn a_stage_whose_pipelines_change_decides_before_another_one_begins() {
    let mut rig = Rig::start(&yaml(JOINED)).await;
    rig.spans(&["a"]).await;
    rig.logs(&["b"]).await;
    rig.holds("join", 2).await;
    let more = format!("    traces/more: {{receivers: [door], processors: [join], exporters: [sink/u]}}{JOINED}");
    rig.reload(&yaml(&more)).await;
    assert_eq!(rig.come(2).await, ["sink/l b", "sink/t a"]);
    assert_eq!(rig.toys.built.lock().unwrap().last().unwrap(), "join traces/more traces logs");
    rig.spans(&["c"]).await;
    rig.holds("join", 2).await;
    rig.logs(&["go"]).await;
    assert_eq!(rig.come(3).await, ["sink/l go", "sink/t c", "sink/u c"]);
    rig.stop().await;
}

fn durable(directory: &std::path::Path, service: &str) -> String {
    let directory = directory.display();
    let extension = format!("extensions: {{journal: {{directory: {directory}/journal, max_size: 256MiB}}}}");
    format!("{HEAD}{extension}\nservice:\n  delivery: {{ack: durable, allow_volatile: true}}\n  pipelines:\n{service}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stage_holds_on_a_journal_is_read_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = durable(directory.path(), JOINED);
    let mut rig = Rig::start(&yaml).await;
    rig.spans(&["a"]).await;
    rig.logs(&["b"]).await;
    rig.holds("join", 2).await;
    rig.stop().await;
    rig.assert_quiet();
    drop(rig);

    let mut rig = Rig::start(&yaml).await;
    rig.holds("join", 2).await;
    rig.logs(&["go"]).await;
    assert_eq!(rig.come(3).await, ["sink/l b", "sink/l go", "sink/t a"]);
    rig.holds("join", 0).await;
    rig.stop().await;
    drop(rig);

    let mut rig = Rig::start(&yaml).await;
    rig.spans(&["go"]).await;
    assert_eq!(rig.come(1).await, ["sink/t go"], "nothing comes twice");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_with_a_journal_lose_and_repeat_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(&durable(directory.path(), JOINED)).await;
    rig.spans(&["a"]).await;
    rig.holds("join", 1).await;
    rig.reload(&durable(directory.path(), JOINED).replace("join: {label: a}", "join: {label: b}")).await;
    rig.logs(&["b"]).await;
    rig.holds("join", 2).await;
    rig.reload(&durable(directory.path(), &JOINED.replace("join", "hold"))).await;
    assert_eq!(rig.come(2).await, ["sink/l b", "sink/t a"]);
    rig.spans(&["c", "d"]).await;
    rig.holds("traces/hold", 2).await;
    rig.spans(&["go"]).await;
    assert_eq!(rig.come(3).await, ["sink/t c", "sink/t d", "sink/t go"]);
    rig.stop().await;
    rig.assert_quiet();
}

#[test]
fn what_redacts_must_stand_before_a_stage_wherever_a_disk_may_keep_its_input() {
    let toys = Arc::new(Toys::default());
    let processors = HEAD.replace("processors:", "processors:\n  redaction: {}");
    let with = |ack: &str, order: &str| {
        let pipelines =
            format!("pipelines: {{traces: {{receivers: [door], processors: [{order}], exporters: [sink/t]}}}}");
        format!("{processors}service: {{delivery: {{ack: {ack}}}, {pipelines}}}")
    };
    let text = "service::pipelines::traces: processor \"redaction\" stands behind \"join\", which reads what is on disk: \
                nothing would be redacted there";
    assert_eq!(messages(&load(&toys, &with("auto", "join, redaction"))), [text]);
    assert_eq!(messages(&load(&toys, &with("durable", "join, redaction"))), [text]);
    for (ack, order) in
        [("memory", "join, redaction"), ("auto", "redaction, join"), ("auto", "redaction, join, redaction")]
    {
        let loaded = load(&toys, &with(ack, order));
        let expected: &[&str] = if order.matches("redaction").count() > 1 { &["references"] } else { &[] };
        assert_eq!(messages(&loaded).len(), expected.len(), "{ack} {order} {:?}", loaded.findings);
    }
}
