//! Nothing anyone writes or sends makes the parser, the compiler or the evaluator panic.

mod common;

use common::noon;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_ottl::parser::{parse_condition, parse_statement, parse_value_expression};
use sluice_ottl::wire::Metric;
use sluice_ottl::{Compiler, Context, Registry, Scope, WireRecord};

/// Pieces that OTTL is made of, and some that it is not.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        ":",
        "=",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "and",
        "or",
        "not",
        "nil",
        "true",
        "false",
        "where",
        "0x1f",
        "0x1",
        "1",
        "1.5",
        "99999999999999999999",
        "\"a\"",
        "\"\\d\"",
        "\"(\"",
        "\"",
        "é",
        "FOO",
        "SPAN_KIND_SERVER",
        "set",
        "Concat",
        "IsMatch",
        "Len",
        "Substring",
        "Int",
        "Split",
        "ParseJSON",
        "span",
        "name",
        "attributes",
        "resource",
        "status",
        "code",
        "trace_state",
        "cache",
        "log",
        "body",
        "string",
        "target",
        "IsRootSpan()",
        "Now()",
        "span.name",
        "span.attributes[\"a\"]",
        "span.start_time",
        "Duration(\"1s\")",
        "[1, 2]",
        "{\"a\": 1}",
    ];
    prop_oneof![9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Value expressions that compile, more or less.
fn value() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "nil",
        "true",
        "1",
        "-3",
        "2.5",
        "\"text\"",
        "\"[1, {\\\"a\\\": 2}]\"",
        "0x01ff",
        "span.name",
        "span.kind",
        "span.trace_id",
        "span.start_time",
        "span.events",
        "span.attributes",
        "span.attributes[\"k\"]",
        "span.attributes[\"k\"][0]",
        "span.attributes[\"k\"][\"k\"]",
        "span.attributes[span.name]",
        "span.status.code",
        "resource.attributes[\"k\"]",
        "Now()",
        "Duration(\"1h\")",
        "SPAN_KIND_SERVER",
        "span.cache",
        "span.trace_state[\"a\"]",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let one = proptest::sample::select(vec![
            "Int",
            "Double",
            "String",
            "Bool",
            "Hex",
            "Len",
            "IsMap",
            "IsList",
            "IsString",
            "Keys",
            "Values",
            "ParseJSON",
            "Base64Decode",
            "MD5",
            "SHA256",
            "Murmur3Hash",
            "Murmur3Hash128",
            "XXH3",
            "ToSnakeCase",
            "ToCamelCase",
            "ToUpperCase",
            "Trim",
            "FNV",
            "TraceID",
            "SpanID",
            "IsValidLuhn",
            "Year",
            "UnixNano",
            "Seconds",
            "Sort",
            "Log",
            "ParseKeyValue",
            "ToKeyValueString",
            "SliceToMap",
            "Unix",
        ]);
        let two = proptest::sample::select(vec![
            "HasPrefix",
            "HasSuffix",
            "Base64Encode",
            "Decode",
            "ParseCSV",
            "ParseSeverity",
            "Index",
            "Split",
            "IsMatch",
            "ExtractPatterns",
            "ContainsValue",
            "TrimPrefix",
            "TruncateTime",
            "ParseInt",
            "Unix",
        ]);
        let op = proptest::sample::select(vec!["+", "-", "*", "/"]);
        prop_oneof![
            (one, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (two, inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{\"a\": {a}, \"k\": {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("Concat([{a}, {b}], \"-\")")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("Substring({a}, {b}, {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("Format(\"%v %5.2d|%-q%[1]x\", [{a}, {b}])")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("Coalesce([{a}])[{b}]")),
        ]
    })
}

/// Bytes that are a span, nearly a span, or anything.
fn span_bytes() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..12)).prop_map(|(key, value)| {
        let mut pair = vec![0x0a, key.len() as u8];
        pair.extend(key);
        pair.extend([0x12, value.len() as u8]);
        pair.extend(value);
        pair
    });
    let any_value = prop_oneof![
        vec(any::<u8>(), 0..6).prop_map(|text| [vec![0x0a, text.len() as u8], text].concat()),
        any::<u8>().prop_map(|n| vec![0x18, n & 0x7f]),
        any::<[u8; 8]>().prop_map(|bits| [vec![0x21], bits.to_vec()].concat()),
        Just(vec![0x2a, 0x06, 0x0a, 0x04, 0x0a, 0x02, b'x', b'y']),
        Just(vec![0x32, 0x09, 0x0a, 0x07, 0x0a, 0x01, b'k', 0x12, 0x02, 0x18, 0x05]),
        Just(Vec::new()),
    ];
    let good = any_value.prop_map(|value| [vec![0x0a, 1, b'k', 0x12, value.len() as u8], value].concat());
    let field = prop_oneof![
        prop_oneof![good, attribute].prop_map(|pair| [vec![0x4a, pair.len() as u8], pair].concat()),
        vec(any::<u8>(), 0..20).prop_map(|name| [vec![0x2a, name.len() as u8], name].concat()),
        any::<[u8; 8]>().prop_map(|time| [vec![0x39], time.to_vec()].concat()),
        Just(vec![0x30, 0x02]),
        vec(any::<u8>(), 0..5),
    ];
    vec(field, 0..8).prop_map(|fields| fields.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn parsing_any_text_gives_a_tree_or_an_error(source in any::<String>()) {
        let _ = parse_statement(&source);
        let _ = parse_condition(&source);
        let _ = parse_value_expression(&source);
    }

    #[test]
    fn compiling_any_pieces_gives_an_expression_or_an_error(pieces in vec(piece(), 0..30)) {
        let source = pieces.join(" ");
        let registry = Registry::standard();
        let mut compiler = Compiler::new(Context::Span, &registry).allow_unprefixed();
        let _ = compiler.statement(&source).map_err(|error| error.to_string());
        let _ = compiler.condition(&source).map_err(|error| error.to_string());
        let _ = compiler.value_expression(&source).map_err(|error| error.to_string());
        let none: [&str; 0] = [];
        let _ = sluice_ottl::infer(&registry, &Context::ALL, &[source.as_str()], &none);
    }

    #[test]
    fn evaluating_on_any_bytes_gives_a_value_or_an_error(source in value(), span in span_bytes(), other in span_bytes()) {
        let registry = Registry::filter();
        let mut compiler = Compiler::new(Context::Span, &registry);
        if let Ok(expression) = compiler.value_expression(&source) {
            let record = WireRecord::span(&span).in_resource(&other, &other).in_scope(&other, &span);
            if let Ok(value) = expression.eval(Scope::new(&record, &noon)) {
                let _ = value.to_owned_value();
                let _ = sluice_ottl::text::string_like(&value);
            }
        }
        for op in ["==", "!=", "<", ">="] {
            if let Ok(condition) = compiler.condition(&format!("({source}) {op} span.attributes[\"k\"]")) {
                let _ = condition.eval(&WireRecord::span(&span), &noon);
                let _ = (condition.levels_read(), condition.required_literals(Context::Span));
            }
        }
    }

    #[test]
    fn reading_every_path_of_any_bytes_is_safe(bytes in vec(any::<u8>(), 0..60), more in span_bytes(), kind in 0u32..14) {
        let registry = Registry::filter();
        for bytes in [&bytes, &more] {
            let metric = Metric::whole(bytes).unwrap_or(Metric::parts(bytes, kind, bytes));
            let records = [
                (Context::Log, WireRecord::log(bytes)),
                (Context::SpanEvent, WireRecord::span_event(bytes, bytes, 0)),
                (Context::Metric, WireRecord::metric(metric)),
                (Context::DataPoint, WireRecord::data_point(Metric::parts(bytes, kind, bytes), bytes)),
            ];
            for (context, record) in records {
                let record = record.in_resource(bytes, bytes).in_scope(bytes, bytes);
                let mut compiler = Compiler::new(context, &registry);
                for level in context.visible() {
                    for name in sluice_ottl::path::names(*level) {
                        let Ok(expression) = compiler.value_expression(&format!("{}.{name}", level.name())) else {
                            continue;
                        };
                        let _ = expression.eval(Scope::new(&record, &noon)).map(|value| value.to_owned_value());
                    }
                }
            }
        }
    }

    /// If none of the literals is there, the condition is false and does not fail.
    #[test]
    fn required_literals_are_required(source in value(), text in "[a-z/]{1,3}", op in 0..4usize, span in span_bytes()) {
        let registry = Registry::filter();
        let mut compiler = Compiler::new(Context::Span, &registry);
        let op = ["==", "!=", "<", ">="][op];
        for source in [
            format!("span.attributes[\"k\"] {op} \"{text}\""),
            format!("span.name {op} \"{text}\""),
            format!("span.attributes[\"k\"] {op} {source}"),
            format!("span.attributes[\"k\"] {op} \"{text}\" and ({source}) == 1"),
            format!("({source}) == 1 and span.attributes[\"k\"] {op} \"{text}\""),
            format!("IsMatch(span.name, \"{text}\") or span.attributes[\"k\"] == {source}"),
            format!("IsMatch(span.attributes[\"k\"], \"{text}\") and HasPrefix(span.name, \"{text}\")"),
        ] {
            let Ok(condition) = compiler.condition(&source) else { continue };
            let Some(literals) = condition.required_literals(Context::Span) else { continue };
            let there = literals.iter().any(|literal| span.windows(literal.len().max(1)).any(|w| *w == **literal));
            match condition.eval(&WireRecord::span(&span), &noon) {
                Err(error) if error.class() == "malformed" => {}
                result if !there => prop_assert_eq!(result, Ok(false), "{}", source),
                _ => {}
            }
        }
    }
}
