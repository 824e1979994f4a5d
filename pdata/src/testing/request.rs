//! Well-formed random requests, made by walking the schema.

use super::rng::Rng;
use crate::schema::{FieldSchema, Kind, Label, Message};
use crate::signal::Signal;
use crate::wire::{put_fixed32, put_fixed64, put_len, put_message, put_varint, put_varint_field, to_zigzag};

/// Size and content of a request. Counts are upper bounds of what is drawn for each parent.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub resources: usize,
    pub scopes: usize,
    /// Spans, log records or metrics of a scope, and data points of a metric.
    pub items: usize,
    /// Attributes of anything, elements of arrays and maps, events, links, exemplars.
    pub attributes: usize,
    /// How deep arrays and maps nest in values.
    pub depth: usize,
    /// Whether some strings are not valid UTF-8. `prost` refuses those; compare with [`super::meaning`].
    pub broken_utf8: bool,
    /// Whether ids, histograms and enumerations may be invalid (wrong length, bucket counts that do not fit the bounds,
    /// unknown numbers) though well-formed.
    pub invalid: bool,
}

impl Default for Shape {
    /// Small requests: up to 3 resources, 3 scopes, 4 items, with every oddity of content but broken UTF-8.
    fn default() -> Self {
        Shape { resources: 3, scopes: 3, items: 4, attributes: 4, depth: 3, broken_utf8: false, invalid: true }
    }
}

/// A random well-formed request: every kind of value, metric and nested message occurs, also empty and extreme ones. Fields
/// stand in order, scalars are packed, defaults are left out, as an SDK would write it.
pub fn request(signal: Signal, seed: u64) -> Vec<u8> {
    request_of(signal, seed, &Shape::default())
}

/// As [`request`], of a given size.
pub fn request_of(signal: Signal, seed: u64, shape: &Shape) -> Vec<u8> {
    message(signal.request(), &mut Rng::new(seed), shape)
}

/// A random message of any type.
pub fn message(schema: &'static Message, rng: &mut Rng, shape: &Shape) -> Vec<u8> {
    let mut out = Vec::new();
    Writer { rng, shape }.message(schema, shape.depth, &mut out);
    out
}

pub(super) struct Writer<'a> {
    pub rng: &'a mut Rng,
    pub shape: &'a Shape,
}

