//! Fields of the exporter, under upstream's names where upstream has them (prometheus §3, collector-compat §6.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Node, Toggle};
use sluice_pipeline::blocks::{HttpClient, Protection, QueueBatch, Retry, SendingQueue};
use sluice_pipeline::exporter::Delivery;

use super::series::Limits;
use super::translate::{Compat, LeFormat, NhcbOnV1, Options, Strategy};
use super::version::Protocol;

/// `exporters: prometheusremotewrite:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// The same fields in a block of their own.
    pub http: Option<HttpClient>,
    /// In front of every metric name.
    pub namespace: String,
    /// Labels for series that lack them.
    pub external_labels: BTreeMap<String, String>,
    /// Upstream's queue; or `sending_queue`.
    pub remote_write_queue: Option<RemoteWriteQueue>,
    /// What waits for the destination, instead of `remote_write_queue`.
    pub sending_queue: Option<Toggle<SendingQueue>>,
    /// Upstream's queue on disk. The fields are read and nothing else.
    pub wal: Option<Wal>,
    /// How attempts are repeated.
    pub retry_on_failure: Toggle<Retry>,
    #[serde(rename = "..protection")]
    pub protection: Protection,
    /// Answers 429 are repeated.
    pub retry_on_http_429: bool,
    /// All resource attributes become labels.
    pub resource_to_telemetry_conversion: ResourceToTelemetry,
    /// These become labels.
    pub promote_resource_attributes: Vec<String>,
    /// All become labels but `ignore_resource_attributes`.
    pub promote_all_resource_attributes: bool,
    /// Those that do not, with `promote_all_resource_attributes`.
    pub ignore_resource_attributes: Vec<String>,
    /// `service.*` stay on `target_info`.
    pub keep_identifying_resource_attributes: bool,
    /// Histograms with explicit bounds become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// `_x` becomes `key_x`. Default `true`.
    pub label_name_underscore_sanitization: Option<bool>,
    /// `a..b` becomes `a__b`, not `a_b`. Default `true`.
    pub label_name_preserve_multiple_underscores: Option<bool>,
    /// The series that tells of resources.
    pub target_info: TargetInfo,
    /// No `otel_scope_*` labels.
    pub disable_scope_info: bool,
    /// Older spelling; counts only without `translation_strategy`.
    pub add_metric_suffixes: bool,
    /// How metric and label names are written. Default `UnderscoreEscapingWithSuffixes`.
    pub translation_strategy: Option<Strategy>,
    /// Whose defaults count where they differ.
    pub compat: Compat,
    /// Text of `le` and `quantile`.
    pub le_format: LeFormat,
    /// What histograms with custom buckets become in version 1.0, which has no place for them.
    pub nhcb_on_v1: NhcbOnV1,
    /// In version 1.0.
    pub send_exemplars: bool,
    /// In version 1.0.
    pub send_native_histograms: bool,
    /// In version 1.0.
    pub send_metadata: bool,
    /// A request ends at this size.
    pub max_batch_size_bytes: i64,
    /// A request ends at so many samples.
    pub max_samples_per_send: i64,
    /// How long data waits for more to go with it.
    pub flush_linger: GoDuration,
    /// Without effect.
    pub max_batch_request_parallelism: Option<i64>,
    /// Version of the protocol; `auto` tries 2.0 first.
    pub protobuf_message: Protocol,
    /// How long an endpoint is taken to read 1.0 only.
    pub version_reprobe_interval: GoDuration,
    /// Refused: not available.
    pub write_relabel_configs: Vec<Node>,
    /// 0: no limit.
    pub sample_age_limit: GoDuration,
    /// 0: no limit.
    pub max_future: GoDuration,
    /// Longest `Retry-After` that is obeyed.
    pub max_retry_after: GoDuration,
    /// Without effect.
    pub shard_by: ShardBy,
    /// Refused: not available.
    pub sigv4: Option<Node>,
    /// Refused: not available.
    pub azuread: Option<Node>,
    /// Refused: not available.
    pub google_iam: Option<Node>,
}

/// Upstream's queue.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWriteQueue {
    /// Off means that payloads are sent before the request is acknowledged.
    pub enabled: bool,
    /// Requests. Unwritten: the destination's byte quota alone.
    pub queue_size: Option<i64>,
    /// Upper bound of concurrent sends.
    pub num_consumers: i64,
}

impl Default for RemoteWriteQueue {
    fn default() -> Self {
        RemoteWriteQueue { enabled: true, queue_size: None, num_consumers: 5 }
    }
}

/// Upstream's write-ahead log.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wal {
    /// Without effect.
    pub directory: String,
    /// Without effect.
    pub buffer_size: i64,
    /// Without effect.
    pub truncate_frequency: GoDuration,
    /// Without effect.
    pub lag_record_frequency: GoDuration,
}

/// Which resource attributes become labels of every series: all, in the older spelling.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceToTelemetry {
    /// Switches it on.
    pub enabled: bool,
    /// But for `service.*`.
    pub exclude_service_attributes: bool,
}

/// `target_info`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetInfo {
    /// Whether it is sent.
    pub enabled: bool,
    /// When the labels of a target change, the old series ends.
    pub stale_on_change: bool,
}

impl Default for TargetInfo {
    fn default() -> Self {
        TargetInfo { enabled: true, stale_on_change: true }
    }
}

