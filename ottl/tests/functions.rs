//! Converters, by table: call, result or error.

mod common;

use common::{TestRecord, condition, log, map, span, text, value};
use sluice_ottl::Context::{Log, Metric, Span};
use sluice_ottl::{Field, Value};

fn check(cases: &[(&str, Result<&str, &str>)]) {
    let record = log();
    for (source, expected) in cases {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        let got = value(Log, &record, source).map_err(|error| {
            // Load errors repeat the source; what follows is the point.
            let load = error.strip_prefix("unable to parse OTTL value expression ").and_then(|e| e.split_once("\": "));
            load.map_or(error.clone(), |(_, rest)| rest.to_owned())
        });
        assert_eq!(got, expected, "{source}");
    }
}

#[test]
fn conversions() {
    check(&[
        (r#"Int("42")"#, Ok("42")),
        (r#"Int("4x")"#, Ok("nil")),
        ("Int(-2.9)", Ok("-2")),
        ("Int(true)", Ok("1")),
        ("Int(nil)", Ok("nil")),
        (r#"Int(attributes["list"])"#, Err("unsupported type: pcommon.Slice")),
        (r#"Double("1e3")"#, Ok("1000.0")),
        ("Double(3)", Ok("3.0")),
        (r#"Double(attributes["http.route"])"#, Err(r#"strconv.ParseFloat: parsing "/healthz": invalid syntax"#)),
        (r#"Bool("T")"#, Ok("true")),
        (r#"Bool(attributes["http.route"])"#, Err(r#"strconv.ParseBool: parsing "/healthz": invalid syntax"#)),
        ("Bool(0)", Ok("false")),
        ("Bool(nil)", Ok("nil")),
        (r#"String(attributes["raw"])"#, Ok(r#""01ff""#)),
        (r#"String(attributes["ratio"])"#, Ok(r#""0.5""#)),
        (r#"String({"b": 1, "a": [true, nil, "<"]})"#, Ok(r#""{\"a\":[true,null,\"\\u003c\"],\"b\":1}""#)),
        ("String(trace_id)", Ok(r#""abababababababababababababababab""#)),
        ("String(nil)", Ok("nil")),
        ("String(time)", Ok(r#""\"2024-02-29T23:59:59.123456789Z\"""#)),
        ("Hex(0x01ff)", Ok(r#""01ff""#)),
        ("Hex(255)", Ok(r#""00000000000000ff""#)),
        ("Hex(\"ab\")", Ok(r#""6162""#)),
        ("Hex(true)", Ok(r#""01""#)),
        (r#"IsString(attributes["http.route"])"#, Ok("true")),
        (r#"IsString(attributes["absent"])"#, Ok("false")),
        (r#"IsInt(attributes["status"])"#, Ok("true")),
        (r#"IsInt(attributes["ratio"])"#, Ok("false")),
        (r#"IsDouble(attributes["ratio"])"#, Ok("true")),
        (r#"IsBool(attributes["ok"])"#, Ok("true")),
        (r#"IsMap(attributes["nested"])"#, Ok("true")),
        ("IsMap(attributes)", Ok("true")),
        (r#"IsList(attributes["list"])"#, Ok("true")),
        (r#"IsList(attributes["nested"])"#, Ok("false")),
    ]);
}

#[test]
fn strings() {
    check(&[
        (r#"Concat([attributes["http.route"], 5, nil, [1], 0x0a], "-")"#, Ok(r#""/healthz-5-<nil>-[1]-0a""#)),
        (r#"Concat([], "-")"#, Ok(r#""""#)),
        (r#"HasPrefix(body, "GET")"#, Ok("true")),
        (r#"HasSuffix(body, "200")"#, Ok("true")),
        (r#"HasSuffix(body, "201")"#, Ok("false")),
        (r#"HasPrefix(attributes["status"], "2")"#, Err("expected string but got int64")),
        (r#"Index("héllo", "l")"#, Ok("3")),
        (r#"Index("abc", "x")"#, Ok("-1")),
        (r#"Index(body, 5)"#, Err("invalid value type for Index function, value must be a string")),
        (r#"Index(attributes["list"], 2)"#, Ok("1")),
        (r#"Index(attributes["list"], 2.0)"#, Ok("1")),
        (r#"Index(attributes["status"], 2)"#, Err("expected pcommon.Slice but got int64")),
        (r#"Len("é")"#, Ok("2")),
        (r#"Len(attributes["list"])"#, Ok("3")),
        (r#"Len(attributes["nested"])"#, Ok("2")),
        (
            r#"Len(attributes["status"])"#,
            Err("Len: unsupported target type int64. target arg must be of type string, []any, map[string]any, \
                 pcommon.Map, pcommon.Slice, pcommon.Value (of type String, Map, Slice) or a supported slice type from \
                 the plog, pmetric or ptrace packages"),
        ),
        (r#"Split("a,b,,c", ",")"#, Ok(r#"["a", "b", "", "c"]"#)),
        (r#"Split("", ",")"#, Ok(r#"[""]"#)),
        (r#"Split("aé", "")"#, Ok(r#"["a", "é"]"#)),
        (r#"Split(attributes["ip"], ".")"#, Ok(r#"["10", "1", "2", "3"]"#)),
        (r#"Substring(body, 4, 8)"#, Ok(r#""/healthz""#)),
        (r#"Substring("abc", 0, 3)"#, Ok(r#""abc""#)),
        (r#"Substring("abc", -1, 3)"#, Err("invalid start for substring function, -1 cannot be negative")),
        (r#"Substring("abc", 0, 0)"#, Err("invalid length for substring function, 0 cannot be negative or zero")),
        (
            r#"Substring("abc", 1, 9223372036854775807)"#,
            Err(
                "invalid range for substring function, start(1)+length(9223372036854775807) cannot be greater than the length of target string(3)",
            ),
        ),
        (r#"Substring("aéb", 0, 2, true)"#, Ok(r#""a""#)),
        (r#"Substring("aéb", 2, 2, utf8_safe=true)"#, Ok(r#""b""#)),
        (r#"Trim("  a ")"#, Ok(r#""a""#)),
        (r#"Trim("xyaxx", "yx")"#, Ok(r#""a""#)),
        (r#"Trim("ééaé", "é")"#, Ok(r#""a""#)),
        (r#"Trim("", "x")"#, Ok(r#""""#)),
        (r#"TrimPrefix("aab", "a")"#, Ok(r#""ab""#)),
        (r#"TrimSuffix(Concat(["a", "bb"], ""), "b")"#, Ok(r#""ab""#)),
        (r#"TrimSuffix(body, "x")"#, Ok(r#""GET /healthz 200""#)),
    ]);
}

#[test]
fn case() {
    check(&[
        (r#"ConvertCase("Ab É", "lower")"#, Ok(r#""ab é""#)),
        (r#"ToUpperCase("ß é")"#, Ok(r#""ß É""#)),
        (r#"ToLowerCase(attributes["http.route"])"#, Ok(r#""/healthz""#)),
        (r#"ToSnakeCase("JSONData")"#, Ok(r#""json_data""#)),
        (r#"ToSnakeCase("v2Api")"#, Ok(r#""v_2_api""#)),
        (r#"ToSnakeCase("someName-here.x y")"#, Ok(r#""some_name_here_x_y""#)),
        (r#"ToSnakeCase(" HTTPServer ")"#, Ok(r#""http_server""#)),
        (r#"ToCamelCase("some_name-here.x y")"#, Ok(r#""SomeNameHereXY""#)),
        (r#"ToCamelCase("HTTPServer")"#, Ok(r#""Httpserver""#)),
        (r#"ToCamelCase("v2api")"#, Ok(r#""V2Api""#)),
        (r#"ConvertCase("", "camel")"#, Ok(r#""""#)),
    ]);
}

#[test]
fn patterns() {
    check(&[
        (r#"IsMatch(body, "^GET /\\w+ \\d+$")"#, Ok("true")),
        (r#"IsMatch(attributes["status"], "^2..$")"#, Ok("true")),
        (r#"IsMatch(attributes["absent"], ".*")"#, Ok("false")),
        (r#"IsMatch(body, Concat(["heal", "thz"], ""))"#, Ok("true")),
        (r#"IsMatch(body, attributes["http.route"])"#, Ok("true")),
        (
            r#"IsMatch(body, Concat([attributes["http.route"], "("], ""))"#,
            Err("error parsing regexp: missing closing ): `/healthz(`"),
        ),
        (
            r#"ExtractPatterns(body, "(?P<method>\\w+) (?P<path>\\S+)(?P<none>x)?")"#,
            Ok(r#"{method: "GET", path: "/healthz", none: ""}"#),
        ),
        (r#"ExtractPatterns(body, "(?P<a>POST)")"#, Ok("{}")),
        (
            r#"ExtractPatterns(body, "(GET)")"#,
            Err("at least 1 named capture group must be supplied in the given regex"),
        ),
    ]);
}

#[test]
fn json_and_key_values() {
    check(&[
        (r#"ParseJSON(attributes["json"])"#, Ok(r#"{a: [1.0, {b: "c"}], n: nil}"#)),
        (r#"ParseJSON("[\"\\u00e9\\ud83d\\ude00\\ud800x\", -1.5e2, true]")"#, Ok(r#"["é😀�x", -150.0, true]"#)),
        (r#"ParseJSON("{\"a\": 1, \"a\": 2}")"#, Ok("{a: 2.0}")),
        (r#"ParseJSON("5")"#, Err("could not convert parsed value of type float64 to JSON object")),
        (r#"ParseJSON("null")"#, Err("could not convert parsed value of type <nil> to JSON object")),
        (r#"ParseJSON("{")"#, Err("unexpected end of JSON input")),
        (r#"ParseJSON("[1,]")"#, Err("invalid character ']' looking for beginning of value")),
        (r#"ParseJSON("[1] x")"#, Err("invalid character 'x' after top-level value")),
        (r#"ParseJSON("[01, 1.]")"#, Ok("[1.0, 1.0]")),
        ("ParseJSON(\"[\\\"a\nb\\\"]\")", Ok(r#"["a\nb"]"#)),
        (r#"ParseJSON("[1e999]")"#, Err("json: cannot unmarshal number into Go value of type float64")),
        (r#"ParseKeyValue("a=1 b='x y'  c=\"p=q\"")"#, Ok(r#"{a: "1", b: "x y", c: "p=q"}"#)),
        (r#"ParseKeyValue("a:1,b:2", ":", ",")"#, Ok(r#"{a: "1", b: "2"}"#)),
        (r#"ParseKeyValue("")"#, Err("cannot parse from empty target")),
        (
            r#"ParseKeyValue("a")"#,
            Err(r#"failed to split pairs into key-values: cannot split "a" into 2 items, got 1 item(s)"#),
        ),
        (
            r#"ParseKeyValue("a='x")"#,
            Err(r#"splitting source "a='x" into pairs failed: never reached the end of a quoted value"#),
        ),
        (
            r#"ParseKeyValue("a", "=", "=")"#,
            Err(r#"couldn't create function: pair delimiter "=" cannot be equal to delimiter "=""#),
        ),
        (
            r#"ToKeyValueString({"b": "x y", "a": 1, "c": "q\"", "d": [1]}, sort_output=true)"#,
            Ok(r#""a=1 b=\"x y\" c=q\\\" d=[1]""#),
        ),
        (r#"ToKeyValueString(attributes["nested"], ":", ",")"#, Ok(r#""x:\"{\\\"y\\\":\\\"z\\\"}\",name:x""#)),
    ]);
}

#[test]
fn collections() {
    check(&[
        (r#"Coalesce([attributes["absent"], nil, body, 5])"#, Ok(r#""GET /healthz 200""#)),
        (r#"Coalesce([nil])"#, Ok("nil")),
        (r#"ContainsValue(attributes["list"], "a")"#, Ok("true")),
        (r#"ContainsValue(attributes["list"], 2.0)"#, Ok("true")),
        (r#"ContainsValue(["x", "y"], attributes["http.route"])"#, Ok("false")),
        (r#"ContainsValue(body, "a")"#, Err("expected pcommon.Slice but got string")),
        (r#"Keys(attributes["nested"])"#, Ok(r#"["x", "name"]"#)),
        (r#"Values(attributes["nested"])"#, Ok(r#"[{y: "z"}, "x"]"#)),
        (r#"SliceToMap(["a", 5])"#, Ok(r#"{0: "a", 1: 5}"#)),
        (
            r#"SliceToMap([{"k": "a", "v": {"w": 1}}, {"k": "b", "v": {"w": 2}}], ["k"], ["v", "w"])"#,
            Ok("{a: 1, b: 2}"),
        ),
        (
            r#"SliceToMap([{"k": "a"}], keyPath=["x"])"#,
            Err("could not extract key from element 0: provided object does not contain the path"),
        ),
        (
            r#"SliceToMap([1], ["k"])"#,
            Err(
                "slice elements must be maps when using `key_path` or `value_path`, but could not cast element of type `Int` to a map",
            ),
        ),
        (
            r#"SliceToMap([{"k": 1}], ["k"])"#,
            Err(r#"element 0: extracted key attribute is not of type string, got "Int""#),
        ),
        ("Sort([3, 1, 2])", Ok("[1, 2, 3]")),
        (r#"Sort([3, 1.5, 2], "desc")"#, Ok("[3, 2, 1.5]")),
        (r#"Sort([3, "10", true, nil])"#, Ok(r#"[nil, "10", 3, true]"#)),
        (r#"Sort(attributes["list"])"#, Ok(r#"["a", 2, ["deep"]]"#)),
        (r#"Sort(body)"#, Err("sort with unsupported type: 'string'. Target is not a list")),
        (
            r#"Sort([1], "up")"#,
            Err(r#"couldn't create function: invalid arguments: up. Order should be either "asc" or "desc""#),
        ),
    ]);
}

#[test]
fn hashes_ids_and_networks() {
    check(&[
        (r#"FNV("hello world")"#, Ok("8618312879776256743")),
        (r#"FNV("")"#, Ok("-3750763034362895579")),
        ("TraceID(0x0102030405060708090a0b0c0d0e0f10)", Ok("trace 0102030405060708090a0b0c0d0e0f10")),
        (r#"TraceID("0102030405060708090a0b0c0d0e0f10")"#, Ok("trace 0102030405060708090a0b0c0d0e0f10")),
        (r#"SpanID("0102030405060708")"#, Ok("span 0102030405060708")),
        ("ProfileID(0x0102030405060708090a0b0c0d0e0f10)", Ok("profile 0102030405060708090a0b0c0d0e0f10")),
        (r#"SpanID(attributes["http.route"])"#, Ok("span 2f6865616c74687a")),
        (
            r#"SpanID(attributes["ok"])"#,
            Err("SpanID: could not decode ID: invalid length: expected 8 or 16 bytes, got 1"),
        ),
        (r#"SpanID("zz02030405060708")"#, Err("couldn't create function: SpanID: could not decode ID: invalid hex")),
        (r#"IsInCIDR(attributes["ip"], ["192.168.0.0/16", "10.0.0.0/8"])"#, Ok("true")),
        (r#"IsInCIDR(attributes["ip"], ["10.1.2.4/31"])"#, Ok("false")),
        (r#"IsInCIDR(attributes["ip"], ["10.1.2.2/31"])"#, Ok("true")),
        (r#"IsInCIDR(attributes["ip"], ["0.0.0.0/0"])"#, Ok("true")),
        (r#"IsInCIDR(attributes["ip"], ["::/0"])"#, Ok("false")),
        (r#"IsInCIDR("::ffff:10.1.2.3", ["10.0.0.0/8"])"#, Ok("true")),
        (r#"IsInCIDR("2001:db8::1", ["2001:db8::/33"])"#, Ok("true")),
        (r#"IsInCIDR("2001:db8:8000::1", ["2001:db8::/33"])"#, Ok("false")),
        (r#"IsInCIDR(body, ["10.0.0.0/8"])"#, Ok("false")),
        (r#"IsInCIDR(attributes["ip"], [attributes["http.route"]])"#, Err("invalid CIDR address: /healthz")),
        (r#"IsInCIDR(attributes["ip"], [Concat([attributes["ip"], "/32"], "")])"#, Ok("true")),
    ]);
}

#[test]
fn numbers() {
    check(&[
        (r#"IsValidLuhn(attributes["card"])"#, Ok("true")),
        (r#"IsValidLuhn(4539148803436468)"#, Ok("false")),
        (r#"IsValidLuhn("  ")"#, Ok("false")),
        (r#"IsValidLuhn("0")"#, Ok("true")),
        (r#"IsValidLuhn("12a4")"#, Err(r#"strconv.Atoi: parsing "a": invalid syntax"#)),
        (r#"IsValidLuhn(nil)"#, Err("invalid input: <nil>")),
        ("Log(1)", Ok("0.0")),
        (r#"Log("10")"#, Ok("2.302585092994046")),
        ("Log(0)", Err("invalid input: expected number greater than zero but got 0")),
        (r#"Log(attributes["absent"])"#, Err("invalid input: <nil>")),
        (r#"ParseInt("ff", 16)"#, Ok("255")),
        (r#"ParseInt("-0x1_0", 0)"#, Ok("-16")),
        (r#"ParseInt("0b101", 0)"#, Ok("5")),
        (r#"ParseInt("017", 0)"#, Ok("15")),
        (r#"ParseInt("1_000", 0)"#, Ok("1000")),
        (r#"ParseInt("1_000", 10)"#, Err(r#"strconv.ParseInt: parsing "1_000": invalid syntax"#)),
        (r#"ParseInt("1__0", 0)"#, Err(r#"strconv.ParseInt: parsing "1__0": invalid syntax"#)),
        (
            r#"ParseInt("9223372036854775808", 10)"#,
            Err(r#"strconv.ParseInt: parsing "9223372036854775808": value out of range"#),
        ),
        (r#"ParseInt("-9223372036854775808", 10)"#, Ok("-9223372036854775808")),
        (r#"ParseInt("", 10)"#, Err("invalid target value for ParseInt function, target cannot be empty")),
        (r#"ParseInt("1", -1)"#, Err("invalid base value: -1 for ParseInt function, base cannot be negative")),
        (r#"ParseInt("1", 37)"#, Err(r#"strconv.ParseInt: parsing "1": invalid base 37"#)),
    ]);
}

#[test]
fn time() {
    check(&[
        ("Now()", Ok("2023-11-14T22:13:20Z")),
        ("Unix(1700000000)", Ok("2023-11-14T22:13:20Z")),
        ("Unix(1700000000, 5)", Ok("2023-11-14T22:13:20.000000005Z")),
        ("UnixNano(time)", Ok("1709251199123456789")),
        ("UnixMicro(time)", Ok("1709251199123456")),
        ("UnixMilli(time)", Ok("1709251199123")),
        ("UnixSeconds(time)", Ok("1709251199")),
        (
            "UnixSeconds(5)",
            Err(
                "error while parsing arguments for call to \"UnixSeconds\": invalid argument at position 0: expected time but got int64",
            ),
        ),
        ("Year(time)", Ok("2024")),
        ("Month(time)", Ok("2")),
        ("Day(time)", Ok("29")),
        ("Hour(time)", Ok("23")),
        ("Minute(time)", Ok("59")),
        ("Second(time)", Ok("59")),
        ("Nanosecond(time)", Ok("123456789")),
        ("Weekday(time)", Ok("4")),
        ("TruncateTime(time, Duration(\"1h\"))", Ok("2024-02-29T23:00:00Z")),
        ("Duration(\"1h1m\")", Ok("3660000000000ns")),
        (r#"Duration("x")"#, Err(r#"time: invalid duration "x""#)),
        ("Nanoseconds(Duration(\"1ms\"))", Ok("1000000")),
        ("Microseconds(Duration(\"1ms\"))", Ok("1000")),
        ("Milliseconds(Duration(\"1.9ms\"))", Ok("1")),
        ("Seconds(Duration(\"1500ms\"))", Ok("1.5")),
        ("Minutes(Duration(\"90s\"))", Ok("1.5")),
        ("Hours(Duration(\"-90m\"))", Ok("-1.5")),
        ("Seconds(observed_time - time)", Ok("0.876543211")),
    ]);
}

#[test]
fn a_root_span_has_no_parent() {
    assert_eq!(condition(Span, &span(), "IsRootSpan()"), Ok(true));
    let mut child = TestRecord::default();
    child.set(Span, Field::ParentSpanId, Value::SpanId([1; 8]));
    assert_eq!(condition(Span, &child, "IsRootSpan()"), Ok(false));
    assert!(condition(Log, &log(), "IsRootSpan()").unwrap_err().contains("undefined function \"IsRootSpan\""));
}

#[test]
fn the_first_data_point_with_the_key_decides() {
    let points = vec![
        map(&[("other", text("x"))]),
        map(&[("key", text("one"))]),
        map(&[("key", text("two"))]),
        map(&[("number", Value::Int(5))]),
    ];
    let record = TestRecord { points, ..TestRecord::default() };
    for (source, expected) in [
        (r#"HasAttrKeyOnDatapoint("key")"#, true),
        (r#"HasAttrKeyOnDatapoint("absent")"#, false),
        (r#"HasAttrOnDatapoint("key", "one")"#, true),
        (r#"HasAttrOnDatapoint("key", "two")"#, false),
        (r#"HasAttrOnDatapoint("number", "")"#, true),
        (r#"HasAttrOnDatapoint("number", "5")"#, false),
        (r#"HasAttrOnDatapoint("absent", "")"#, false),
    ] {
        assert_eq!(condition(Metric, &record, source), Ok(expected), "{source}");
    }
}

#[test]
fn random_ids_have_their_form() {
    let record = log();
    for (source, version) in [("UUID()", '4'), ("UUIDv7()", '7')] {
        let (first, second) = (value(Log, &record, source).unwrap(), value(Log, &record, source).unwrap());
        assert_ne!(first, second);
        let id = first.trim_matches('"');
        let lens: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lens, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.chars().nth(14), Some(version), "{id}");
        assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')), "{id}");
    }
    // The clock says 1,700,000,000,000 ms.
    assert!(value(Log, &record, "UUIDv7()").unwrap().starts_with("\"018bcfe5-6800-7"));
}
