//! The model of documents that are right. What is said about wrong ones is in `tests/diagnostics`.

use super::*;
use crate::ids::Signal;
use crate::resolve::{Args, FixedSources, resolve};

const CATALOG: Catalog<'static> = Catalog {
    receivers: &["otlp", "prometheus", "jaeger", "zipkin", "file_log"],
    processors: &["batch", "memory_limiter"],
    exporters: &["otlp_grpc", "debug"],
    connectors: &["span_metrics"],
    extensions: &["health_check"],
};

fn load(yaml: &str) -> (Service, Vec<Diagnostic>) {
    load_with(yaml, Gates::default())
}

fn load_with(yaml: &str, gates: Gates) -> (Service, Vec<Diagnostic>) {
    let sources = FixedSources::default().file("a.yaml", yaml).var("MY_POD_IP", "10.0.0.1");
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    Service::load(&resolve(&args, &sources).unwrap(), &CATALOG, gates)
}

/// The default of the OpenTelemetry Helm chart, in its shape.
const CHART: &str = "
exporters:
  debug: {}
extensions:
  health_check:
    endpoint: ${env:MY_POD_IP}:13133
processors:
  batch: {}
  memory_limiter: {check_interval: 5s, limit_percentage: 80, spike_limit_percentage: 25}
receivers:
  jaeger: {protocols: {grpc: {endpoint: '${env:MY_POD_IP}:14250'}}}
  otlp: {protocols: {grpc: {endpoint: '${env:MY_POD_IP}:4317'}}}
  prometheus: {config: {scrape_configs: [{job_name: c, static_configs: [{targets: ['${env:MY_POD_IP}:8888']}]}]}}
  zipkin:
service:
  extensions: [health_check]
  pipelines:
    logs: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp]}
    metrics: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp, prometheus]}
    traces: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp, jaeger, zipkin]}
  telemetry:
    resource: {attributes: [{name: k8s.pod.name, value: p}, {name: service.version, value: null}]}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: '${env:MY_POD_IP}', port: 8888}}}}]}
";

#[test]
fn the_charts_default_loads_without_a_word() {
    let (service, found) = load(CHART);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(service.components.len(), 8);
    let traces = service.pipelines.iter().find(|it| it.id.signal() == Signal::Traces).unwrap();
    let ids: Vec<String> = traces.receivers.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(ids, ["otlp", "jaeger", "zipkin"]);
    assert_eq!(traces.receivers[1].origin.to_string(), "a.yaml:20:89");
    assert!(service.unused().is_empty());
    let reader = service.telemetry.metrics.readers[0].prometheus().unwrap();
    assert_eq!((reader.host.as_str(), reader.port, reader.without_units), ("10.0.0.1", 8888, true));
    let attributes = &service.telemetry.resource.attributes;
    assert_eq!(attributes[..], [("k8s.pod.name".into(), Some("p".into())), ("service.version".into(), None)]);
    assert_eq!(service.delivery, Delivery::default());
    assert_eq!(service.limits, Limits::default());
}

const REST: &str = "
receivers: {otlp: }
exporters: {debug: }
";

#[test]
fn the_service_section_decodes_into_plain_structs() {
    let yaml = format!(
        "{REST}
service:
  delivery: {{ack: memory, strict: true, exported_timeout: 2s}}
  limits: {{wire_bytes: 1MiB, attributes: 3, invalid_utf8: replace}}
  telemetry:
    logs: {{level: WARN, encoding: json, sampling: {{enabled: false}}, initial_fields: {{a: 1}}}}
    metrics:
      level: Detailed
      readers:
      - periodic: {{interval: 5000, exporter: {{otlp: {{protocol: grpc, endpoint: 'http://h:1'}}}}}}
      - pull: {{exporter: {{prometheus: {{port: 1, without_type_suffix: false}}}}}}
    traces: {{level: none}}
  pipelines:
    traces/a: {{receivers: [otlp], exporters: debug, delivery: {{ack: durable}}}}
"
    );
    let (service, found) = load(&yaml);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((service.delivery.ack, service.delivery.strict), (Ack::Memory, true));
    assert_eq!(service.delivery.exported_timeout.as_secs(), 2);
    assert_eq!((*service.limits.wire_bytes, service.limits.attributes), (1 << 20, 3));
    assert_eq!(service.limits.invalid_utf8, InvalidUtf8::Replace);
    assert_eq!((service.telemetry.logs.level, service.telemetry.logs.encoding), (LogLevel::Warn, Encoding::Json));
    assert!(!service.telemetry.logs.sampling.enabled);
    let metrics = &service.telemetry.metrics;
    assert_eq!((metrics.level, metrics.readers.len()), (MetricsLevel::Detailed, 2));
    assert_eq!(metrics.readers[0].periodic.as_ref().unwrap().interval, 5000);
    let pull = metrics.readers[1].prometheus().unwrap();
    assert_eq!((pull.host.as_str(), pull.without_type_suffix, pull.without_units), ("localhost", false, true));
    assert_eq!(service.pipelines[0].ack, Some(Ack::Durable));
    assert_eq!(service.pipelines[0].exporters[0].id.to_string(), "debug");
}

#[test]
fn no_metrics_need_no_reader() {
    let pipeline = "pipelines: {traces: {receivers: [otlp], exporters: [debug]}}";
    let cases = [
        ("{level: none, readers: []}", None),
        ("{readers: }", None),
        ("{readers: []}", Some("collector telemetry metrics reader should exist when metric level is not none")),
        ("{readers: [{}]}", Some("no valid metric exporter")),
    ];
    for (metrics, expected) in cases {
        let (_, found) = load(&format!("{REST}\nservice:\n  {pipeline}\n  telemetry: {{metrics: {metrics}}}\n"));
        let texts: Vec<&str> = found.iter().map(|it| it.message.as_str()).collect();
        match expected {
            None => assert!(texts.is_empty(), "{metrics}: {texts:?}"),
            Some(text) => assert!(texts.len() == 1 && texts[0].contains(text), "{metrics}: {texts:?}"),
        }
    }
}

#[test]
fn gates_open_what_they_guard() {
    let profiles = format!("{REST}\nservice: {{pipelines: {{profiles: {{receivers: [otlp], exporters: [debug]}}}}}}\n");
    assert_eq!(load(&profiles).1[0].code, "E0203");
    assert!(load_with(&profiles, Gates { profiles_support: true, ..Gates::default() }).1.is_empty());
    let extensions = "extensions: {health_check: }\nservice: {extensions: [health_check]}\n";
    assert_eq!(load(extensions).1.len(), 3);
    assert!(load_with(extensions, Gates { allow_no_pipelines: true, ..Gates::default() }).1.is_empty());
}

#[test]
fn unused_components_are_listed_on_request() {
    let yaml = format!(
        "{REST}\nprocessors: {{batch: }}\nservice: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    );
    let (service, found) = load(&yaml);
    assert!(found.is_empty());
    let unused: Vec<String> = service.unused().iter().map(ToString::to_string).collect();
    assert_eq!(unused, ["a.yaml:5:14: processors::batch: configured but not used [W0509]"]);
}
