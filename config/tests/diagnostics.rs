//! Small configurations and the exact text people see for them.
//!
//! Each `diagnostics/NAME.yaml` is resolved, loaded and decoded against a small catalog; the report must equal
//! `diagnostics/NAME.txt`. A line `# env: A=x` in the YAML sets a variable, `# set: k=v` adds a `--set`.
//! `UPDATE_GOLDEN=1` rewrites the expected texts.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use sluice_config::service::{Catalog, Gates, Service};
use sluice_config::{
    Args, Diagnostic, FixedSources, GoDuration, Headers, Kind, Node, Problems, Secret, Severity, Toggle, codes, render,
    resolve, sort,
};

const CATALOG: Catalog<'static> = Catalog {
    receivers: &["otlp", "file_log", "nop"],
    processors: &["batch", "filter", "memory_limiter"],
    exporters: &["otlp_grpc", "otlp_http", "debug", "nop"],
    connectors: &["forward", "routing"],
    extensions: &["health_check"],
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryLimiter {
    #[serde(rename = "check_interval")]
    _check_interval: GoDuration,
    #[serde(rename = "limit_mib")]
    _limit_mib: u32,
    #[serde(rename = "spike_limit_mib")]
    _spike_limit_mib: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(rename = "conditions")]
    _conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "context")]
    _context: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OtlpGrpc {
    endpoint: String,
    #[serde(rename = "headers")]
    _headers: Headers,
    #[serde(rename = "token")]
    _token: Secret,
    #[serde(rename = "insecure")]
    _insecure: bool,
    sending_queue: Toggle<Queue>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    queue_size: i64,
    #[serde(rename = "sizer")]
    _sizer: Sizer,
}

impl Default for Queue {
    fn default() -> Self {
        Self { queue_size: 1000, _sizer: Sizer::Requests }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sizer {
    Requests,
    Items,
    Bytes,
}

/// As a component factory would.
fn component(kind: &str, node: &Node) -> Vec<Diagnostic> {
    match kind {
        "memory_limiter" => sluice_config::decode::<MemoryLimiter>(node).err().unwrap_or_default(),
        "filter" => sluice_config::decode::<Filter>(node).err().unwrap_or_default(),
        "otlp_grpc" => match sluice_config::decode::<OtlpGrpc>(node) {
            Ok(config) => {
                let mut problems = Problems::new(node);
                if config.endpoint.is_empty() {
                    problems.error("endpoint", "requires a non-empty \"endpoint\"");
                } else if !config.endpoint.contains(':') {
                    problems.add("E0211", "endpoint", &format!("endpoint has no port: {}", config.endpoint)).help =
                        Some("OTLP/gRPC uses 4317; 4318 is the HTTP port (exporter otlp_http)".into());
                }
                if config.sending_queue.as_ref().is_some_and(|queue| queue.queue_size <= 0) {
                    problems.error("sending_queue::queue_size", "`queue_size` must be positive");
                }
                problems.into_diagnostics()
            }
            Err(found) => found,
        },
        _ => Vec::new(),
    }
}

fn report(yaml: &[u8]) -> Vec<Diagnostic> {
    let text = String::from_utf8_lossy(yaml);
    let mut sources = FixedSources::default().file("agent.yaml", &text);
    let mut args = Args { configs: vec!["agent.yaml".into()], ..Args::default() };
    for line in text.lines() {
        if let Some((name, value)) = line.strip_prefix("# env: ").and_then(|rest| rest.split_once('=')) {
            sources = sources.var(name, value);
        }
        args.sets.extend(line.strip_prefix("# set: ").map(str::to_owned));
    }
    let document = match resolve(&args, &sources) {
        Ok(document) => document,
        Err(found) => return found,
    };
    let (service, mut found) = Service::load(&document, &CATALOG, Gates::default());
    found.extend(document.warnings);
    for kind in Kind::ALL {
        for it in service.of_kind(kind) {
            found.extend(it.canonical.iter().flat_map(|name| component(name, &it.node)));
        }
    }
    sort(&mut found);
    found
}

#[test]
fn reports_read_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut wrong = String::new();
    let mut seen: Vec<&'static str> = Vec::new();
    let mut cases = 0;
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml")) {
        let found = report(&std::fs::read(path).unwrap());
        let text = format!("{}{}\n", render::human(&found, render::Style::default()), render::summary(&found, 1));
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if text != expected {
            let _ = writeln!(wrong, "== {}\n{text}-- expected\n{expected}", path.display());
        }
        seen.extend(found.iter().map(|it| it.code));
        cases += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases >= 20, "only {cases} cases");
    // What a real component says, and the lints, have their cases in tests/diagnostics.
    assert!(seen.iter().all(|code| codes::meaning(code).is_some()), "{seen:?}");
}

#[test]
fn json_carries_the_same_facts() {
    let found = report(b"receivers: {otlp: }\nexporters: {otlp: {endpoint: x}}\nservice: {pipelines: {traces: {}}}\n");
    let values: Vec<_> = found.iter().map(render::json).collect();
    let endpoint = values.iter().find(|it| it["code"] == "E0211").unwrap();
    assert_eq!(endpoint["message"], "exporters::otlp: endpoint has no port: x");
    assert_eq!(endpoint["file"], "agent.yaml");
    assert_eq!(endpoint["span"]["line"], 2);
    assert_eq!((&endpoint["span"]["col"], &endpoint["span"]["end_col"]), (&30.into(), &31.into()));
    assert_eq!(endpoint["severity"], "error");
    assert!(found.iter().any(|it| it.severity == Severity::Note && it.code == "N0601"));
}
