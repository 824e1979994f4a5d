//! OTLP/JSON: what the specification shows is read, what is written is read back, and what is wrong is named.
#![expect(clippy::unwrap_used, reason = "tests")]

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use sluice_pdata::testing::{Decoded, Oddities, Rng, Shape, laws, odd_request, odd_request_of, request};
use sluice_pdata::{Signal, json, schema};

fn read(signal: Signal, text: &str) -> Decoded {
    Decoded::new(signal, &json::read(signal, text.as_bytes()).unwrap()).unwrap()
}

fn written(signal: Signal, request: &[u8]) -> String {
    let mut out = Vec::new();
    json::write(signal, request, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn law_what_is_written_is_read_back_however_oddly_it_was_encoded() {
    laws(|signal, seed| {
        for request in [request(signal, seed), odd_request(signal, seed)] {
            let text = written(signal, &request);
            assert!(read(signal, &text) == Decoded::new(signal, &request).unwrap(), "{text}");
        }
    });
}

#[test]
fn law_what_is_written_is_json_without_repeated_names() {
    fn check(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Object(members) => 1 + members.values().map(check).sum::<usize>(),
            serde_json::Value::Array(elements) => elements.iter().map(check).sum(),
            _ => 0,
        }
    }
    laws(|signal, seed| {
        let shape = Shape { broken_utf8: true, ..Shape::default() };
        let text = written(signal, &odd_request_of(signal, seed, &shape, &Oddities::ALL));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        // Every object that was written is still there: the parser drops all but one of repeated names.
        let braces = serde_json::to_string(&value).unwrap();
        assert_eq!(check(&value), count_objects(&text), "{text}\n{braces}");
        // Layout and order make no difference to the reader.
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert!(read(signal, &pretty) == read(signal, &text));
    });
}

/// How many objects a JSON text holds: braces outside of strings.
fn count_objects(text: &str) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = !inside,
            b'{' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

#[test]
fn law_damaged_json_never_panics_and_an_error_points_into_it() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed);
        let mut text = written(signal, &request(signal, seed)).into_bytes();
        for _ in 0..=rng.below(3) {
            let at = rng.below(text.len());
            if text.len() < 2 {
                break;
            }
            match rng.below(3) {
                0 => text[at] = rng.pick(b"{}[]\",:\\0-e.x\xff\x00 "),
                1 => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        match json::read(signal, &text) {
            Ok(request) => {
                sluice_pdata::framing::check(signal, &request).unwrap();
                Decoded::new(signal, &request).unwrap();
            }
            Err(error) => assert!(error.offset <= text.len(), "{error}"),
        }
    });
}

#[test]
fn law_a_damaged_request_is_written_or_refused() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed);
        let mut request = odd_request(signal, seed);
        if request.is_empty() {
            return;
        }
        let at = rng.below(request.len());
        request[at] ^= 1 << rng.below(8);
        let mut out = Vec::new();
        let result = json::write(signal, &request, &mut out);
        if Decoded::new(signal, &request).is_ok() {
            result.unwrap();
        }
        if result.is_ok() {
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        }
    });
}

#[test]
fn a_trace_as_the_specification_shows_it() {
    let text = r#"{
      "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{
          "scope": {"name": "lib", "version": "1.0.0",
            "attributes": [{"key": "lib.attribute", "value": {"stringValue": "some"}}]},
          "spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "EEE19B7EC3C1B174",
            "parentSpanId": "eee19b7ec3c1b173",
            "name": "GET /cart", "flags": 257,
            "startTimeUnixNano": "1544712660000000000",
            "endTimeUnixNano": 1544712661000000000,
            "kind": 2,
            "attributes": [
              {"key": "s", "value": {"stringValue": "v"}},
              {"key": "b", "value": {"boolValue": true}},
              {"key": "i", "value": {"intValue": "-9223372036854775808"}},
              {"key": "j", "value": {"intValue": 7}},
              {"key": "d", "value": {"doubleValue": 12.5}},
              {"key": "a", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": "1"}]}}},
              {"key": "k", "value": {"kvlistValue": {"values": [{"key": "in", "value": {"stringValue": "side"}}]}}},
              {"key": "y", "value": {"bytesValue": "aGVsbG8="}}
            ],
            "events": [{"timeUnixNano": "1544712660500000000", "name": "retry", "attributes": []}],
            "links": [{"traceId": "5b8efff798038103d269b633813fc60d", "spanId": "eee19b7ec3c1b175", "flags": 1}],
            "droppedLinksCount": 3,
            "status": {"code": "STATUS_CODE_ERROR", "message": "no"}
          }]
        }],
        "schemaUrl": "https://opentelemetry.io/schemas/1.37.0"
      }]
    }"#;
    let Decoded::Traces(request) = read(Signal::Traces, text) else { unreachable!() };
    let group = &request.resource_spans[0];
    assert_eq!(group.schema_url, "https://opentelemetry.io/schemas/1.37.0");
    assert_eq!(group.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let scope = group.scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str(), scope.attributes.len()), ("lib", "1.0.0", 1));
    let span = &group.scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..4], [0x5b, 0x8e, 0xff, 0xf7]);
    assert_eq!((span.trace_id.len(), span.span_id[7], span.parent_span_id[7]), (16, 0x74, 0x73));
    assert_eq!((span.name.as_str(), span.kind, span.flags), ("GET /cart", 2, 257));
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_544_712_661_000_000_000);
    let values: Vec<_> =
        span.attributes.iter().map(|pair| pair.value.as_ref().unwrap().value.as_ref().unwrap()).collect();
    assert_eq!(values[0], &Value::StringValue("v".into()));
    assert_eq!(values[1], &Value::BoolValue(true));
    assert_eq!(values[2], &Value::IntValue(i64::MIN));
    assert_eq!(values[3], &Value::IntValue(7));
    assert_eq!(values[4], &Value::DoubleValue(12.5));
    assert!(matches!(values[5], Value::ArrayValue(array) if array.values.len() == 2));
    assert!(matches!(values[6], Value::KvlistValue(list) if list.values[0].key == "in"));
    assert_eq!(values[7], &Value::BytesValue(b"hello".to_vec()));
    assert_eq!(span.events[0].name, "retry");
    assert_eq!((span.links[0].trace_id[15], span.links[0].flags, span.dropped_links_count), (0x0d, 1, 3));
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "no"));
}

