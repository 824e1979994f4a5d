//! The step in a pass: it agrees with the plain model, and no planted secret leaves.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Member,
};
use sluice_pdata::pass::{Chain, Passed, Scratch, Step};
use sluice_pdata::schema::{Kind, Message};
use sluice_pdata::testing::{Decoded, Oddities, Rng, Shape, laws, odd, request_of};
use sluice_pdata::wire::{Value as Wire, fields, put_len};
use sluice_pdata::{Signal, canonical, framing};

use super::model::Model;
use super::walk::{Edit, walk};
use super::*;

/// What no output may contain. All of them are found wherever they stand alone between spaces.
pub(super) const SECRETS: [&str; 6] = [
    "planted.one@example.org",
    "planted%40example.net",
    "4539578763621486",
    "5425 2334 3010 9903",
    "3714-496353-98431",
    "６０１１０００９９０１３９４２４",
];

/// What of a secret must not survive even in part, longer than what is there by chance.
const TRACES_LEFT: [&str; 5] = ["planted", "578763621486", "2334 3010", "496353-98", "９９０１３９"];

/// Runs a request through a processor.
pub(super) fn pass(step: &Arc<Redaction>, signal: Signal, request: &[u8]) -> Passed {
    let plain = match framing::check(signal, request).unwrap().plain {
        true => request.to_vec(),
        false => canonical::envelopes(signal, request).unwrap(),
    };
    let items = framing::check(signal, &plain).unwrap().items;
    let chain = Chain::<()>::new(signal, vec![Arc::clone(step) as Arc<dyn Step<()>>]);
    chain.run(Bytes::from(plain), items, &(), &mut Scratch::default()).unwrap()
}

pub(super) fn step(block: Value) -> Arc<Redaction> {
    Arc::new(Redaction::new("redaction", engine(block)))
}

/// Writes secrets into random places of a request.
struct Planter<'r> {
    rng: &'r mut Rng,
    percent: usize,
}

impl Planter<'_> {
    fn secret(&mut self) -> String {
        format!("a {} b", self.rng.pick(&SECRETS))
    }

    fn plant(&mut self, text: &mut String) {
        if self.rng.chance(self.percent) {
            *text = self.secret();
        }
    }

    fn value(&mut self, value: &mut AnyValue, depth: usize) {
        if self.rng.chance(self.percent) {
            let secret = self.secret();
            let leaf = |member| AnyValue { value: Some(member) };
            let entry = |key: String, value| KeyValue { key, value: Some(value), ..KeyValue::default() };
            value.value = Some(match self.rng.below(8) {
                0 => Member::BytesValue([b"\xff\x00 ", secret.as_bytes(), b" \xfe"].concat()),
                1 => Member::IntValue(4_539_578_763_621_486),
                2 => Member::DoubleValue(4_539_578_763_621_486.0),
                3 => Member::ArrayValue(ArrayValue {
                    values: vec![leaf(Member::StringValue(secret)), leaf(Member::IntValue(7))],
                }),
                4 => Member::KvlistValue(KeyValueList {
                    values: vec![
                        entry(secret.clone(), leaf(Member::BoolValue(true))),
                        entry(secret, leaf(Member::IntValue(1))),
                    ],
                }),
                _ => Member::StringValue(secret),
            });
            return;
        }
        match &mut value.value {
            Some(Member::StringValue(text)) => self.plant(text),
            Some(Member::ArrayValue(list)) => list.values.iter_mut().for_each(|value| self.value(value, depth + 1)),
            Some(Member::KvlistValue(list)) => self.pairs(&mut list.values, depth + 1),
            _ => {}
        }
    }

    fn pairs(&mut self, pairs: &mut [KeyValue], depth: usize) {
        for pair in pairs {
            self.plant(&mut pair.key);
            if self.rng.chance(15) {
                pair.key = self.rng.pick(&["token", "safe", "name", "", "card.number"]).to_owned();
            }
            if let Some(value) = &mut pair.value {
                self.value(value, depth);
            }
        }
    }
}

impl Edit for Planter<'_> {
    fn text(&mut self, place: Place, text: &mut String) {
        self.plant(text);
        if place == Place::SpanTraceState && self.rng.chance(self.percent) {
            *text = format!("a=1,b={},c=3", self.rng.pick(&SECRETS));
        }
    }
    fn attributes(&mut self, _: Place, attributes: &mut Vec<KeyValue>) {
        self.pairs(attributes, 0);
    }
    fn body(&mut self, body: &mut AnyValue) {
        self.value(body, 0);
    }
}

/// A random request with secrets in `percent` of its texts.
pub(super) fn planted(signal: Signal, seed: u64, percent: usize) -> Vec<u8> {
    let mut request = Decoded::new(signal, &request_of(signal, seed, &Shape::default())).unwrap();
    let mut rng = Rng::new(seed ^ 0x5ec2e7);
    walk(&mut request, &mut Planter { rng: &mut rng, percent });
    request.encode()
}