impl Writer<'_> {
    fn message(&mut self, schema: &'static Message, depth: usize, out: &mut Vec<u8>) {
        let members: Vec<_> = schema.fields.iter().filter(|field| field.label == Label::Oneof).collect();
        // No member at all is a legal value.
        let chosen = (!members.is_empty() && !self.rng.chance(6)).then(|| self.member(schema, &members, depth));
        let bounds = self.rng.below(5);
        for field in schema.fields {
            match field.label {
                Label::Oneof if chosen == Some(field.number) => self.field(schema, field, depth, true, out),
                Label::Oneof => {}
                Label::Singular if is_profile_field(field) && !self.rng.chance(2) => {}
                Label::Singular if self.rng.chance(80) => self.field(schema, field, depth, false, out),
                Label::Optional if self.rng.chance(60) => self.field(schema, field, depth, true, out),
                Label::Singular | Label::Optional => {}
                Label::Repeated => self.repeated(schema, field, depth, bounds, out),
            }
        }
    }

    /// Which member of the oneof is set: containers only while `depth` lasts.
    fn member(&mut self, schema: &'static Message, members: &[&'static FieldSchema], depth: usize) -> u32 {
        loop {
            let field = self.rng.pick(members);
            let container = schema.name == "AnyValue" && matches!(field.kind, Kind::Message(_));
            let fits = !container || depth > 0;
            if fits && (!is_profile_field(field) || self.rng.chance(5)) {
                return field.number;
            }
        }
    }

    fn field(&mut self, schema: &Message, field: &FieldSchema, depth: usize, explicit: bool, out: &mut Vec<u8>) {
        match field.kind {
            Kind::Message(inner) => {
                let depth = if inner.name == "ArrayValue" || inner.name == "KeyValueList" {
                    depth.saturating_sub(1)
                } else {
                    depth
                };
                put_message(out, field.number, |out| self.message(inner, depth, out));
            }
            kind => {
                let start = out.len();
                if !self.scalar(schema, field, kind, out) && !explicit {
                    out.truncate(start);
                }
            }
        }
    }

    fn repeated(&mut self, schema: &Message, field: &FieldSchema, depth: usize, bounds: usize, out: &mut Vec<u8>) {
        let most = match field.name {
            "resource_spans" | "resource_logs" | "resource_metrics" => self.shape.resources,
            "scope_spans" | "scope_logs" | "scope_metrics" => self.shape.scopes,
            "spans" | "log_records" | "metrics" | "data_points" => self.shape.items,
            _ => self.shape.attributes,
        };
        match field.kind {
            Kind::Message(inner) => {
                for _ in 0..self.rng.below(most + 1) {
                    put_message(out, field.number, |out| self.message(inner, depth, out));
                }
            }
            Kind::Double | Kind::Fixed64 | Kind::Uint64 => self.packed(schema, field, bounds, out),
            kind => {
                for _ in 0..self.rng.below(3) {
                    self.scalar(schema, field, kind, out);
                }
            }
        }
    }

    /// Packed scalars: bucket counts that fit the bounds, which rise, unless the shape allows what is invalid.
    fn packed(&mut self, schema: &Message, field: &FieldSchema, bounds: usize, out: &mut Vec<u8>) {
        let fits = !(self.shape.invalid && self.rng.chance(10));
        let count = match field.name {
            _ if !fits => self.rng.below(6),
            "bucket_counts" if schema.name == "HistogramDataPoint" => bounds + 1,
            _ => bounds,
        };
        if count == 0 {
            return;
        }
        let base = self.rng.below(100) as f64;
        put_message(out, field.number, |out| {
            for index in 0..count {
                let wild = !fits && self.rng.chance(50);
                match field.kind {
                    Kind::Double if wild => out.extend_from_slice(&self.double().to_le_bytes()),
                    Kind::Double => out.extend_from_slice(&(base + index as f64 * 0.5).to_le_bytes()),
                    Kind::Fixed64 => out.extend_from_slice(&(self.rng.below(1000) as u64).to_le_bytes()),
                    _ if wild => put_varint(out, self.unsigned()),
                    _ => put_varint(out, self.rng.below(1000) as u64),
                }
            }
        });
    }

    /// Appends a random value of a scalar field. Returns whether it differs from the default.
    pub(super) fn scalar(&mut self, schema: &Message, field: &FieldSchema, kind: Kind, out: &mut Vec<u8>) -> bool {
        let number = field.number;
        let varint = match kind {
            Kind::Bool => self.rng.below(2) as u64,
            Kind::Int32 => i64::from(self.signed() as i32) as u64,
            Kind::Int64 => self.signed() as u64,
            Kind::Uint32 => u64::from(self.unsigned() as u32),
            Kind::Uint64 => self.unsigned(),
            Kind::Sint32 if self.rng.chance(80) => to_zigzag(self.rng.below(40) as i64 - 20),
            Kind::Sint32 => u64::from(to_zigzag(i64::from(self.signed() as i32)) as u32),
            Kind::Enum(_) if self.shape.invalid && self.rng.chance(8) => i64::from(self.signed() as i32) as u64,
            Kind::Enum(values) => self.rng.pick(values).1 as u64,
            Kind::Fixed32 => {
                let value = self.unsigned() as u32;
                put_fixed32(out, number, value);
                return value != 0;
            }
            Kind::Fixed64 | Kind::Sfixed64 => {
                let value = if field.name.contains("time") { self.time() } else { self.signed() as u64 };
                put_fixed64(out, number, value);
                return value != 0;
            }
            Kind::Double => {
                let value = self.double();
                put_fixed64(out, number, value.to_bits());
                return value.to_bits() != 0;
            }
            Kind::String => {
                let text = self.text(schema, field);
                put_len(out, number, &text);
                return !text.is_empty();
            }
            Kind::Id => {
                let id = self.id(field);
                put_len(out, number, &id);
                return !id.is_empty();
            }
            Kind::Bytes | Kind::Message(_) => {
                let len = self.rng.below(20);
                let bytes = self.rng.bytes(len);
                put_len(out, number, &bytes);
                return !bytes.is_empty();
            }
        };
        put_varint_field(out, number, varint);
        varint != 0
    }

    fn id(&mut self, field: &FieldSchema) -> Vec<u8> {
        let len = if field.name == "trace_id" { 16 } else { 8 };
        match self.rng.below(20) {
            0 => Vec::new(),
            1 => vec![0; len],
            2 if self.shape.invalid => {
                let len = self.rng.below(20);
                self.rng.bytes(len)
            }
            // Few different ones, so that items correlate.
            3..8 => vec![self.rng.below(4) as u8 + 1; len],
            _ => self.rng.bytes(len),
        }
    }

    fn time(&mut self) -> u64 {
        match self.rng.below(12) {
            0 => 0,
            1 => self.unsigned(),
            _ => 1_760_000_000_000_000_000 + self.rng.below(100_000_000_000) as u64,
        }
    }

    fn unsigned(&mut self) -> u64 {
        match self.rng.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => self.rng.bits(),
            3 => u64::from(u32::MAX),
            _ => self.rng.below(1000) as u64,
        }
    }

    fn signed(&mut self) -> i64 {
        match self.rng.below(8) {
            0 => 0,
            1 => i64::MAX,
            2 => i64::MIN,
            3 => self.rng.bits() as i64,
            4 => -(self.rng.below(1000) as i64),
            _ => self.rng.below(1000) as i64,
        }
    }

    fn double(&mut self) -> f64 {
        match self.rng.below(14) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::NAN,
            3 => f64::INFINITY,
            4 => f64::NEG_INFINITY,
            5 => f64::MIN_POSITIVE / 8.0,
            6 => f64::MAX,
            7 => 0.1,
            8 => -1e-7,
            _ => self.rng.below(100_000) as f64 / 100.0,
        }
    }

    fn text(&mut self, schema: &Message, field: &FieldSchema) -> Vec<u8> {
        if self.shape.broken_utf8 && self.rng.chance(8) {
            return self.rng.pick(&[&b"caf\xe9"[..], b"\xff\xfe", b"cut \xf0\x9f\xa6", b"a@b.example \x80"]).to_vec();
        }
        let pool = match field.name {
            "key" | "id_keys" | "description_keys" => KEYS,
            "schema_url" => SCHEMA_URLS,
            "unit" => UNITS,
            "name" if schema.name == "Metric" => METRICS,
            "name" => NAMES,
            _ => TEXTS,
        };
        match self.rng.below(25) {
            0 => "x".repeat(100 + self.rng.below(200)).into_bytes(),
            1 => {
                let len = self.rng.below(12);
                (0..len).map(|_| self.rng.pick(b"abcdefghij.@-_ 0123456789\"\\\n\t/{}")).collect()
            }
            _ => self.rng.pick(pool).as_bytes().to_vec(),
        }
    }
}

