//! Every rule and example of the translation, as tables.

use super::label_name::LabelNamer;
use super::metric_name::{MetricKind, MetricNamer};
use super::number::{LeFormat, bound, double, int};
use super::unit::UnitWords;
use super::{Compat, Strategy};

use MetricKind::{Counter, Gauge, Other};

fn namer(strategy: Strategy, namespace: &str) -> MetricNamer {
    MetricNamer { strategy, compat: Compat::Prometheus, namespace: namespace.to_owned() }
}

#[test]
fn escaped_names_get_suffixes() {
    let namer = namer(Strategy::UnderscoreEscapingWithSuffixes, "");
    let cases = [
        ("http.server.request.duration", "s", Other, "http_server_request_duration_seconds"),
        ("http.server.duration", "s", Other, "http_server_duration_seconds"),
        ("requests", "1/s", Gauge, "requests_per_second"),
        ("requests.count", "1", Counter, "requests_count_total"),
        // Tokens: runs of underscores collapse, outer ones vanish, colons stay.
        ("__a..b--c__", "", Gauge, "a_b_c"),
        ("job:requests:rate", "", Gauge, "job:requests:rate"),
        ("größe", "", Gauge, "gr_e"),
        // A unit is not added twice, wherever it stands.
        ("seconds.of.fame", "s", Gauge, "seconds_of_fame"),
        ("bytes_received", "By", Counter, "bytes_received_total"),
        ("per.second", "{r}/s", Gauge, "per_second_per_second"),
        ("speed.per_second", "m/s", Gauge, "speed_per_second_meters_per_second"),
        // Units that are none.
        ("a", "{request}", Gauge, "a"),
        ("a", "{request}/s", Gauge, "a_per_second"),
        ("a", "1", Other, "a"),
        ("a", "", Gauge, "a"),
        ("a", "/", Gauge, "a"),
        ("a", " s / m ", Gauge, "a_seconds_per_minute"),
        ("a", "By/{op}", Gauge, "a_bytes"),
        // Units the table lacks.
        ("a", "furlongs", Gauge, "a_furlongs"),
        ("a", "a b/c d", Gauge, "a_a_b_per_c_d"),
        ("a", "_x_", Gauge, "a_x_"),
        ("a", "x_/s", Gauge, "a_x_per_second"),
        ("a", "s/_", Gauge, "a_seconds"),
        ("a", "%", Gauge, "a_percent"),
        // total and ratio come last, once.
        ("total.requests", "", Counter, "requests_total"),
        ("total.total", "", Counter, "total"),
        ("requests_total", "s", Counter, "requests_seconds_total"),
        ("requests_total", "", Gauge, "requests_total"),
        ("ratio.of.x", "1", Gauge, "of_x_ratio"),
        ("hit", "1", Gauge, "hit_ratio"),
        ("hit", " 1", Gauge, "hit"),
        // Digits.
        ("9lives", "", Gauge, "_9lives"),
        ("4xx", "s", Counter, "_4xx_seconds_total"),
    ];
    for (name, unit, kind, expected) in cases {
        assert_eq!(namer.build(name, unit, kind).as_deref(), Some(expected), "{name} {unit} {kind:?}");
    }
}

#[test]
fn names_of_which_nothing_is_left_are_refused() {
    let with = namer(Strategy::UnderscoreEscapingWithSuffixes, "");
    let without = namer(Strategy::UnderscoreEscapingWithoutSuffixes, "");
    for name in ["", ".", "___", "ö"] {
        assert_eq!(with.build(name, "", Gauge), None, "{name}");
    }
    assert_eq!(without.build("", "", Gauge), None);
    assert_eq!(without.build("..", "", Gauge), None);
    assert_eq!(without.build("__", "", Gauge).as_deref(), Some("__"), "unchanged names stay");
    assert_eq!(without.build(".__", "", Gauge), None);
    assert_eq!(namer(Strategy::NoTranslation, "").build("", "", Gauge), None);
    assert_eq!(namer(Strategy::NoTranslation, "").build("__", "s", Gauge).as_deref(), Some("__"));
}

