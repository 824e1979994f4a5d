//! `sluice config …` and upstream's `print-config`: what is shown is what is read, without its secrets, and the schema
//! says what the decoder takes.

use serde_json::{Value, json};

use crate::examples::{configurations, files};
use crate::sluice::{root, run, text};

const CANARY: &str = "canary-secret";

/// Secrets where types, header blocks, names and URLs say so.
const SECRETS: &str = "yaml:receivers: {otlp: {protocols: {grpc: {tls: {cert_file: /c, key_pem: canary-secret}}}}}
processors:
  redaction: {hash_function: hmac-sha256, hmac_key: canary-secret-canary-secret-canary-secret, tokens: {active: {kid: a, key: canary-secret-canary-secret-canary-secret}}}
  attributes: {actions: [{key: db.password, value: canary-secret, action: update}]}
exporters:
  otlp_grpc: {endpoint: 'backend:4317', headers: {x-scope: canary-secret}}
  prometheus_remote_write: {endpoint: 'https://me:canary-secret@host/api/v1/write', headers: [{name: a, value: canary-secret}]}
  unknown_type: {api_key: canary-secret, headers: {a: canary-secret}}
service:
  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: 'http://a:1', headers: [{name: a, value: canary-secret}]}}}}]}}
  pipelines: {traces: {receivers: [otlp], processors: [redaction, attributes], exporters: [otlp_grpc]}}";

#[test]
fn no_secret_is_printed_unless_asked_for() {
    let commands: [&[&str]; 5] = [
        &["config", "print", "-c", SECRETS],
        &["config", "print", "-c", SECRETS, "-o", "json"],
        &["config", "print", "-c", SECRETS, "--origin"],
        &["print-config", "--config", SECRETS, "--validate=false"],
        &["print-initial-config", "--config", SECRETS, "--validate=false", "--format", "json"],
    ];
    for command in commands {
        let output = run(command);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", text(&output.stderr));
        assert!(!shown.contains(CANARY), "{command:?}: {shown}");
        assert!(shown.contains("[REDACTED]") && shown.contains("backend:4317"), "{shown}");
    }
    let shown = text(&run(&["config", "print", "-c", SECRETS, "--unredacted"]).stdout);
    assert_eq!(shown.matches(CANARY).count(), SECRETS.matches(CANARY).count(), "{shown}");
    let shown = text(&run(&["print-config", "--config", SECRETS, "--validate=false", "--mode", "unredacted"]).stdout);
    assert!(shown.contains(CANARY), "{shown}");
}

#[test]
fn what_is_printed_means_the_same() {
    for name in ["agent", "gateway", "companion"] {
        let path = root().join(format!("configs/{name}.yaml"));
        let path = path.to_str().unwrap();
        let printed = text(&run(&["config", "print", "-c", path, "--unredacted"]).stdout);
        let again = format!("yaml:{printed}");
        assert_eq!(text(&run(&["config", "print", "-c", &again, "--unredacted"]).stdout), printed, "{name}");
        let json = |source: &str| text(&run(&["config", "print", "-c", source, "--unredacted", "-o", "json"]).stdout);
        assert_eq!(json(&again), json(path), "{name}");
        assert_eq!(run(&["check", "-c", &again]).status.code(), Some(0), "{name}");
    }
}