/// Fields of the profiles signal that other signals do not use; rare, as they are in the world.
fn is_profile_field(field: &FieldSchema) -> bool {
    field.name.ends_with("strindex")
}

const KEYS: &[&str] = &[
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment.name",
    "host.name",
    "k8s.pod.name",
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "user.email",
    "card",
    "url.full",
    "session.id",
    "exception.message",
    "",
    "schlüssel",
    "dotted..key",
];
const TEXTS: &[&str] = &[
    "",
    "GET",
    "/healthz",
    "/api/v1/orders/{id}",
    "checkout",
    "alice@example.com",
    "mail to bob.smith+x@mail.example.org about it",
    "paid with 4111 1111 1111 1111 today",
    "378282246310005",
    "naïve 🦀 Ω",
    "line\nbreak \"quoted\" back\\slash \u{0}\u{1f}\u{7f}",
    "https://user:secret@example.com/path?token=abc",
    "@",
    "null",
];
const NAMES: &[&str] = &["GET /api", "checkout", "io.example.instrumentation", "", "exception", "1.2.3", "größe"];
const METRICS: &[&str] = &[
    "http.server.request.duration",
    "process.cpu.time",
    "system.memory.usage",
    "requests_total",
    "",
    "9lives",
    "température",
];
const UNITS: &[&str] = &["", "s", "ms", "By", "1", "{request}", "By/s"];
const SCHEMA_URLS: &[&str] =
    &["", "https://opentelemetry.io/schemas/1.37.0", "https://opentelemetry.io/schemas/1.26.0"];