#[test]
fn namespaces_come_first() {
    let cases = [
        (Strategy::UnderscoreEscapingWithSuffixes, "9lives", "ns_9lives_seconds_total"),
        (Strategy::UnderscoreEscapingWithoutSuffixes, "9lives", "ns_9lives"),
        (Strategy::NoUTF8EscapingWithSuffixes, "9.lives", "ns_9.lives_seconds_total"),
        (Strategy::NoTranslation, "9.lives", "ns_9.lives"),
    ];
    for (strategy, name, expected) in cases {
        assert_eq!(namer(strategy, "ns").build(name, "s", Counter).as_deref(), Some(expected), "{strategy:?}");
        assert_eq!(namer(strategy, "ns").target_info(), "ns_target_info");
    }
}

#[test]
fn escaped_names_without_suffixes_keep_their_underscores() {
    let namer = namer(Strategy::UnderscoreEscapingWithoutSuffixes, "");
    let cases = [
        ("http.server.duration", "http_server_duration"),
        ("a..b__c", "a_b__c"),
        (".a.", "a"),
        ("_a_", "_a_"),
        ("9lives", "_9lives"),
        ("a:b", "a:b"),
    ];
    for (name, expected) in cases {
        assert_eq!(namer.build(name, "s", Counter).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn utf8_names_get_suffixes() {
    let namer = namer(Strategy::NoUTF8EscapingWithSuffixes, "");
    let cases = [
        ("http.server.duration", "s", Other, "http.server.duration_seconds"),
        ("http.server.seconds", "s", Other, "http.server.seconds"),
        ("größe", "By", Gauge, "größe_bytes"),
        ("requests", "{r}/s", Gauge, "requests_per_second"),
        ("requests.per_second", "{r}/s", Gauge, "requests_per_second"),
        ("requests.total", "", Counter, "requests_total"),
        ("requests.total", "s", Counter, "requests_seconds_total"),
        ("requests.seconds.total", "s", Counter, "requests.seconds_total"),
        ("wait.per_second.total", "s/s", Counter, "wait_seconds_per_second_total"),
        ("total", "", Counter, "total_total"),
        ("hits.ratio", "1", Gauge, "hits_ratio"),
        ("a", "s/m", Counter, "a_seconds_per_minute_total"),
    ];
    for (name, unit, kind, expected) in cases {
        assert_eq!(namer.build(name, unit, kind).as_deref(), Some(expected), "{name} {unit} {kind:?}");
    }
}

#[test]
fn the_specification_differs_on_units() {
    let specified = |name, unit| {
        let namer = MetricNamer {
            strategy: Strategy::UnderscoreEscapingWithSuffixes,
            compat: Compat::OtelSpec,
            namespace: String::new(),
        };
        namer.build(name, unit, Gauge)
    };
    assert_eq!(specified("seconds.of.fame", "s").as_deref(), Some("seconds_of_fame_seconds"));
    assert_eq!(specified("a.seconds", "s").as_deref(), Some("a_seconds"));
    for (unit, prometheus, otel) in
        [("KBy", "kilobytes", "KBy"), ("kBy", "kBy", "kilobytes"), ("TiBy", "tibibytes", "tebibytes")]
    {
        assert_eq!(UnitWords::of(unit, Compat::Prometheus).main, prometheus);
        assert_eq!(UnitWords::of(unit, Compat::OtelSpec).main, otel);
    }
}

#[test]
fn units_are_words() {
    let words = [
        ("d", "days"),
        ("h", "hours"),
        ("min", "minutes"),
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("us", "microseconds"),
        ("ns", "nanoseconds"),
        ("By", "bytes"),
        ("KiBy", "kibibytes"),
        ("MiBy", "mebibytes"),
        ("GiBy", "gibibytes"),
        ("TiBy", "tibibytes"),
        ("KBy", "kilobytes"),
        ("MBy", "megabytes"),
        ("GBy", "gigabytes"),
        ("TBy", "terabytes"),
        ("m", "meters"),
        ("V", "volts"),
        ("A", "amperes"),
        ("J", "joules"),
        ("W", "watts"),
        ("g", "grams"),
        ("Cel", "celsius"),
        ("Hz", "hertz"),
        ("1", ""),
        ("%", "percent"),
        ("{thing}", ""),
        ("By/s", "bytes_per_second"),
        ("By/m", "bytes_per_minute"),
        ("1/h", "per_hour"),
        ("1/d", "per_day"),
        ("1/w", "per_week"),
        ("1/mo", "per_month"),
        ("1/y", "per_year"),
        ("{r}/{s}", ""),
    ];
    for (unit, expected) in words {
        assert_eq!(UnitWords::escaped(unit, Compat::Prometheus).joined(), expected, "{unit}");
    }
}

#[test]
fn label_names_are_sanitised() {
    let parity = LabelNamer { utf8: false, prefix_single_underscore: true, preserve_multiple_underscores: true };
    let collapsing = LabelNamer { preserve_multiple_underscores: false, ..parity };
    let unprefixed = LabelNamer { prefix_single_underscore: false, ..parity };
    let utf8 = LabelNamer { utf8: true, ..parity };
    let cases: [(&str, [Option<&str>; 4]); 14] = [
        // key, then by each of the four
        ("http.method", [Some("http_method"), Some("http_method"), Some("http_method"), Some("http.method")]),
        ("a..b", [Some("a__b"), Some("a_b"), Some("a__b"), Some("a..b")]),
        ("a:b", [Some("a_b"), Some("a_b"), Some("a_b"), Some("a:b")]),
        ("1st", [Some("key_1st"), Some("key_1st"), Some("key_1st"), Some("1st")]),
        ("_x", [Some("key_x"), Some("key_x"), Some("_x"), Some("_x")]),
        (".x", [Some("key_x"), Some("key_x"), Some("_x"), Some(".x")]),
        ("__x", [Some("__x"), Some("key_x"), Some("__x"), Some("__x")]),
        ("__x__", [Some("__x__"), Some("__x__"), Some("__x__"), Some("__x__")]),
        ("__a..b__", [Some("__a__b__"), Some("__a_b__"), Some("__a__b__"), Some("__a..b__")]),
        ("ünï", [Some("key_n_"), Some("key_n_"), Some("_n_"), Some("ünï")]),
        ("", [None; 4]),
        ("__", [None, Some("key_"), None, Some("__")]),
        ("_", [Some("key_"), Some("key_"), None, Some("_")]),
        ("ö", [Some("key_"), Some("key_"), None, Some("ö")]),
    ];
    for (key, expected) in cases {
        for (namer, expected) in [parity, collapsing, unprefixed, utf8].iter().zip(expected) {
            assert_eq!(namer.build(key).as_deref(), expected, "{key} {namer:?}");
        }
    }
}

#[test]
fn bounds_are_shortest_in_both_forms() {
    let cases = [
        (0.0, "0", "0.0"),
        (1.0, "1", "1.0"),
        (0.005, "0.005", "0.005"),
        (2.5, "2.5", "2.5"),
        (100_000.0, "100000", "100000.0"),
        (1_000_000.0, "1000000", "1e+06"),
        (1_234_567.0, "1234567", "1.234567e+06"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "0.00001", "1e-05"),
        (-2.0, "-2", "-2.0"),
        (1e21, "1000000000000000000000", "1e+21"),
        (1e100, &format!("1{}", "0".repeat(100)), "1e+100"),
        (f64::INFINITY, "+Inf", "+Inf"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
        (f64::NAN, "NaN", "NaN"),
    ];
    let text = |value, format, scraped| {
        let mut out = Vec::new();
        bound(&mut out, value, format, scraped);
        String::from_utf8(out).unwrap()
    };
    for (value, legacy, open_metrics) in cases {
        assert_eq!(text(value, LeFormat::Legacy, true), legacy);
        assert_eq!(text(value, LeFormat::OpenMetrics, false), open_metrics);
        assert_eq!(text(value, LeFormat::Auto, false), legacy);
        assert_eq!(text(value, LeFormat::Auto, true), open_metrics);
    }
}

#[test]
fn numbers_are_written_as_the_collector_writes_them() {
    let cases = [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (123_456_789.0, "123456789"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (value, expected) in cases {
        let mut out = Vec::new();
        double(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    for value in [0, 7, -7, 1_000, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        int(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}