#[test]
fn origins_name_the_source_that_won() {
    let base = "yaml:receivers: {otlp: {protocols: {grpc: {endpoint: a:1}}}}";
    let shown =
        run(&["config", "print", "-c", base, "--set", "receivers.otlp.protocols.grpc.endpoint=b:2", "--origin"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("endpoint: b:2  # <--set #1>:1:"), "{shown}");
    let json = run(&["config", "print", "-c", base, "--origin", "-o", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["origins"]["receivers::otlp::protocols::grpc::endpoint"], "<yaml #1>:1:49");
}

#[test]
fn print_config_checks_first_as_upstream_does() {
    let bad = "yaml:receivers: {otlp: {}}";
    let output = run(&["print-config", "--config", bad]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true));
    assert_eq!(run(&["print-config"]).status.code(), Some(1));
    assert_eq!(run(&["print-config", "--config", bad, "--mode", "x"]).status.code(), Some(2));
}

/// As much of JSON Schema 2020-12 as `config schema` uses; a keyword that it does not know is a failure.
fn valid(schema: &Value, value: &Value, root: &Value) -> bool {
    let rules = match schema {
        Value::Bool(all) => return *all,
        Value::Object(rules) => rules,
        other => panic!("{other}"),
    };
    let object = value.as_object();
    let declared = |key: &str| rules.get("properties").is_some_and(|known| known.get(key).is_some());
    let patterns = || rules.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
    rules.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "writeOnly" => true,
        "$ref" => valid(root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value, root),
        "anyOf" => rule.as_array().unwrap().iter().any(|one| valid(one, value, root)),
        "enum" => rule.as_array().unwrap().contains(value),
        "type" => {
            let name = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            rule == name || rule.as_array().is_some_and(|names| names.iter().any(|one| one == name))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, item, root))),
        "required" => {
            object.is_none_or(|map| rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap())))
        }
        "minProperties" => object.is_none_or(|map| map.len() as u64 >= rule.as_u64().unwrap()),
        "maxProperties" => object.is_none_or(|map| map.len() as u64 <= rule.as_u64().unwrap()),
        "properties" => object.is_none_or(|map| {
            map.iter().all(|(key, inner)| rule.get(key).is_none_or(|schema| valid(schema, inner, root)))
        }),
        "patternProperties" => object.is_none_or(|map| {
            map.iter().all(|(key, inner)| {
                patterns().filter(|(pattern, _)| matches(pattern, key)).all(|(_, schema)| valid(schema, inner, root))
            })
        }),
        "additionalProperties" => object.is_none_or(|map| {
            map.iter().all(|(key, inner)| {
                declared(key) || patterns().any(|(pattern, _)| matches(pattern, key)) || valid(rule, inner, root)
            })
        }),
        unknown => panic!("keyword {unknown}"),
    })
}

fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).unwrap().is_match(text)
}

/// The configuration as a document, without expansion: what an editor sees.
fn document(path: &std::path::Path) -> Option<Value> {
    let yaml = std::fs::read(path).unwrap();
    Some(sluice_config::print::json(&sluice_config::parse(&yaml).ok()?))
}

#[test]
fn the_schema_accepts_and_refuses_what_the_decoder_does() {
    let schema: Value = serde_json::from_slice(&run(&["config", "schema"]).stdout).unwrap();
    for name in ["agent", "gateway", "companion"] {
        let path = root().join(format!("configs/{name}.yaml"));
        assert!(valid(&schema, &document(&path).unwrap(), &schema), "{name}");
    }
    let folder = root().join("tests/diagnostics");
    let (mut refused, mut accepted) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let report = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        let Some(document) = document(&path) else { continue };
        let has = |code: &str| report.contains(&format!("error[{code}]"));
        let schema_error = ["E0102", "E0103", "E0110"].iter().any(|code| has(code));
        let clean = !report.contains("error[");
        if schema_error {
            assert!(!valid(&schema, &document, &schema), "the schema accepts {}", path.display());
            refused += 1;
        } else if clean {
            assert!(valid(&schema, &document, &schema), "the schema refuses {}", path.display());
            accepted += 1;
        }
    }
    assert!(refused >= 10 && accepted >= 8, "{refused} refused, {accepted} accepted");
}

#[test]
fn every_field_of_the_schema_is_known_to_the_decoder() {
    let schema: Value = serde_json::from_slice(&run(&["config", "schema"]).stdout).unwrap();
    let sections = [
        ("receivers", "otlp"),
        ("processors", "memory_limiter"),
        ("processors", "redaction"),
        ("processors", "filter"),
        ("processors", "up"),
        ("exporters", "otlp_grpc"),
        ("exporters", "debug"),
        ("exporters", "prometheus_remote_write"),
        ("extensions", "journal"),
        ("extensions", "file_storage"),
    ];
    for (section, id) in sections {
        let components = schema.pointer(&format!("/properties/{section}/anyOf/0/patternProperties")).unwrap();
        let (_, component) = components.as_object().unwrap().iter().find(|(pattern, _)| matches(pattern, id)).unwrap();
        let fields = component.pointer("/anyOf/0/properties").unwrap().as_object().unwrap();
        assert!(!fields.is_empty(), "{id}");
        // Every field as null, which keeps its default, and one that nobody knows.
        let nulls: Vec<String> = fields.keys().map(|field| format!("{field}: ")).collect();
        let config = format!("yaml:{section}: {{{id}: {{{}, no_such_field: }}}}", nulls.join(", "));
        let report = text(&run(&["check", "-c", &config]).stderr);
        let unknown: Vec<&str> = report.lines().filter(|line| line.contains("has invalid keys")).collect();
        assert_eq!(unknown.len(), 1, "{id}: {unknown:?}");
        assert!(unknown[0].ends_with("'' has invalid keys: no_such_field"), "{id}: {unknown:?}");
    }
}

