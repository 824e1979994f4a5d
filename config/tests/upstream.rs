//! The same sources through the Go Collector and through us give the same values.
//!
//! Needs the Collector of `tests/peers/install.sh`: `SLUICE_OTELCOL=path cargo test -p sluice-config -- --ignored`.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sluice_config::{Args, FixedSources, Node, Value, parse, resolve};

const VARS: [(&str, &str); 12] = [
    ("A", "0123"),
    ("B", "x"),
    ("C", "[1, ${env:A}]"),
    ("D", "{a: b, c: '${env:B}'}"),
    ("E", ""),
    ("F", "a: b: c"),
    ("G", "$$"),
    ("H", "\"quoted\""),
    ("I", "${env:A}${env:B}"),
    ("N", "A"),
    ("T", "true"),
    ("X1", "1e3"),
];

/// Values that exercise references and escapes; some are errors.
fn values() -> impl Strategy<Value = String> {
    const PIECES: [&str; 28] = [
        "${env:A}",
        "${B}",
        "${env:C}",
        "${env:D}",
        "${env:E}",
        "${env:F}",
        "${env:G}",
        "${env:H}",
        "${env:I}",
        "${env:T}",
        "${env:X1}",
        "${env:U}",
        "${env:U:-7}",
        "${env:U:-}",
        "${env:${env:N}}",
        "${yaml:[1, b]}",
        "$${A}",
        "${env:a.b}",
        "${xyz:a}",
        "${}",
        "${file:/none}",
        "$",
        "$$",
        "}",
        "{",
        "x",
        "${env:",
        ":",
    ];
    proptest::collection::vec(proptest::sample::select(&PIECES), 1..5).prop_map(|pieces| pieces.concat())
}

fn document(values: &[String]) -> String {
    let quote = |value: &str| format!("'{}'", value.replace('\'', "''"));
    let list = |row: fn(usize, String) -> String| -> String {
        values.iter().enumerate().map(|(index, value)| row(index, quote(value))).collect()
    };
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 'localhost:0'}}}}}}}}
exporters:
  otlp_grpc:
    endpoint: localhost:1
    headers:
{}
processors:
  attributes:
    actions:
{}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [attributes], exporters: [otlp_grpc]}}}}}}
",
        list(|index, value| format!("      h{index}: {value}\n")),
        list(|index, value| format!("      - {{key: k{index}, action: insert, value: {value}}}\n")),
    )
}

fn upstream(text: &str) -> Result<Node, String> {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("sluice-upstream-{}-{number}.yaml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(std::env::var("SLUICE_OTELCOL").unwrap());
    command.args(["print-config", "--mode=unredacted", "--validate=false", "--config"]).arg(&file);
    let output = command.env_clear().envs(VARS).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    match output.status.success() {
        true => Ok(parse(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn ours(text: &str) -> Result<Node, Vec<String>> {
    let mut sources = FixedSources::default().file("a.yaml", text);
    for (name, value) in VARS {
        sources = sources.var(name, value);
    }
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    resolve(&args, &sources)
        .map(|document| document.root)
        .map_err(|found| found.into_iter().filter(|it| it.is_error()).map(|it| it.message).collect())
}

fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        // The Collector writes -0, which reads back as an integer.
        Value::Float(value) => (value + 0.0).to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Seq(items) => format!("{:?}", items.iter().map(show).collect::<Vec<_>>()),
        Value::Map(map) => {
            let mut entries: Vec<String> = map.iter().map(|(k, it)| format!("{k}={}", show(&it.value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn action(root: &Node, index: usize) -> String {
    let actions = root.get("processors").unwrap().get("attributes").unwrap().get("actions").unwrap();
    show(actions.as_seq().unwrap()[index].get("value").unwrap())
}

fn our_header(root: &Node, index: usize) -> String {
    let headers = root.get("exporters").unwrap().get("otlp_grpc").unwrap().get("headers").unwrap();
    headers.get(&format!("h{index}")).unwrap().text().unwrap_or("").to_owned()
}

fn their_header(root: &Node, index: usize) -> String {
    let headers = root.get("exporters").unwrap().get("otlp_grpc").unwrap().get("headers").unwrap();
    let name = format!("h{index}");
    let pair = headers.as_seq().unwrap().iter().find(|pair| pair.get("name").unwrap().text() == Some(&name)).unwrap();
    pair.get("value").unwrap().text().unwrap_or("").to_owned()
}

#[test]
#[ignore = "needs the Go Collector"]
fn references_expand_to_what_the_go_collector_makes_of_them() {
    let mut runner = TestRunner::default();
    let (good, bad): (Vec<String>, Vec<String>) = (0..600)
        .map(|_| values().new_tree(&mut runner).unwrap().current())
        .partition(|value| ours(&document(std::slice::from_ref(value))).is_ok());
    assert!(good.len() > 200 && bad.len() > 20, "{} good, {} bad", good.len(), bad.len());
    for chunk in good.chunks(50) {
        let text = document(chunk);
        let (theirs, ours) = (upstream(&text).unwrap(), ours(&text).unwrap());
        for (index, value) in chunk.iter().enumerate() {
            assert_eq!(action(&ours, index), action(&theirs, index), "value of {value}");
            assert_eq!(our_header(&ours, index), their_header(&theirs, index), "text of {value}");
        }
    }
    for value in bad.iter().take(60) {
        let text = document(std::slice::from_ref(value));
        let (theirs, ours) = (upstream(&text).unwrap_err(), ours(&text).unwrap_err());
        assert!(ours.iter().any(|ours| theirs.contains(ours.as_str())), "{value}: {ours:?} is not in {theirs}");
    }
}

#[test]
#[ignore = "needs the Go Collector"]
fn plain_scalars_have_the_type_the_go_collector_gives_them() {
    let mut runner = TestRunner::default();
    let number = "[-+]?(0x|0o|0b|0|\\.)?[0-9_aAfF]{0,4}(\\.[0-9]{0,2})?([eE][-+]?[0-9]{0,2})?";
    let word =
        "(true|True|tRUE|yes|no|on|off|y|n|null|Null|nULL|~|\\.inf|-\\.Inf|\\.nan|nan|inf|1:30|5s|a|[0-9]{17,21})";
    let number = proptest::string::string_regex(number).unwrap();
    let word = proptest::string::string_regex(word).unwrap();
    let scalars = proptest::prop_oneof![3 => number, 1 => word];
    let values: Vec<String> = (0..2_000)
        .map(|_| scalars.new_tree(&mut runner).unwrap().current())
        .filter(|value| !value.is_empty() && value != "-")
        .collect();
    for chunk in values.chunks(200) {
        let rows: String =
            chunk.iter().map(|value| format!("      - {{key: k, action: insert, value: {value}}}\n")).collect();
        let text = document(&[]).replace("    actions:\n", &format!("    actions:\n{rows}"));
        let (theirs, ours) = (upstream(&text).unwrap(), ours(&text).unwrap());
        for (index, value) in chunk.iter().enumerate() {
            assert_eq!(action(&ours, index), action(&theirs, index), "{value}");
        }
    }
}