#[test]
fn metrics_of_every_kind_as_the_specification_shows_them() {
    let text = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
      {"name": "c", "unit": "1", "description": "d", "metadata": [{"key": "m", "value": {"stringValue": "v"}}],
       "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA", "isMonotonic": true, "dataPoints": [
        {"asDouble": 5, "startTimeUnixNano": "1", "timeUnixNano": "2", "attributes": []},
        {"asInt": "-5", "timeUnixNano": 2e0, "exemplars": [
          {"asInt": 4, "spanId": "eee19b7ec3c1b174", "timeUnixNano": "9",
           "filteredAttributes": [{"key": "f", "value": {}}]}]}]}},
      {"name": "g", "gauge": {"dataPoints": [{"asDouble": "NaN"}, {"asDouble": "-Infinity"}, {"asDouble": "1.5e1"}]}},
      {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [
        {"count": "3", "sum": 6.5, "bucketCounts": [1, "2", "0"], "explicitBounds": [1, 2.5], "min": 0, "max": 9}]}},
      {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
        {"count": 3, "scale": -2, "zeroCount": "1", "zeroThreshold": 0.5,
         "positive": {"offset": -3, "bucketCounts": ["1", 1]}, "negative": {}}]}},
      {"name": "s", "summary": {"dataPoints": [
        {"count": 3, "sum": 6, "quantileValues": [{"quantile": 0.5, "value": 2}]}]}}
    ]}]}]}"#;
    let Decoded::Metrics(request) = read(Signal::Metrics, text) else { unreachable!() };
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    assert_eq!(metrics[0].metadata[0].key, "m");
    let Some(Data::Sum(sum)) = &metrics[0].data else { unreachable!() };
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsDouble(5.0)));
    assert_eq!(sum.data_points[1].value, Some(number_data_point::Value::AsInt(-5)));
    assert_eq!(sum.data_points[1].time_unix_nano, 2);
    assert_eq!(sum.data_points[1].exemplars[0].filtered_attributes[0].key, "f");
    let Some(Data::Gauge(gauge)) = &metrics[1].data else { unreachable!() };
    assert!(matches!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(value)) if value.is_nan()));
    assert_eq!(gauge.data_points[1].value, Some(number_data_point::Value::AsDouble(f64::NEG_INFINITY)));
    assert_eq!(gauge.data_points[2].value, Some(number_data_point::Value::AsDouble(15.0)));
    let Some(Data::Histogram(histogram)) = &metrics[2].data else { unreachable!() };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum, point.min, point.max), (3, Some(6.5), Some(0.0), Some(9.0)));
    assert_eq!((point.bucket_counts.as_slice(), point.explicit_bounds.as_slice()), (&[1, 2, 0][..], &[1.0, 2.5][..]));
    let Some(Data::ExponentialHistogram(histogram)) = &metrics[3].data else { unreachable!() };
    let point = &histogram.data_points[0];
    assert_eq!((point.scale, point.zero_count, point.zero_threshold, point.sum), (-2, 1, 0.5, None));
    assert_eq!(point.positive.as_ref().unwrap().offset, -3);
    assert_eq!(point.positive.as_ref().unwrap().bucket_counts, [1, 1]);
    assert!(point.negative.is_some());
    let Some(Data::Summary(summary)) = &metrics[4].data else { unreachable!() };
    assert_eq!(summary.data_points[0].quantile_values[0].quantile, 0.5);
}

