//! A real Prometheus holds the same after remote write as after its own reading of the same OTLP.
//!
//! Skipped, loudly, where `tests/peers/install.sh` has not installed Prometheus.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric};
use prost::Message as _;
use sluice_net::http::{Client, ClientSettings, HeaderMap, Method, Outgoing};
use sluice_pdata::testing::Rng;
use sluice_pipeline::exporter::{Attempt, Exporter as _};
use sluice_pipeline::send::SendOutcome;

use crate::crafted;
use crate::sending::{Rig, payload_of};

fn binary() -> Option<PathBuf> {
    let cache = || match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache).join("sluice-peers"),
        (None, home) => PathBuf::from(home.unwrap_or_default()).join(".cache/sluice-peers"),
    };
    let binary = std::env::var_os("SLUICE_PEERS").map_or_else(cache, PathBuf::from).join("bin/prometheus");
    let found = binary.exists().then_some(binary);
    if found.is_none() {
        eprintln!("SKIPPED: no Prometheus here; tests/peers/install.sh prometheus");
    }
    found
}

/// A server of its own, gone with its folder when dropped.
struct Prometheus {
    process: Child,
    folder: PathBuf,
    url: String,
    client: Client,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Prometheus {
    async fn start(binary: &PathBuf, otlp: &str) -> Self {
        let port = {
            let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            probe.local_addr().unwrap().port()
        };
        let folder = std::env::temp_dir().join(format!("sluice-prometheus-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, format!("otlp:\n{otlp}storage: {{exemplars: {{max_exemplars: 10000}}}}\n")).unwrap();
        let process = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--web.enable-otlp-receiver"])
            .arg("--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest")
            .arg("--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request")
            .args(["--enable-feature=exemplar-storage", "--log.level=warn"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let client = Client::new(ClientSettings::default()).unwrap();
        let prometheus = Prometheus { process, folder, url: format!("http://127.0.0.1:{port}"), client };
        for _ in 0..200 {
            if prometheus.request(Method::GET, "/-/ready", Bytes::new()).await.is_some_and(|(status, _)| status == 200)
            {
                return prometheus;
            }
            // Its start is nothing that could be waited for.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Prometheus does not start");
    }

    fn write_url(&self) -> String {
        format!("{}/api/v1/write", self.url)
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Option<(u16, Bytes)> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-protobuf".parse().unwrap());
        let uri = format!("{}{path}", self.url).parse().unwrap();
        let outgoing = Outgoing { method, uri, headers, body, timeout: Some(Duration::from_secs(20)) };
        let answer = self.client.send(outgoing).await.ok()?;
        Some((answer.status.as_u16(), answer.body))
    }

    async fn get(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.request(Method::GET, path, Bytes::new()).await.unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// All samples of all series: labels, then time and value.
    async fn samples(&self) -> BTreeMap<String, String> {
        let found = self.get("/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B1h%5D").await;
        let series = found["data"]["result"].as_array().unwrap();
        let samples = |series: &serde_json::Value| format!("{}{}", series["values"], series["histograms"]);
        series.iter().map(|series| (series["metric"].to_string(), samples(series))).collect()
    }

    /// All exemplars by series.
    async fn exemplars(&self) -> BTreeMap<String, Vec<String>> {
        let path = "/api/v1/query_exemplars?query=%7B__name__%3D~%22.%2B%22%7D&start=0&end=99999999999";
        let found = self.get(path).await;
        let series = found["data"].as_array().unwrap();
        let texts = |series: &serde_json::Value| {
            let mut texts: Vec<_> = series["exemplars"].as_array().unwrap().iter().map(ToString::to_string).collect();
            texts.sort();
            texts
        };
        series.iter().map(|series| (series["seriesLabels"].to_string(), texts(series))).collect()
    }
}

/// Random metrics as two readers must agree on them: one point each, now, nothing invalid, no name twice.
fn request(seed: u64, now: u64) -> (ExportMetricsServiceRequest, usize) {
    let mut rng = Rng::new(seed);
    let mut points = 0;
    let mut request = ExportMetricsServiceRequest::default();
    for round in 0..60 {
        let mut part = crafted::request(&mut rng);
        for (at, resource) in part.resource_metrics.iter_mut().enumerate() {
            resource.resource.iter_mut().for_each(|resource| once_each(&mut resource.attributes));
            for (scope_at, scope) in resource.scope_metrics.iter_mut().enumerate() {
                scope.scope.iter_mut().for_each(|scope| once_each(&mut scope.attributes));
                scope.metrics.retain_mut(|metric| agree(metric, now));
                for (metric_at, metric) in scope.metrics.iter_mut().enumerate() {
                    metric.name = format!("{}.n{round}x{at}x{scope_at}x{metric_at}", metric.name);
                    metric.metadata.clear();
                    points += 1;
                }
            }
        }
        request.resource_metrics.append(&mut part.resource_metrics);
    }
    (request, points)
}

/// An attribute twice is joined by one reader and refused by the other where names are not escaped.
fn once_each(attributes: &mut Vec<KeyValue>) {
    let mut seen = HashSet::new();
    attributes.retain(|pair| seen.insert(pair.key.clone()));
}

/// Reduces a metric to one point that Prometheus takes; whether there is one.
fn agree(metric: &mut Metric, now: u64) -> bool {
    macro_rules! one_point {
        ($data:expr) => {{
            $data.data_points.truncate(1);
            for point in &mut $data.data_points {
                point.time_unix_nano = now;
                point.start_time_unix_nano = 0;
                // An attribute twice is joined by one and refused by the other where names are not escaped.
                let mut seen = std::collections::HashSet::new();
                point
                    .attributes
                    .retain(|pair| seen.insert(pair.key.clone()) && pair.key != "le" && pair.key != "quantile");
                point.flags = 0;
            }
            !$data.data_points.is_empty()
        }};
    }
    macro_rules! exemplars {
        ($data:expr) => {
            for (at, exemplar) in $data.data_points.iter_mut().flat_map(|point| &mut point.exemplars).enumerate() {
                exemplar.time_unix_nano = now + at as u64 * 1_000_000;
                exemplar.filtered_attributes.retain(|pair| pair.key == "zone");
                exemplar.filtered_attributes.truncate(1);
            }
            $data.data_points.iter_mut().for_each(|point| {
                point.exemplars.retain(|exemplar| exemplar.value.is_some());
                point.exemplars.truncate(1);
            });
        };
    }
    match &mut metric.data {
        None => false,
        Some(metric::Data::Gauge(data)) => {
            data.data_points.retain(|point| point.value.is_some());
            one_point!(data)
        }
        Some(metric::Data::Sum(data)) => {
            data.aggregation_temporality = 2;
            data.data_points.retain(|point| point.value.is_some());
            exemplars!(data);
            one_point!(data)
        }
        Some(metric::Data::Histogram(data)) => {
            data.aggregation_temporality = 2;
            data.data_points.retain(|point| !point.explicit_bounds.contains(&f64::INFINITY));
            exemplars!(data);
            one_point!(data)
        }
        Some(metric::Data::ExponentialHistogram(data)) => {
            data.aggregation_temporality = 2;
            for point in &mut data.data_points {
                let sides = [&point.positive, &point.negative];
                let buckets: u64 = sides.into_iter().flatten().flat_map(|side| &side.bucket_counts).sum();
                // Where buckets must be merged, Prometheus puts those behind an empty one beside their place.
                (point.scale, point.count) = (point.scale.clamp(-4, 8), point.zero_count + buckets);
            }
            exemplars!(data);
            one_point!(data)
        }
        Some(metric::Data::Summary(data)) => one_point!(data),
    }
}

const STRATEGIES: [&str; 4] = [
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_holds_the_same_as_after_reading_otlp_itself() {
    let Some(binary) = binary() else { return };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64 * 1_000_000;
    for strategy in STRATEGIES {
        let otlp = format!(
            "  translation_strategy: {strategy}\n  promote_scope_metadata: true\n  promote_resource_attributes: [host.name]\n"
        );
        let reader = Prometheus::start(&binary, &otlp).await;
        let (request, points) = request(7, now);
        for resource in &request.resource_metrics {
            // One by one, so that what one of them is refused for takes nothing else along.
            let single = ExportMetricsServiceRequest { resource_metrics: vec![resource.clone()] };
            let body = single.encode_to_vec().into();
            let (status, text) = reader.request(Method::POST, "/api/v1/otlp/v1/metrics", body).await.unwrap();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
        }
        let (samples, exemplars) = (reader.samples().await, reader.exemplars().await);
        assert!(samples.len() > 300 && exemplars.len() > 10, "{} {}", samples.len(), exemplars.len());
        for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request", "auto"] {
            let writer = Prometheus::start(&binary, &otlp).await;
            let rig = Rig::new(
                &writer.write_url(),
                &format!(
                    "protobuf_message: {message}\ntranslation_strategy: {strategy}\npromote_resource_attributes: [host.name]"
                ),
            );
            let payload = payload_of(&request, points, &rig.clock);
            let outcome = rig.exporter.send(payload, &Attempt { number: 0, deadline: None }).await;
            assert_eq!(outcome, SendOutcome::delivered(), "{strategy} {message}");
            let found = writer.samples().await;
            for (labels, values) in &samples {
                assert_eq!(found.get(labels), Some(values), "{strategy} {message} {labels}");
            }
            assert_eq!(found.len(), samples.len(), "{strategy} {message}");
            let found = writer.exemplars().await;
            // Of a 1.0 message Prometheus reads exemplars before histograms: the first one of a series finds no series.
            let lost = |labels: &String| message == "prometheus.WriteRequest" && samples[labels].starts_with("null");
            let mut exemplars = exemplars.clone();
            exemplars.retain(|labels, _| !lost(labels));
            for (labels, expected) in &exemplars {
                assert_eq!(found.get(labels), Some(expected), "{strategy} {message} {labels}");
            }
            assert_eq!(found.len(), exemplars.len(), "{strategy} {message}");
        }
    }
}

/// Counts that agree with each other, as Prometheus insists on in native histograms.
fn add_up(request: &mut ExportMetricsServiceRequest) {
    let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        let Some(metric::Data::Histogram(data)) = &mut metric.data else { continue };
        for point in &mut data.data_points {
            point.bucket_counts.resize(point.explicit_bounds.len() + 1, 1);
            point.count = point.bucket_counts.iter().sum();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_holds_the_same_histograms_with_custom_buckets() {
    let Some(binary) = binary() else { return };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64 * 1_000_000;
    let otlp = "  convert_histograms_to_nhcb: true\n  promote_scope_metadata: true\n";
    let reader = Prometheus::start(&binary, otlp).await;
    let (mut request, points) = request(8, now);
    add_up(&mut request);
    for resource in &request.resource_metrics {
        let single = ExportMetricsServiceRequest { resource_metrics: vec![resource.clone()] };
        let body = single.encode_to_vec().into();
        let (status, text) = reader.request(Method::POST, "/api/v1/otlp/v1/metrics", body).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    }
    let samples = reader.samples().await;
    assert!(samples.values().filter(|values| values.starts_with("null")).count() > 30, "{samples:?}");
    let writer = Prometheus::start(&binary, otlp).await;
    let rig = Rig::new(&writer.write_url(), "convert_histograms_to_nhcb: true");
    let payload = payload_of(&request, points, &rig.clock);
    let outcome = rig.exporter.send(payload, &Attempt { number: 0, deadline: None }).await;
    assert_eq!(outcome, SendOutcome::delivered());
    let found = writer.samples().await;
    for (labels, values) in &samples {
        assert_eq!(found.get(labels), Some(values), "{labels}");
    }
    assert_eq!(found.len(), samples.len());
}
