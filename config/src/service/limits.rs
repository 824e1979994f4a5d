//! `service::limits`: what one request and one item may hold (security §6).

use serde::{Deserialize, Serialize};

use crate::decode::ByteSize;

/// Content limits. Names and defaults are those of security §6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Compressed body. 20 MiB.
    pub wire_bytes: ByteSize,
    /// Body after decompression. 64 MiB.
    pub decompressed_bytes: ByteSize,
    /// Output over input after the first MiB. 200.
    pub compression_ratio: u64,
    /// Spans, data points or log records of a request. 250,000.
    pub items_per_request: u64,
    /// Nesting of an attribute value. 32.
    pub value_depth: u32,
    /// Nesting of JSON. 160.
    pub json_depth: u32,
    /// Attributes of one resource, scope or item. 256.
    pub attributes: u64,
    /// Attribute key. 1 KiB.
    pub key_bytes: ByteSize,
    /// Values that identify a series: resource, scope, data point, names, units. 64 KiB.
    pub identity_value_bytes: ByteSize,
    /// Log bodies; attributes of spans, events, links, logs. 1 MiB.
    pub payload_value_bytes: ByteSize,
    /// Events of a span. 1,024.
    pub events: u64,
    /// Links of a span. 1,024.
    pub links: u64,
    /// Exemplars of a data point. 100.
    pub exemplars: u64,
    /// Buckets of a data point. 2,048.
    pub buckets: u64,
    /// Quantiles of a data point. 256.
    pub quantiles: u64,
    /// Bytes of unknown fields in a request. 64 KiB.
    pub unknown_field_bytes: ByteSize,
    /// Tenants told apart. 10,000.
    pub tenants: u64,
    /// Compiled size of one regular expression. 1 MiB.
    pub regex_program: ByteSize,
    /// What happens to an item that could be trimmed.
    pub action: LimitAction,
    /// Fields of newer OTLP versions.
    pub unknown_fields: UnknownFields,
    /// Strings that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        Self {
            wire_bytes: ByteSize(20 * MIB),
            decompressed_bytes: ByteSize(64 * MIB),
            compression_ratio: 200,
            items_per_request: 250_000,
            value_depth: 32,
            json_depth: 160,
            attributes: 256,
            key_bytes: ByteSize(KIB),
            identity_value_bytes: ByteSize(64 * KIB),
            payload_value_bytes: ByteSize(MIB),
            events: 1_024,
            links: 1_024,
            exemplars: 100,
            buckets: 2_048,
            quantiles: 256,
            unknown_field_bytes: ByteSize(64 * KIB),
            tenants: 10_000,
            regex_program: ByteSize(MIB),
            action: LimitAction::Trim,
            unknown_fields: UnknownFields::Pass,
            invalid_utf8: InvalidUtf8::Pass,
        }
    }
}

/// `action`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitAction {
    /// Cut values and remove extra attributes where that merges no series.
    Trim,
    /// Reject the item instead.
    Reject,
}

/// `unknown_fields`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// Forward them.
    Pass,
    /// Remove them.
    Drop,
}

/// `invalid_utf8`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InvalidUtf8 {
    /// Forward it.
    Pass,
    /// Replace bad bytes by U+FFFD.
    Replace,
    /// Reject the item.
    Reject,
}