#[test]
fn both_spellings_escapes_nulls_and_unknown_fields_are_read() {
    let text = r#"
      {"future": {"a": [1, {"b": null}, "x\n"], "c": 1e400, "d": true}, "resource_logs": [
        {"resource": null, "scope_logs": [{"log_records": [{
          "time_unix_nano": "1", "observedTimeUnixNano": 2, "severity_number": "SEVERITY_NUMBER_WARN2",
          "severityText": "caf\u00e9 \ud83e\udd80 \ud83d \udc00x \/\b\f\n\r\t\"\\",
          "body": {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [null, {}]}}}]}},
          "tr\u0061ceId": "", "spanId": null, "eventName": "e", "event_name": "later", "attributes": null,
          "flags": 1.0, "droppedAttributesCount": "2"
        }, {"severityNumber": "9"}]}]}]}"#;
    let Decoded::Logs(request) = read(Signal::Logs, text) else { unreachable!() };
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert!(request.resource_logs[0].resource.is_none());
    let record = &records[0];
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano, record.severity_number), (1, 2, 14));
    assert_eq!(record.severity_text, "café 🦀 \u{fffd} \u{fffd}x /\u{8}\u{c}\n\r\t\"\\");
    assert_eq!((record.event_name.as_str(), record.flags, record.dropped_attributes_count), ("later", 1, 2));
    let Some(Value::KvlistValue(list)) = &record.body.as_ref().unwrap().value else { unreachable!() };
    let Some(Value::ArrayValue(array)) = &list.values[0].value.as_ref().unwrap().value else { unreachable!() };
    assert!(array.values.len() == 2 && array.values.iter().all(|value| value.value.is_none()));
    assert_eq!(records[1].severity_number, 9);
}