#[test]
fn check_counts_and_exits_by_what_it_found() {
    let warned = "yaml:receivers: {otlp: {protocols: {grpc: }}}
processors: {batch: }
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}";
    let fine = warned.replace("receivers: [otlp], ", "receivers: [otlp], processors: [batch], ");
    let output = run(&["check", "-c", &fine, "--strict"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "ok: 3 components, 1 pipeline, 1 file\n")
    );
    assert_eq!(run(&["check", "-c", warned]).status.code(), Some(0));
    assert_eq!(run(&["check", "-c", warned, "--strict"]).status.code(), Some(6));
    let many = format!("yaml:exporters: {{{}}}", (0..120).map(|n| format!("x{n}: ")).collect::<Vec<_>>().join(", "));
    let shown = text(&run(&["check", "-c", &many]).stderr);
    assert!(shown.contains("--all shows them"), "{shown}");
    assert!(!text(&run(&["check", "-c", &many, "--all"]).stderr).contains("--all shows them"));
}

#[test]
fn a_dry_run_shows_the_plan_and_starts_nothing() {
    let gateway = root().join("configs/gateway.yaml");
    let output = run(&["run", "--dry-run", "-c", gateway.to_str().unwrap()]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(shown.contains("traces: otlp → memory_limiter → redaction"), "{shown}");
    assert!(shown.ends_with("dry run: nothing was started\n"), "{shown}");
    let bad = run(&["run", "--dry-run", "-c", "yaml:receivers: {otlp: {}}"]);
    assert_eq!(bad.status.code(), Some(3));
}

#[test]
fn completions_exist_for_each_shell() {
    for (shell, word) in [("bash", "_sluice()"), ("zsh", "#compdef sluice"), ("fish", "complete -c sluice")] {
        let output = run(&["completions", shell]);
        let script = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(script.contains(word) && script.contains("explain"), "{shell}");
    }
}

/// Every configuration of `configs/` and of the pages of components and other matters that passes `check`, and where it is from.
fn documented() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files(&root().join("configs"), "yaml") {
        found.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
    }
    for folder in ["docs", "docs/components", "docs/diagnostics"] {
        for path in files(&root().join(folder), "md") {
            let page = std::fs::read_to_string(&path).unwrap();
            for (index, yaml) in configurations(&page).into_iter().enumerate() {
                found.push((format!("{} #{index}", path.display()), yaml));
            }
        }
    }
    found
}

#[test]
fn what_is_printed_with_defaults_is_accepted_and_means_the_same() {
    let mut accepted = 0;
    for (name, yaml) in documented() {
        let source = format!("yaml:{yaml}");
        if run(&["check", "-c", &source]).status.code() != Some(0) {
            continue;
        }
        accepted += 1;
        let print = |source: &str, more: &[&str]| {
            let output = run(&[&["config", "print", "-c", source], more].concat());
            assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
            text(&output.stdout)
        };
        let whole = print(&source, &["--defaults", "--unredacted"]);
        let again = format!("yaml:{whole}");
        let check = run(&["check", "-c", &again]);
        assert_eq!(check.status.code(), Some(0), "{name}: {}\n{whole}", text(&check.stderr));
        // Its defaults are those that were not written: nothing is added, and no component reads its config otherwise.
        assert_eq!(print(&again, &["--defaults", "--unredacted"]), whole, "{name}");
        let plan = |source: &str| text(&run(&["run", "--dry-run", "-c", source]).stdout);
        assert_eq!(plan(&again), plan(&source), "{name}");
        // What was written is there as it was.
        let json = |source: &str| serde_json::from_str(&print(source, &["--unredacted", "-o", "json"])).unwrap();
        contains(&json(&again), &json(&source), &name);
    }
    assert!(accepted >= 60, "only {accepted} configurations");
}

