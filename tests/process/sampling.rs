//! `sluice sampling explain`: the table of policies, and verdicts over recordings.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::sluice::{run, text};

const CONFIG: &str = r#"yaml:
receivers: {otlp: {protocols: {grpc: }}}
processors:
  redaction: {allow_all_keys: true}
  tail_sampling:
    policies:
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - name: busy
        type: and
        and:
          and_sub_policy:
            - {name: service, type: string_attribute, string_attribute: {key: service.name, values: [shop]}}
            - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
      - {name: some, type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 1}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [redaction, tail_sampling], exporters: [nop]}}}
"#;

const HIGH: &str = "0000000000000000f000000000000001";
const LOW: &str = "00000000000000000010000000000002";
const FAILED: &str = "00000000000000000000000000000003";

fn request(service: &str, trace: &str, status: i32) -> Json {
    let span = json!({
        "traceId": trace,
        "spanId": "00000000000000aa",
        "name": "buy",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000005000000",
        "status": {"code": status},
    });
    let name = json!([{"key": "service.name", "value": {"stringValue": service}}]);
    json!({"resourceSpans": [{"resource": {"attributes": name}, "scopeSpans": [{"spans": [span]}]}]})
}

fn recording(name: &str, documents: &[String]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sluice-sampling-{}-{name}", std::process::id()));
    std::fs::write(&path, documents.join("\n")).unwrap();
    path
}

fn three() -> Vec<Json> {
    vec![request("shop", HIGH, 0), request("cart", LOW, 0), request("cart", FAILED, 2)]
}

#[test]
fn every_policy_is_explained_and_the_one_that_decided_is_named() {
    let lines: Vec<String> = three().iter().map(Json::to_string).collect();
    let path = recording("lines.jsonl", &lines);
    let file = path.to_str().unwrap();
    let output = run(&["sampling", "explain", "-c", CONFIG, file, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["schema"], &found["component"]), (&json!("sluice.sampling_explain/1"), &json!("tail_sampling")));
    let traces = found["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 3);
    let of = |id: &str| traces.iter().find(|trace| trace["trace_id"] == id).unwrap();
    let failed = of(FAILED);
    assert_eq!(
        (&failed["kept"], &failed["decided_by"], &failed["threshold"], &failed["adjusted_count"]),
        (&json!(true), &json!("errors"), &json!("0"), &json!(1.0))
    );
    assert_eq!(failed["policies"][0]["values"], json!(["status code = ERROR"]));
    let low = of(LOW);
    assert_eq!(low["policies"][1]["matched"], json!(false), "{low}");
    assert_eq!(low["policies"][1]["values"], json!(["attribute service.name = \"cart\""]));
    // For people, and one trace alone.
    let output = run(&["sampling", "explain", "-c", CONFIG, file, "--trace-id", FAILED]);
    let shown = text(&output.stdout);
    assert!(shown.contains("= kept, by errors; th 0, counts 1\n"), "{shown}");
    assert!(shown.contains("tail_sampling: 1 of 1 traces kept"), "{shown}");
    assert!(!shown.contains(LOW), "{shown}");
    // One document over several lines is read, too.
    let one = recording("one.json", &[serde_json::to_string_pretty(&three()[2]).unwrap()]);
    let output = run(&["sampling", "explain", "-c", CONFIG, one.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 of 1 traces kept"));
    for path in [path, one] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn without_a_recording_the_policies_are_shown() {
    let output = run(&["sampling", "explain", "-c", CONFIG, "-o", "json"]);
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    let policies = found["policies"].as_array().unwrap();
    assert_eq!(policies[1]["needs"], json!(["attribute service.name", "randomness"]));
    assert_eq!((&policies[1]["threshold"], &policies[1]["keeps"]), (&json!("8"), &json!(0.5)));
    assert_eq!(policies[2]["limit"], json!("1 spans/s, burst 1"));
    let shown = text(&run(&["sampling", "explain", "-c", CONFIG]).stdout);
    assert!(shown.starts_with("tail_sampling: 3 policies\n"), "{shown}");
}

#[test]
fn what_cannot_be_explained_is_an_error() {
    let broken = recording("broken.jsonl", &["{\"resourceSpans\": 5}".to_owned()]);
    let other = recording("other.json", &["{\"a\": 1}".to_owned()]);
    let (broken, other) = (broken.to_str().unwrap().to_owned(), other.to_str().unwrap().to_owned());
    let wrong = CONFIG.replace("type: status_code,", "type: status_cod,");
    for (args, code, error) in [
        (vec!["-c", CONFIG, &broken], 1, "line 1"),
        (vec!["-c", CONFIG, &other], 1, "this is not OTLP/JSON"),
        (vec!["-c", CONFIG, "/no/such/recording"], 1, "/no/such/recording"),
        (vec!["-c", CONFIG, &other, "--trace-id", "12"], 2, "not a trace id"),
        (vec!["-c", CONFIG, "--trace-id", HIGH], 2, "name one"),
        (vec!["-c", CONFIG, "--component", "tail_sampling/y"], 1, "there are: tail_sampling"),
        (vec!["-c", &wrong], 3, "did you mean `status_code`?"),
        (vec![], 2, "--config"),
    ] {
        let output = run(&[&["sampling", "explain"], &*args].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(error), "{args:?}: {told}");
    }
    for path in [broken, other] {
        std::fs::remove_file(path).unwrap();
    }
}