#[test]
fn repeated_keys_do_what_repeated_fields_do() {
    let text = r#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityText": "a"}]}]}],
                   "resourceLogs": [{"scopeLogs": [{"logRecords": [
                     {"severityText": "x", "severityText": "b",
                      "attributes": [{"key": "1"}], "attributes": [{"key": "2"}],
                      "body": {"intValue": 1}, "body": {"stringValue": "s"}}]}]}]}"#;
    let Decoded::Logs(request) = read(Signal::Logs, text) else { unreachable!() };
    assert_eq!(request.resource_logs.len(), 2);
    let record = &request.resource_logs[1].scope_logs[0].log_records[0];
    assert_eq!((record.severity_text.as_str(), record.attributes.len()), ("b", 2));
    assert_eq!(record.body.as_ref().unwrap().value, Some(Value::StringValue("s".into())));
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    let span = |inside: &str| format!(r#"{{"resourceSpans":[{{}},{{"scopeSpans":[{{"spans":[{{{inside}}}]}}]}}]}}"#);
    let path = "resourceSpans[1].scopeSpans[0].spans[0]";
    let cases = [
        (span(r#""traceId":"xyz""#), ".traceId", "a hexadecimal string"),
        (span(r#""traceId":"abc""#), ".traceId", "a hexadecimal string"),
        (span(r#""traceId":12"#), ".traceId", "a hexadecimal string"),
        (span(r#""name":12"#), ".name", "a string"),
        (span(r#""kind":"SPAN_KIND_OTHER""#), ".kind", "an enumeration value by number or name"),
        (span(r#""kind":2.5"#), ".kind", "an enumeration value by number or name"),
        (span(r#""startTimeUnixNano":-1"#), ".startTimeUnixNano", "an unsigned 64-bit integer"),
        (span(r#""startTimeUnixNano":"18446744073709551616""#), ".startTimeUnixNano", "an unsigned 64-bit integer"),
        (span(r#""startTimeUnixNano":" 1""#), ".startTimeUnixNano", "an unsigned 64-bit integer"),
        (span(r#""flags":4294967296"#), ".flags", "an unsigned 32-bit integer"),
        (span(r#""flags":01"#), ".flags", "an unsigned 32-bit integer"),
        (span(r#""attributes":{}"#), ".attributes", "an array"),
        (span(r#""attributes":[[]]"#), ".attributes[0]", "an object"),
        (span(r#""attributes":[{"value":{"boolValue":"true"}}]"#), ".attributes[0].value.boolValue", "true or false"),
        (
            span(r#""attributes":[{},{"value":{"bytesValue":"a"}}]"#),
            ".attributes[1].value.bytesValue",
            "a base64 string",
        ),
        (
            span(r#""attributes":[{"value":{"doubleValue":"x"}}]"#),
            ".attributes[0].value.doubleValue",
            "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
        ),
        (
            span(r#""attributes":[{"value":{"doubleValue":1e999}}]"#),
            ".attributes[0].value.doubleValue",
            "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
        ),
        (span(r#""name":"a" "kind":1"#), "", "`,` or `}`"),
        (span(r#""name" "a""#), "", "`:`"),
        (span("\"name\":\"a\nb\""), ".name", "control characters to be escaped"),
        (span(r#""name":"\x""#), ".name", "a valid escape"),
        (span(r#""name":"\u12g4""#), ".name", "a valid escape"),
        (span(r#""name":"a",}"#), "", "a field name"),
    ];
    for (text, field, expected) in cases {
        let error = json::read(Signal::Traces, text.as_bytes()).unwrap_err();
        assert_eq!((error.path.as_str(), error.expected), (format!("{path}{field}").as_str(), expected), "{text}");
        assert!(error.offset > 35 && error.offset < text.len(), "{error}");
    }
    for (text, expected) in [
        ("", "an object"),
        ("[]", "an object"),
        ("null", "an object"),
        ("{} x", "the end of the input"),
        ("{\"a\":nulll}", "a value"),
        ("{\"a\":[1,]}", "a value"),
        ("{\"a\":\"b", "the end of a string"),
        ("{\"a\":\"b\\", "the end of a string"),
        ("{\"a\":\"b\\\"", "the end of a string"),
    ] {
        assert_eq!(json::read(Signal::Logs, text.as_bytes()).unwrap_err().expected, expected, "{text}");
    }
    let error = json::read(Signal::Logs, b"{\"resourceLogs\":\xff}").unwrap_err();
    assert_eq!((error.offset, error.expected), (16, "UTF-8"));
    let error = json::read(Signal::Traces, span(r#""kind":[]"#).as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid OTLP/JSON at offset 54 in resourceSpans[1].scopeSpans[0].spans[0].kind: \
         expected an enumeration value by number or name"
    );
}

#[test]
fn nesting_is_limited_in_known_and_unknown_fields() {
    let known = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        format!("{open}{}", "]}}".repeat(levels))
    };
    let depth = |text: &str, depth| {
        json::read_message(&schema::ANY_VALUE, text.as_bytes(), depth, &mut Vec::new()).map_err(|error| error.expected)
    };
    assert_eq!(depth(&known(53), 160), Ok(()));
    assert_eq!(depth(&known(54), 160), Err("less nesting"));
    let unknown = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(depth(&unknown(159), 160), Ok(()));
    assert_eq!(depth(&unknown(160), 160), Err("less nesting"));
    assert_eq!(depth(&"[".repeat(1_000_000), 160), Err("an object"));
    assert_eq!(depth(&format!("{{\"x\":{}", "[".repeat(1_000_000)), 160), Err("less nesting"));

    let mut wire = Vec::new();
    json::read_message(&schema::ANY_VALUE, known(53).as_bytes(), 160, &mut wire).unwrap();
    let mut out = Vec::new();
    json::write_message(&schema::ANY_VALUE, &wire, 106, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), known(53).replace(r#"{"values":[]}"#, "{}"));
    json::write_message(&schema::ANY_VALUE, &wire, 105, &mut Vec::new()).unwrap_err();
}

#[test]
fn the_written_form_is_that_of_the_specification() {
    let text =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000","severityNumber":10,"#
            .to_owned()
            + r#""severityText":"tab\t quote\" nul\u0000 é","body":{"bytesValue":"AP/+"},"#
            + r#""attributes":[{"key":"d","value":{"doubleValue":1e300}},{"key":"i","value":{"intValue":"-1"}},"#
            + r#"{"key":"one","value":{"doubleValue":1}},{"key":"no","value":{"boolValue":false}},{"key":"z","value":{}}],"#
            + r#""flags":1,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#;
    let wire = json::read(Signal::Logs, text.as_bytes()).unwrap();
    assert_eq!(written(Signal::Logs, &wire), text);
    assert_eq!(written(Signal::Traces, b""), "{}");
}

/// Readers that take `-0` for an integer lose its sign.
#[test]
fn doubles_are_written_so_that_every_reader_has_the_same_bits() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0.0"),
        (-1.0, "-1"),
        (1e21, "1e21"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e308"),
        (1.0 / 3.0, "0.3333333333333333"),
        (f64::NEG_INFINITY, "\"-Infinity\""),
        (f64::NAN, "\"NaN\""),
    ];
    for (value, text) in cases {
        let text = format!(r#"{{"doubleValue":{text}}}"#);
        let mut wire = vec![0x21];
        wire.extend(value.to_bits().to_le_bytes());
        let mut out = Vec::new();
        json::write_message(&schema::ANY_VALUE, &wire, 9, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let mut read = Vec::new();
        json::read_message(&schema::ANY_VALUE, text.as_bytes(), 9, &mut read).unwrap();
        assert_eq!(read, wire, "{text}");
    }
}