fn engines() -> Vec<Arc<Redaction>> {
    let tokens = json!({"active": {"kid": "k1", "key": "0123456789abcdef0123456789abcdef"}});
    vec![
        step(json!({})),
        step(json!({"packs": ["default"], "max_depth": 1, "max_value_bytes": 30})),
        step(json!({"packs": ["default"], "tokens": tokens, "keys": "drop_attribute",
            "detectors": {"pan": {"action": "drop_value"}}})),
        step(
            json!({"allowed_keys": ["name", "safe", "token"], "ignored_keys": ["safe"], "blocked_key_patterns": ["tok.*"],
            "blocked_values": ["planted[^ ]*", "[aeiou]{2}"], "hash_function": "sha1"}),
        ),
        step(json!({"packs": ["default"], "redact_all_types": true, "blocked_values": ["^[0-9]$", "true"],
            "detectors": {"email": {"action": "drop_attribute"}},
            "url_sanitizer": {"enabled": true, "attributes": ["name", "body"], "sanitize_span_name": false}})),
    ]
}

/// Keys that were masked alike are numbered in wire order, which the generated types do not show: a value may stand in
/// front of its key.
fn without_suffixes(text: &str) -> String {
    let mut out = text.to_owned();
    for masked in [" b_", "****_"] {
        let (bare, mut parts) = (&masked[..masked.len() - 1], out.split(masked));
        let first = parts.next().unwrap_or_default().to_owned();
        out = parts.fold(first, |out, part| out + bare + part.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    out
}

/// Equality whose failure shows the first difference.
fn assert_same(found: &Decoded, expected: &Decoded) {
    let (found, expected) = (without_suffixes(&format!("{found:?}")), without_suffixes(&format!("{expected:?}")));
    if found == expected {
        return;
    }
    let at = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(200)..text.len().min(at + 200)]).into_owned()
    };
    panic!("found\n{}\nexpected\n{}", around(&found), around(&expected));
}

#[test]
fn law_the_pass_does_what_the_plain_model_does() {
    let engines = engines();
    laws(|signal, seed| {
        let step = &engines[seed as usize % engines.len()];
        let plain = planted(signal, seed, 15);
        let oddities = if seed % 2 == 0 { Oddities::ALL } else { Oddities { unknown: true, ..Oddities::UNKNOWN } };
        let request = odd(signal.request(), &plain, &mut Rng::new(seed), &oddities);
        let out = pass(step, signal, &request);
        let mut expected = Decoded::new(signal, &request).unwrap();
        ids::drop_odd(&mut expected);
        walk(&mut expected, &mut Model::new(step.engine(), signal == Signal::Metrics));
        assert_same(&Decoded::new(signal, &out.bytes).unwrap(), &expected);
        assert_eq!(out.items, expected.items());
    });
}

#[test]
fn law_a_second_pass_changes_nothing() {
    let engines =
        [step(json!({})), step(json!({"packs": ["default"], "summary": "debug", "summary_on_identity": true}))];
    laws(|signal, seed| {
        let with_summary = seed % 2 == 1;
        let step = &engines[usize::from(with_summary)];
        let once = pass(step, signal, &planted(signal, seed, 15)).bytes;
        let twice = pass(step, signal, &once).bytes;
        if with_summary {
            // Summary attributes are written anew, so that fields around them may stand in another order.
            assert_same(&Decoded::new(signal, &twice).unwrap(), &Decoded::new(signal, &once).unwrap());
        } else {
            assert!(twice == once, "other bytes");
        }
    });
}

#[test]
fn law_a_request_without_findings_leaves_as_the_same_bytes() {
    let step = step(json!({"detectors": {"email": {}}}));
    laws(|signal, seed| {
        let request = request_of(signal, seed, &Shape { invalid: false, ..Shape::default() });
        if request.contains(&b'@') || request.windows(3).any(|three| three == b"%40") {
            return;
        }
        let plain = Bytes::from(request);
        let items = framing::check(signal, &plain).unwrap().items;
        let chain = Chain::<()>::new(signal, vec![Arc::clone(&step) as Arc<dyn Step<()>>]);
        let out = chain.run(plain.clone(), items, &(), &mut Scratch::default()).unwrap();
        assert_eq!(out.bytes.as_ptr(), plain.as_ptr());
    });
}

/// Adds an unknown field that holds a secret to every message of a request.
fn with_unknown(schema: &'static Message, bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields(bytes).map_while(Result::ok) {
        match (schema.field(field.number).map(|field| field.kind), field.value) {
            (Some(Kind::Message(inner)), Wire::Len(payload)) => {
                put_len(&mut out, field.number, &with_unknown(inner, payload, rng));
            }
            _ => out.extend_from_slice(&bytes[field.start..field.end]),
        }
    }
    put_len(&mut out, [77, 1_000, 100_000][rng.below(3)], format!(" {} ", rng.pick(&SECRETS)).as_bytes());
    out
}