/// What decides on the lane of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShardBy {
    #[default]
    Target,
    Series,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            client: HttpClient::default(),
            http: None,
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            remote_write_queue: None,
            sending_queue: None,
            wal: None,
            retry_on_failure: Toggle::on(),
            protection: Protection::default(),
            retry_on_http_429: true,
            resource_to_telemetry_conversion: ResourceToTelemetry::default(),
            promote_resource_attributes: Vec::new(),
            promote_all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            label_name_underscore_sanitization: None,
            label_name_preserve_multiple_underscores: None,
            target_info: TargetInfo::default(),
            disable_scope_info: false,
            add_metric_suffixes: true,
            translation_strategy: None,
            compat: Compat::default(),
            le_format: LeFormat::default(),
            nhcb_on_v1: NhcbOnV1::default(),
            send_exemplars: true,
            send_native_histograms: true,
            send_metadata: false,
            max_batch_size_bytes: 3_000_000,
            max_samples_per_send: 2000,
            flush_linger: GoDuration::from_millis(200),
            max_batch_request_parallelism: None,
            protobuf_message: Protocol::default(),
            version_reprobe_interval: GoDuration::from_secs(6 * 3600),
            write_relabel_configs: Vec::new(),
            sample_age_limit: GoDuration::default(),
            max_future: GoDuration::default(),
            max_retry_after: GoDuration::from_secs(300),
            shard_by: ShardBy::default(),
            sigv4: None,
            azuread: None,
            google_iam: None,
        }
    }
}

/// Attributes that name a service; `exclude_service_attributes` leaves them out.
const SERVICE_ATTRIBUTES: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

impl Config {
    /// The client's fields, wherever they are written.
    pub fn http(&self) -> &HttpClient {
        self.http.as_ref().unwrap_or(&self.client)
    }

    /// Time for one request; unwritten or 0 means 5 s, so that no wait for a peer is without an end.
    pub fn timeout(&self) -> std::time::Duration {
        let written = self.http().timeout.map_or(std::time::Duration::ZERO, |written| *written);
        if written.is_zero() { std::time::Duration::from_secs(5) } else { written }
    }

    /// The strategy; `add_metric_suffixes` counts only where none is written.
    pub fn strategy(&self) -> Strategy {
        self.translation_strategy.unwrap_or(match self.add_metric_suffixes {
            true => Strategy::UnderscoreEscapingWithSuffixes,
            false => Strategy::UnderscoreEscapingWithoutSuffixes,
        })
    }

    /// When a request is full.
    pub fn limits(&self) -> Limits {
        let positive =
            |written: i64, default| usize::try_from(written).ok().filter(|&limit| limit > 0).unwrap_or(default);
        Limits {
            values: positive(self.max_samples_per_send, 2000),
            bytes: positive(self.max_batch_size_bytes, 3_000_000),
        }
    }

    /// How metrics are translated.
    pub fn options(&self) -> Options {
        let strategy = self.strategy();
        let as_specified = self.compat == Compat::OtelSpec;
        let conversion = self.resource_to_telemetry_conversion;
        let mut ignored = self.ignore_resource_attributes.clone();
        if conversion.enabled && conversion.exclude_service_attributes {
            ignored.extend(SERVICE_ATTRIBUTES.map(str::to_owned));
        }
        let mut options = Options {
            strategy,
            compat: self.compat,
            namespace: self.namespace.clone(),
            external_labels: Vec::new(),
            promote_resource_attributes: self.promote_resource_attributes.clone(),
            promote_all_resource_attributes: self.promote_all_resource_attributes || conversion.enabled,
            ignore_resource_attributes: ignored,
            keep_identifying_resource_attributes: self.keep_identifying_resource_attributes,
            scope_labels: !self.disable_scope_info,
            label_name_underscore_sanitization: self.label_name_underscore_sanitization.unwrap_or(!as_specified),
            label_name_preserve_multiple_underscores: self
                .label_name_preserve_multiple_underscores
                .unwrap_or(!as_specified),
            le_format: self.le_format,
            target_info: self.target_info.enabled,
            stale_on_change: self.target_info.stale_on_change,
            send_exemplars: self.send_exemplars,
            send_native_histograms: self.send_native_histograms,
            convert_histograms_to_nhcb: self.convert_histograms_to_nhcb,
            nhcb_on_v1: self.nhcb_on_v1,
            max_future_ms: i64::try_from(self.max_future.as_millis()).unwrap_or(i64::MAX),
        };
        let namer = options.label_namer();
        let external = self.external_labels.iter();
        options.external_labels =
            external.filter_map(|(name, value)| Some((namer.build(name)?, value.clone()))).collect();
        options
    }

    /// The blocks that the delivery helper reads. Requests keep their own deadlines, so there is none for a payload. Payloads
    /// wait for others as long as a request may linger.
    pub fn delivery(&self) -> Delivery {
        let mut queue = match (&self.sending_queue, self.remote_write_queue) {
            (Some(queue), _) => queue.as_ref().cloned(),
            (None, Some(queue)) if !queue.enabled => None,
            (None, queue) => Some(SendingQueue {
                queue_size: queue.and_then(|queue| queue.queue_size),
                num_consumers: queue.map(|queue| queue.num_consumers),
                ..SendingQueue::default()
            }),
        };
        if let Some(queue) = &mut queue
            && !queue.batch.is_on()
            && !self.flush_linger.is_zero()
        {
            let min_size = i64::try_from(self.limits().values).unwrap_or(i64::MAX);
            queue.batch =
                Toggle::On(QueueBatch { flush_timeout: self.flush_linger, min_size, ..QueueBatch::default() });
        }
        let retry = self.retry_on_failure.as_ref().map(|written| Retry {
            initial_interval: written.initial_interval.or(Some(GoDuration::from_millis(30))),
            randomization_factor: written.randomization_factor.or(Some(0.1)),
            multiplier: written.multiplier.or(Some(2.0)),
            max_interval: written.max_interval.or(Some(GoDuration::from_secs(5))),
            max_elapsed_time: written.max_elapsed_time,
        });
        Delivery { queue, retry, protection: self.protection, ..Delivery::default() }
    }
}