/// Every value of `part` is in `whole`, under its path; what is null may have become a block.
fn contains(whole: &Value, part: &Value, at: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().for_each(|(key, value)| contains(&whole[key], value, &format!("{at}::{key}")));
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{at}");
            whole.iter().zip(part).for_each(|(whole, part)| contains(whole, part, at));
        }
        (Value::Object(_), Value::Null) => {}
        _ => assert_eq!(whole, part, "{at}"),
    }
}

#[test]
fn defaults_are_shown_and_no_secret_with_them() {
    let shown = text(&run(&["config", "print", "-c", SECRETS, "--defaults", "--origin"]).stdout);
    assert!(!shown.contains(CANARY), "{shown}");
    let expected = [
        "write_buffer_size: 524288  # default",
        "balancer_name: round_robin  # default",
        "enabled: true  # default",
        "exported_timeout: 8s  # default",
        "endpoint: backend:4317  # <yaml #1>:",
    ];
    for line in expected {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    let plain = text(&run(&["config", "print", "-c", SECRETS]).stdout);
    assert!(!plain.contains("write_buffer_size"), "only when asked for: {plain}");
}

/// Every property of a schema with its path.
fn properties<'s>(schema: &'s Value, path: &str, found: &mut Vec<(String, &'s Value)>) {
    match schema {
        Value::Object(rules) => {
            for (keyword, rule) in rules {
                match keyword.as_str() {
                    "properties" | "patternProperties" => {
                        for (name, property) in rule.as_object().unwrap() {
                            let path = format!("{path}/{name}");
                            found.push((path.clone(), property));
                            properties(property, &path, found);
                        }
                    }
                    "default" | "enum" => {}
                    _ => properties(rule, path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, path, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_schema_has_a_description_and_defaults_are_those_of_the_code() {
    let schema: Value = serde_json::from_slice(&run(&["config", "schema"]).stdout).unwrap();
    let mut found = Vec::new();
    properties(&schema["properties"], "", &mut found);
    // Components and pipelines have titles instead.
    let says = |property: &Value| {
        ["description", "title"].iter().any(|key| property[key].as_str().is_some_and(|it| !it.is_empty()))
    };
    let undescribed: Vec<&String> = found.iter().filter(|(_, it)| !says(it)).map(|(path, _)| path).collect();
    assert!(undescribed.is_empty(), "{} of {}: {undescribed:#?}", undescribed.len(), found.len());
    assert!(found.len() > 800, "{}", found.len());
    let odd = |text: &str| text.contains('§') || text.contains("[`") || text.contains("`]") || text.contains("\\n");
    let odd: Vec<_> = found.iter().filter(|(_, it)| odd(it["description"].as_str().unwrap_or_default())).collect();
    assert!(odd.is_empty(), "references that readers of the schema cannot follow: {odd:#?}");
    let of = |ending: &'static str| found.iter().filter(move |(path, _)| path.ends_with(ending)).map(|(_, it)| *it);
    let defaults = [
        ("/sending_queue/block_on_overflow", json!(false)),
        ("/decision_wait", json!("30s")),
        ("/num_traces", json!(50_000)),
        ("/metrics_flush_interval", json!("1m")),
        ("/wire_bytes", json!("20MiB")),
        ("/exported_timeout", json!("8s")),
        ("/level", json!("info")),
        ("/http/traces_url_path", json!("/v1/traces")),
        ("/rotation/max_megabytes", json!(100)),
    ];
    for (ending, expected) in defaults {
        let shown: Vec<&Value> = of(ending).map(|property| &property["default"]).collect();
        assert!(shown.contains(&&expected), "{ending}: {shown:?}");
    }
    let words = of("/hash_function").next().unwrap().to_string();
    assert!(words.contains("\"hmac-sha512\""), "{words}");
    let ack = of("/delivery/ack").next().unwrap()["description"].as_str().unwrap();
    assert!(ack.contains("- `durable`: After the data is on disk."), "what the words mean: {ack}");
}