fn assert_clean(bytes: &[u8], name: &str) {
    let text = String::from_utf8_lossy(bytes);
    for trace in TRACES_LEFT {
        assert!(!text.contains(trace), "{trace:?} survives in {name}");
    }
}

#[test]
fn law_no_planted_secret_leaves_in_any_field() {
    let engines = [
        step(json!({})),
        step(json!({"packs": ["default"], "summary": "debug", "summary_on_identity": true})),
        step(json!({"packs": ["default"], "on_limit": "drop_item", "max_depth": 2, "blocked_values": ["zzz"]})),
    ];
    laws(|signal, seed| {
        let mut rng = Rng::new(seed);
        let request = with_unknown(signal.request(), &planted(signal, seed, 40), &mut rng);
        let oddities = if seed % 2 == 0 { Oddities::ALL } else { Oddities::UNKNOWN };
        let request = odd(signal.request(), &request, &mut rng, &oddities);
        let out = pass(&engines[seed as usize % engines.len()], signal, &request);
        assert_clean(&out.bytes, "the request");
        // Numbers hide in varints and doubles: look at them decoded.
        let decoded = format!("{:?}", Decoded::new(signal, &out.bytes).unwrap());
        assert_clean(decoded.as_bytes(), "a number");
    });
}

#[test]
fn law_unknown_fields_may_be_kept() {
    let step = step(json!({"packs": ["default"], "unknown_fields": "keep"}));
    let shape = Shape { invalid: false, ..Shape::default() };
    laws(|signal, seed| {
        let request = with_unknown(signal.request(), &request_of(signal, seed, &shape), &mut Rng::new(seed));
        let out = pass(&step, signal, &request);
        let count = |bytes: &[u8]| {
            SECRETS.iter().map(|secret| String::from_utf8_lossy(bytes).matches(secret).count()).sum::<usize>()
        };
        assert_eq!(count(&out.bytes), count(&request));
    });
}

#[test]
fn an_id_of_a_length_that_no_id_has_takes_its_item_along_and_carries_nothing_past() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::{
        Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
    };
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::Link};
    use prost::Message as _;

    let spans = |span: Span| {
        let good = Span { name: "good".into(), trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
        let spans = vec![good, span];
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        (Signal::Traces, ExportTraceServiceRequest { resource_spans }.encode_to_vec())
    };
    let logs = |record: LogRecord| {
        let log_records = vec![LogRecord { trace_id: vec![0; 16], ..LogRecord::default() }, record];
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        (Signal::Logs, ExportLogsServiceRequest { resource_logs }.encode_to_vec())
    };
    let points = |exemplar: Exemplar| {
        let good = NumberDataPoint { exemplars: vec![Exemplar::default()], ..NumberDataPoint::default() };
        let point = NumberDataPoint { exemplars: vec![exemplar], ..NumberDataPoint::default() };
        let metric = Metric { data: Some(Data::Gauge(Gauge { data_points: vec![good, point] })), ..Metric::default() };
        let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
        (Signal::Metrics, ExportMetricsServiceRequest { resource_metrics }.encode_to_vec())
    };
    let step = step(json!({}));
    for len in [0, 1, 7, 8, 9, 15, 16, 17, 22, 200, 20_000] {
        let text: Vec<u8> = b"planted.one@example.org ".iter().copied().cycle().take(len).collect();
        let link = |link| Span { links: vec![Link::default(), link], ..Span::default() };
        let requests = [
            (16, spans(Span { trace_id: text.clone(), ..Span::default() })),
            (8, spans(Span { span_id: text.clone(), ..Span::default() })),
            (8, spans(Span { parent_span_id: text.clone(), ..Span::default() })),
            (16, spans(link(Link { trace_id: text.clone(), ..Link::default() }))),
            (8, spans(link(Link { span_id: text.clone(), ..Link::default() }))),
            (16, logs(LogRecord { trace_id: text.clone(), ..LogRecord::default() })),
            (8, logs(LogRecord { span_id: text.clone(), ..LogRecord::default() })),
            (16, points(Exemplar { trace_id: text.clone(), ..Exemplar::default() })),
            (8, points(Exemplar { span_id: text.clone(), ..Exemplar::default() })),
        ];
        for (at, (of, (signal, request))) in requests.into_iter().enumerate() {
            let passed = pass(&step, signal, &request);
            if len == 0 || len == of {
                assert_eq!((passed.items, &*passed.bytes), (2, &*request), "{len} bytes in case {at}");
            } else {
                assert_eq!(passed.items, 1, "{len} bytes in case {at}");
                assert_eq!(passed.dropped, [(0, "invalid", 1)], "{len} bytes in case {at}");
                assert!(!passed.bytes.windows(7).any(|part| text.windows(7).any(|of| of == part)));
            }
        }
    }
}
