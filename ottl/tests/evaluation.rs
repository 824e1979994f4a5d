//! Comparison, arithmetic, keys, logic: what expressions mean.

mod common;

use common::{condition, log, span, value};
use sluice_ottl::Context::{Log, Span};
use sluice_ottl::{Compiler, Conditions, ErrorMode, Registry};

#[test]
fn values_compare_by_the_matrix() {
    // Each value with its class; operators apply within a class, and only `!=` is true between classes.
    let record = log();
    let cases = [
        ("nil", "attributes[\"empty\"]", [true, false, false, true, false, true]),
        ("nil", "attributes[\"absent\"]", [true, false, false, true, false, true]),
        ("attributes[\"ok\"]", "true", [true, false, false, true, false, true]),
        ("false", "attributes[\"ok\"]", [false, true, true, true, false, false]),
        ("attributes[\"status\"]", "200", [true, false, false, true, false, true]),
        ("attributes[\"status\"]", "200.0", [true, false, false, true, false, true]),
        ("199.5", "attributes[\"status\"]", [false, true, true, true, false, false]),
        ("attributes[\"ratio\"]", "1", [false, true, true, true, false, false]),
        ("attributes[\"http.route\"]", "\"/healthz\"", [true, false, false, true, false, true]),
        ("\"/a\"", "attributes[\"http.route\"]", [false, true, true, true, false, false]),
        ("attributes[\"raw\"]", "0x01ff", [true, false, false, true, false, true]),
        ("0x00", "attributes[\"raw\"]", [false, true, true, true, false, false]),
        ("time", "observed_time", [false, true, true, true, false, false]),
        ("time", "time", [true, false, false, true, false, true]),
        ("Duration(\"1s\")", "observed_time - time", [false, true, false, false, true, true]),
        ("trace_id", "TraceID(0xabababababababababababababababab)", [true, false, false, false, false, false]),
        ("span_id", "SpanID(0x0000000000000000)", [true, false, false, false, false, false]),
        ("trace_id", "0xabababababababababababababababab", [false, true, false, false, false, false]),
        ("span_id", "nil", [false, true, false, false, false, false]),
        (
            "attributes[\"nested\"]",
            "{\"name\": \"x\", \"x\": {\"y\": \"z\"}}",
            [true, false, false, false, false, false],
        ),
        ("attributes[\"nested\"]", "{\"x\": {\"y\": \"z\"}}", [false, true, false, false, false, false]),
        ("attributes[\"list\"]", "[\"a\", 2, [\"deep\"]]", [true, false, false, false, false, false]),
        ("attributes[\"list\"]", "[\"a\", 2.0, [\"deep\"]]", [false, true, false, false, false, false]),
        ("attributes[\"list\"]", "[]", [false, true, false, false, false, false]),
        ("attributes[\"absent\"]", "\"x\"", [false, true, false, false, false, false]),
        ("attributes[\"absent\"]", "0", [false, true, false, false, false, false]),
        ("attributes[\"status\"]", "\"200\"", [false, true, false, false, false, false]),
        ("attributes[\"ok\"]", "1", [false, true, false, false, false, false]),
        ("attributes[\"list\"]", "attributes[\"nested\"]", [false, true, false, false, false, false]),
        ("time", "time_unix_nano", [false, true, false, false, false, false]),
        ("0.0 / 1", "-0.0", [true, false, false, true, false, true]),
    ];
    for (left, right, expected) in cases {
        for (op, expected) in ["==", "!=", "<", "<=", ">", ">="].iter().zip(expected) {
            let source = format!("{left} {op} {right}");
            assert_eq!(condition(Log, &record, &source), Ok(expected), "{source}");
            let mirrored = match *op {
                "<" => ">",
                "<=" => ">=",
                ">" => "<",
                ">=" => "<=",
                same => same,
            };
            let source = format!("{right} {mirrored} {left}");
            assert_eq!(condition(Log, &record, &source), Ok(expected), "{source}");
        }
    }
}

#[test]
fn not_a_number_is_only_unequal() {
    let record = log();
    let nan = "Double(\"NaN\")";
    for (op, expected) in [("==", false), ("!=", true), ("<", false), ("<=", false), (">", false), (">=", false)] {
        assert_eq!(condition(Log, &record, &format!("{nan} {op} attributes[\"ratio\"]")), Ok(expected), "{op}");
        assert_eq!(condition(Log, &record, &format!("{nan} {op} {nan}")), Ok(expected), "{op}");
    }
}

#[test]
fn arithmetic_follows_its_types() {
    let record = log();
    for (source, expected) in [
        ("1 + 2 * 3 - 4", Ok("3")),
        ("(1 + 2) * 3", Ok("9")),
        ("7 / 2", Ok("3")),
        ("-7 / 2", Ok("-3")),
        ("7 / 2.0", Ok("3.5")),
        ("1 + 1.5", Ok("2.5")),
        ("2 - 3 - 4", Ok("-5")),
        ("9223372036854775807 + 1", Ok("-9223372036854775808")),
        ("-(attributes[\"status\"] + 1)", Ok("-201")),
        ("-attributes[\"ratio\"]", Ok("-0.5")),
        ("+attributes[\"ratio\"]", Ok("0.5")),
        ("1 / 0", Err("attempted to divide by 0")),
        ("1 / 0.0", Err("attempted to divide by 0")),
        ("attributes[\"status\"] / (1 - 1)", Err("attempted to divide by 0")),
        ("1 + attributes[\"http.route\"]", Err("/healthz must be int64 or float64")),
        ("attributes[\"absent\"] * 2", Err("<nil> must be int64, float64, time.Time or time.Duration")),
        ("-attributes[\"http.route\"]", Err("unsupported unary minus operation on type string")),
        ("-attributes[\"absent\"]", Err("unsupported unary minus operation on type <nil>")),
        ("observed_time - time", Ok("876543211ns")),
        ("time + Duration(\"1s\")", Ok("2024-03-01T00:00:00.123456789Z")),
        ("Duration(\"1s\") + time", Ok("2024-03-01T00:00:00.123456789Z")),
        ("time - Duration(\"1s\")", Ok("2024-02-29T23:59:58.123456789Z")),
        ("Duration(\"1m\") - Duration(\"1s\") + Duration(\"2s\")", Ok("61000000000ns")),
        ("time * 2", Err("only addition and subtraction supported for time.Time and time.Duration")),
        ("Duration(\"1s\") / 2", Err("only addition and subtraction supported for time.Time and time.Duration")),
        ("time + 1", Err("time.Time must be added to time.Duration; found 1 instead")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(value(Log, &record, source), expected, "{source}");
    }
}

#[test]
fn keys_reach_into_values() {
    let record = log();
    for (source, expected) in [
        (r#"attributes["nested"]["x"]["y"]"#, Ok(r#""z""#)),
        (r#"attributes["nested"]["absent"]["y"]"#, Ok("nil")),
        (r#"attributes["absent"]["x"]"#, Ok("nil")),
        (r#"attributes["empty"]["x"]"#, Err("type Empty does not support string indexing")),
        (r#"attributes["http.route"]["x"]"#, Err("type Str does not support string indexing")),
        (r#"attributes["status"][0]"#, Err("type Int does not support string indexing")),
        (r#"attributes["list"][2][0]"#, Ok(r#""deep""#)),
        (r#"attributes["list"][5]"#, Err("index 5 out of bounds")),
        (r#"attributes["list"][-1]"#, Err("index -1 out of bounds")),
        (r#"attributes["list"][2 - 1]"#, Ok("2")),
        (r#"attributes["list"]["a"]"#, Err("could not resolve key for map/slice, expecting 'int64' but got 'string'")),
        (r#"attributes["nested"][0]"#, Err("could not resolve key for map/slice, expecting 'string' but got 'int64'")),
        (
            r#"attributes[attributes["status"]]"#,
            Err("could not resolve key for map/slice, expecting 'string' but got 'int64'"),
        ),
        (
            r#"attributes[attributes["absent"]]"#,
            Err("could not resolve key for map/slice, expecting 'string' but got '<nil>'"),
        ),
        (r#"attributes["nested"][attributes["nested"]["name"]]["y"]"#, Ok(r#""z""#)),
        (r#"attributes[Concat(["http", "route"], ".")]"#, Ok(r#""/healthz""#)),
        (r#"attributes["dup"]"#, Ok(r#""first""#)),
        (r#"body["x"]"#, Err("log bodies of type Str cannot be indexed")),
        (r#"cache["x"]"#, Ok("nil")),
        ("cache", Ok("{}")),
        (r#"resource.attributes["service.name"]"#, Ok(r#""shop""#)),
        (r#"ParseJSON(attributes["json"])["a"][1]["b"]"#, Ok(r#""c""#)),
        (r#"ParseJSON(attributes["json"])["absent"]"#, Err("key not found in map")),
        (r#"ParseJSON(attributes["json"])["a"][7]"#, Err("index 7 out of bounds")),
        (r#"ParseJSON(attributes["json"])[0]"#, Err("type pcommon.Map does not support int indexing")),
        (r#"Split(attributes["ip"], ".")[3]"#, Ok(r#""3""#)),
        (r#"Split("a,b", ",")["x"]"#, Err("type pcommon.Slice does not support string indexing")),
        (r#"otelcol.client.metadata["X-Tenant"]"#, Ok("nil")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(value(Log, &record, source), expected, "{source}");
    }
    for (source, expected) in [
        (r#"trace_state["b"]"#, r#""2""#),
        (r#"trace_state["c"]"#, r#""""#),
        ("trace_state", r#""a=1,b=2""#),
        ("Len(events)", "3"),
        ("IsList(events)", "true"),
        ("IsList(status)", "false"),
        ("links", "nil"),
    ] {
        assert_eq!(value(Span, &span(), source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn logic_stops_early_and_errors_end_the_whole() {
    let record = log();
    let fails = r#"HasPrefix(attributes["absent"], "x")"#;
    for (source, expected) in [
        ("true or false and false", Ok(true)),
        ("not true or true", Ok(true)),
        ("not (true or true)", Ok(false)),
        ("false and FAILS", Ok(false)),
        ("true or FAILS", Ok(true)),
        ("attributes[\"ok\"] == false and FAILS", Ok(false)),
        ("attributes[\"ok\"] == true or FAILS", Ok(true)),
        ("attributes[\"ok\"] == true and FAILS", Err("expected string but got nil")),
        ("FAILS or true", Err("expected string but got nil")),
        ("not FAILS", Err("expected string but got nil")),
        ("attributes[\"ok\"] == true", Ok(true)),
        ("Bool(attributes[\"ok\"])", Ok(true)),
        (
            "Int(attributes[\"status\"])",
            Err("value returned from Converter in constant expression must be bool but got int64"),
        ),
        (
            "Bool(attributes[\"absent\"])",
            Err("value returned from Converter in constant expression must be bool but got <nil>"),
        ),
    ] {
        let source = source.replace("FAILS", fails);
        assert_eq!(condition(Log, &record, &source), expected.map_err(str::to_owned), "{source}");
    }
}

#[test]
fn constants_are_folded() {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Log, &registry);
    for (source, expected) in [
        ("1 + 1 == 2", Some(true)),
        ("not (ToUpperCase(\"a\") == \"A\")", Some(false)),
        ("IsMatch(\"abc\", \"b\")", Some(true)),
        ("log.body == 1 and false", Some(false)),
        ("log.body == 1 or true", None), // the left may not be skipped if it can fail; it is evaluated first
        ("true or log.body == 1", Some(true)),
        ("Now() == Now()", None),
        ("1 / 0 == 1", None),
        ("SEVERITY_NUMBER_INFO > 8", Some(true)),
    ] {
        let constant = compiler.condition(source).unwrap().constant();
        if source == "log.body == 1 and false" {
            // Kept as a chain that ends in false: same meaning, errors of the left side included.
            assert_eq!(constant, None);
        } else {
            assert_eq!(constant, expected, "{source}");
        }
    }
}

#[test]
fn error_modes_decide_what_errors_do() {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Log, &registry);
    let mut compile = |sources: &[&str]| compiler.conditions(sources).unwrap();
    let fails = r#"HasPrefix(log.attributes["absent"], "x")"#;
    let run = |conditions: Conditions| {
        let mut failed = Vec::new();
        let result = conditions.eval(&log(), &common::noon, &mut |index, error| failed.push((index, error.class())));
        (result.map_err(|error| error.to_string()), failed)
    };
    let on = r#"log.severity_number == 17"#;
    let off = r#"log.severity_number == 18"#;
    for mode in [ErrorMode::Ignore, ErrorMode::Silent] {
        assert_eq!(run(Conditions::any(compile(&[fails, on]), mode)), (Ok(true), vec![(0, "type")]));
        assert_eq!(run(Conditions::any(compile(&[fails, off]), mode)), (Ok(false), vec![(0, "type")]));
        assert_eq!(run(Conditions::any(compile(&[on, fails]), mode)), (Ok(true), vec![]));
        assert_eq!(run(Conditions::all(compile(&[fails, on]), mode)), (Ok(true), vec![(0, "type")]));
        assert_eq!(run(Conditions::all(compile(&[off, fails]), mode)), (Ok(false), vec![]));
        assert_eq!(run(Conditions::all(compile(&[fails]), mode)), (Ok(false), vec![(0, "type")]));
    }
    let error = format!("failed to eval condition: {fails}, expected string but got nil");
    assert_eq!(run(Conditions::any(compile(&[fails, on]), ErrorMode::Propagate)), (Err(error), vec![]));
    assert_eq!(run(Conditions::any(compile(&[]), ErrorMode::Ignore)), (Ok(false), vec![]));

    for (name, mode) in [("IGNORE", Ok(ErrorMode::Ignore)), ("Silent", Ok(ErrorMode::Silent))] {
        assert_eq!(name.parse(), mode);
    }
    assert_eq!("x".parse::<ErrorMode>(), Err("unknown error mode x".to_owned()));
}

#[test]
fn equal_attribute_keys_share_a_slot() {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Log, &registry);
    compiler.condition(r#"log.attributes["a"] == "x" or log.attributes["b"] == 1"#).unwrap();
    compiler.condition(r#"resource.attributes["a"] == log.attributes["b"]"#).unwrap();
    let keys: Vec<String> = compiler
        .attributes()
        .iter()
        .map(|key| format!("{} {} {}", key.slot, key.level.name(), String::from_utf8_lossy(&key.key)))
        .collect();
    assert_eq!(keys, ["0 log a", "1 log b", "2 resource a"]);
}

#[test]
fn levels_and_literals_are_known_without_a_record() {
    let registry = Registry::filter();
    for (context, source, levels, literals) in [
        (Span, r#"span.name == "GET /healthz""#, vec![Span], Some(vec!["GET /healthz"])),
        (Span, r#"span.attributes["http.route"] == "/healthz""#, vec![Span], Some(vec!["/healthz"])),
        (Span, r#"span.attributes["http.route"] == """#, vec![Span], Some(vec!["http.route"])),
        (Span, r#"span.attributes["http.route"] != "/healthz""#, vec![Span], None),
        (Span, r#"span.attributes["code"] >= 500"#, vec![Span], Some(vec!["code"])),
        (Span, r#"span.attributes["code"] != nil"#, vec![Span], Some(vec!["code"])),
        (Span, r#"span.attributes["code"] == nil"#, vec![Span], None),
        (Span, r#"IsMatch(span.attributes["url"], "x+")"#, vec![Span], Some(vec!["url"])),
        (Span, r#"IsMatch(span.name, "^GET|POST")"#, vec![Span], Some(vec!["GET", "POST"])),
        (Span, r#"IsMatch(span.name, ".")"#, vec![Span], None),
        (Span, r#"HasPrefix(span.name, "abc")"#, vec![Span], Some(vec!["abc"])),
        (Span, r#"HasPrefix(span.attributes["a"], "abc")"#, vec![Span], None),
        (Span, r#"span.name == "a" or span.attributes["k"] == "bb""#, vec![Span], Some(vec!["a", "bb"])),
        (Span, r#"span.name == "a" or span.kind == 1"#, vec![Span], None),
        (
            Span,
            r#"span.name == "short" and span.attributes["k"] == "longer literal""#,
            vec![Span],
            Some(vec!["longer literal"]),
        ),
        (Span, r#"span.kind == 2 and span.name == "x""#, vec![Span], Some(vec!["x"])),
        (Span, r#"HasPrefix(span.attributes["a"], "b") and span.name == "x""#, vec![Span], None),
        (Span, r#"not (span.name == "x")"#, vec![Span], None),
        (
            Span,
            r#"resource.attributes["service.name"] == "shop" and span.name == "x""#,
            vec![Span, sluice_ottl::Context::Resource],
            Some(vec!["x"]),
        ),
        (Span, r#"resource.attributes["a"] == "b""#, vec![sluice_ottl::Context::Resource], None),
        (Span, "IsRootSpan()", vec![Span], None),
        (Span, "false", vec![], Some(vec![])),
        (Log, r#"log.body == "started""#, vec![Log], Some(vec!["started"])),
        (
            Log,
            r#"log.trace_id.string == "61626364616263646162636461626364""#,
            vec![Log],
            Some(vec!["abcdabcdabcdabcd"]),
        ),
        (Log, r#"log.trace_id.string == "00000000000000000000000000000000""#, vec![Log], None),
    ] {
        let condition = Compiler::new(context, &registry).condition(source).unwrap();
        assert_eq!(condition.levels_read().iter().collect::<Vec<_>>(), levels, "{source}");
        let found = condition.required_literals(context);
        let found: Option<Vec<String>> =
            found.map(|all| all.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect());
        assert_eq!(found, literals.map(|all| all.iter().map(|l| (*l).to_owned()).collect()), "{source}");
    }
}
