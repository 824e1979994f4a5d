//! Laws that hold for any input: nothing panics, spans lie within their text, merging and expanding are algebra.

#![expect(clippy::unwrap_used, reason = "test code")]

use proptest::prelude::*;
use sluice_config::service::{Catalog, Gates, Service};
use sluice_config::{Args, Diagnostic, FixedSources, Node, Origin, Value, parse, render, resolve};

fn in_range(origin: &Origin) {
    let text = origin.source.text();
    let (start, end) = (origin.span.start as usize, origin.span.end as usize);
    assert!(start <= end && end <= text.len(), "{start}..{end} of {}", text.len());
    assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
    let at = origin.start();
    assert!(at.line >= 1 && at.column >= 1 && at.line <= text.split('\n').count());
}

fn all_in_range(node: &Node) {
    in_range(&node.origin);
    match &node.value {
        Value::Seq(items) => items.iter().for_each(all_in_range),
        Value::Map(map) => {
            for entry in map.values() {
                in_range(&entry.key);
                all_in_range(&entry.value);
            }
        }
        _ => {}
    }
}

fn rendered(found: &[Diagnostic]) {
    for diagnostic in found {
        if let Some(origin) = &diagnostic.origin {
            in_range(origin);
        }
    }
    assert!(!render::human(found, render::Style { color: true, all: true }).is_empty() || found.is_empty());
    let _ = found.iter().map(render::json).count();
}

const CATALOG: Catalog<'static> = Catalog {
    receivers: &["otlp"],
    processors: &["batch"],
    exporters: &["debug", "otlp_grpc"],
    connectors: &["forward"],
    extensions: &["health_check"],
};

fn whole_way(text: &str) {
    let sources = FixedSources::default()
        .file("a", text)
        .var("A", "${env:B}")
        .var("B", text)
        .var("C", "[1, {x: ${env:D}}]")
        .var("D", "0123");
    let args = Args { configs: vec!["a".into(), "yaml:service: {telemetry: }".into()], ..Args::default() };
    match resolve(&args, &sources) {
        Ok(document) => {
            all_in_range(&document.root);
            let (service, found) = Service::load(&document, &CATALOG, Gates::default());
            rendered(&found);
            rendered(&service.unused());
        }
        Err(found) => rendered(&found),
    }
}

/// Pieces that make YAML of all kinds, broken kinds included.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("receivers:"),
        Just("exporters:"),
        Just("service:"),
        Just("pipelines:"),
        Just("traces:"),
        Just("telemetry:"),
        Just("otlp"),
        Just("debug"),
        Just(":"),
        Just(": "),
        Just("\n"),
        Just("\n  "),
        Just("\n    "),
        Just("\n\t"),
        Just("- "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("${env:A}"),
        Just("${C}"),
        Just("$${D}"),
        Just("${file:a}"),
        Just("'"),
        Just("\""),
        Just("|\n"),
        Just(">\n"),
        Just("# x\n"),
        Just("---\n"),
        Just("!!binary "),
        Just("!!int "),
        Just("!x "),
        Just("? "),
        Just("~"),
        Just("0123"),
        Just("größe"),
        Just("日本"),
        Just("\u{feff}"),
        Just("\r\n"),
        Just("::"),
        Just("\0"),
        Just("%YAML 1.2\n"),
        Just("a::b: c"),
        Just("logs: {level: x}"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_parse_or_fail_with_a_place(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        match parse(&bytes) {
            Ok(node) => all_in_range(&node),
            Err(problem) => rendered(std::slice::from_ref(&problem)),
        }
    }

    #[test]
    fn any_text_goes_the_whole_way(text in "\\PC{0,120}") {
        whole_way(&text);
    }

    #[test]
    fn anything_like_yaml_goes_the_whole_way(text in yamlish()) {
        whole_way(&text);
    }
}

/// A document of known values, as flow YAML and as a model of merging.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Scalar(String),
    List(Vec<String>),
    Map(std::collections::BTreeMap<String, Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        1 => Just(Tree::Null),
        4 => "[a-z]{1,4}".prop_map(Tree::Scalar),
        2 => proptest::collection::vec("[a-z]{1,3}", 0..3).prop_map(Tree::List),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(Tree::Map))
}

fn document() -> impl Strategy<Value = Tree> {
    proptest::collection::btree_map("[a-d]", tree(), 0..4).prop_map(Tree::Map)
}

fn yaml(tree: &Tree) -> String {
    match tree {
        Tree::Null => "null".into(),
        Tree::Scalar(text) => format!("'{text}'"),
        Tree::List(items) => format!("[{}]", items.iter().map(|it| format!("'{it}'")).collect::<Vec<_>>().join(", ")),
        Tree::Map(map) => {
            format!("{{{}}}", map.iter().map(|(key, it)| format!("{key}: {}", yaml(it))).collect::<Vec<_>>().join(", "))
        }
    }
}

fn model_merge(base: &Tree, later: &Tree) -> Tree {
    match (base, later) {
        (Tree::Map(base), Tree::Map(later)) => {
            let mut merged = base.clone();
            for (key, value) in later {
                let value = merged.get(key).map_or_else(|| value.clone(), |old| model_merge(old, value));
                merged.insert(key.clone(), value);
            }
            Tree::Map(merged)
        }
        (_, later) => later.clone(),
    }
}

fn read(node: &Node) -> Tree {
    match &node.value {
        Value::Null => Tree::Null,
        Value::Seq(items) => Tree::List(items.iter().map(|it| it.text().unwrap().to_owned()).collect()),
        Value::Map(map) => Tree::Map(map.iter().map(|(key, entry)| (key.clone(), read(&entry.value))).collect()),
        _ => Tree::Scalar(node.text().unwrap().to_owned()),
    }
}

fn merged(documents: &[&Tree]) -> String {
    let args = Args { configs: documents.iter().map(|it| format!("yaml:{}", yaml(it))).collect(), ..Args::default() };
    yaml(&read(&resolve(&args, &FixedSources::default()).unwrap().root))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn merging_follows_the_model(a in document(), b in document()) {
        prop_assert_eq!(merged(&[&a, &b]), yaml(&model_merge(&a, &b)));
    }

    #[test]
    fn merging_is_idempotent_and_has_a_neutral_element(a in document()) {
        let empty = Tree::Map(Default::default());
        prop_assert_eq!(merged(&[&a, &a]), merged(&[&a]));
        prop_assert_eq!(merged(&[&empty, &a]), merged(&[&a]));
        prop_assert_eq!(merged(&[&a, &empty]), merged(&[&a]));
    }

    #[test]
    fn text_without_references_only_loses_doubled_dollars(text in "[a-z$ }{]{0,20}") {
        prop_assume!(!text.contains("${"));
        let quoted = text.replace('\'', "''");
        let args = Args { configs: vec![format!("yaml:k: '{quoted}'")], ..Args::default() };
        let document = resolve(&args, &FixedSources::default()).unwrap();
        prop_assert_eq!(document.root.get("k").unwrap().text().unwrap(), text.replace("$$", "$"));
    }

    #[test]
    fn an_inline_reference_inserts_the_text_of_the_variable(before in "[a-z]{1,5}", value in "[a-z0-9 :{}]{0,12}", after in "[a-z]{0,5}") {
        let sources = FixedSources::default().var("X", &value);
        let args = Args { configs: vec![format!("yaml:k: {before}${{env:X}}{after}")], ..Args::default() };
        let document = resolve(&args, &sources).unwrap();
        prop_assert_eq!(document.root.get("k").unwrap().text().unwrap(), format!("{before}{value}{after}"));
    }

    #[test]
    fn nested_flow_collections_stop_at_the_depth_limit(depth in 1usize..2_000) {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let result = parse(text.as_bytes());
        prop_assert_eq!(result.is_ok(), depth <= sluice_config::MAX_DEPTH);
        if let Err(problem) = result {
            prop_assert_eq!(problem.code, "E0005");
        }
    }
}

fn code(text: &str) -> &'static str {
    parse(text.as_bytes()).map_or_else(|problem| problem.code, |_| "ok")
}

#[test]
fn budgets_hold_at_the_limit_and_refuse_one_more() {
    let block = |depth: usize| (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    assert_eq!(code(&block(64)), "ok");
    assert_eq!(code(&block(65)), "E0005");

    let aliases = |count: usize| format!("a: &a x\nb: [{}]\n", vec!["*a"; count].join(", "));
    assert_eq!(code(&aliases(1_000)), "ok");
    assert_eq!(code(&aliases(1_001)), "E0005");

    // The root, its two keys' values and the items.
    let nodes = |count: usize| format!("a: [{}]\n", vec!["x"; count].join(", "));
    assert_eq!(code(&nodes(90_000)), "ok");
    assert_eq!(code(&nodes(100_001)), "E0005");

    let laughs: String = (1..10)
        .map(|level| {
            let before = level - 1;
            format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", "))
        })
        .collect();
    assert_eq!(code(&format!("a0: &a0 lol\n{laughs}")), "E0005");

    let big = "#".repeat(sluice_config::MAX_BYTES);
    assert_eq!(code(&big), "ok");
    assert_eq!(code(&format!("{big}#")), "E0005");
    assert_eq!(parse(b"a: \xff\n").unwrap_err().code, "E0001");
    assert_eq!(parse(b"a: \xff\n").unwrap_err().origin.unwrap().start().column, 4);
    assert_eq!(code("a: &a [*a]\n"), "E0004");
}

#[test]
fn what_the_go_parser_accepts_is_accepted() {
    let cases = [
        "processors:\n",
        "a: [pprof, ]\n",
        "base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\n",
        "c:\n  <<: [{x: 1}, {x: 2, z: 3}]\n",
        "a: !!binary aGVsbG8=\n",
        "---\na: b\n...\n",
        "\u{feff}a: b\n",
        "a: |\n  text\n\n  more\nb: >-\n  folded\n  text\n",
        "8080: x\ntrue: y\n",
        "a: b # comment\n# another\n",
        "a:\r\n  b: c\r\n",
        "\"quoted key\": 'it''s'\n",
        "a: x: y\n",
        "? a\n: b\n",
        "a: [\n  b,\n  c\n]\n",
        "list:\n- a\n- b\n",
        "a: {b: c, d: }\n",
    ];
    for text in cases {
        let expected = if text == "a: x: y\n" { "E0002" } else { "ok" };
        assert_eq!(code(text), expected, "{text:?}");
    }
    let merged = parse(b"base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\nd: {<<: [{x: 1}, {x: 2, z: 3}]}\n").unwrap();
    let text = |path: [&str; 2]| merged.get(path[0]).unwrap().get(path[1]).unwrap().text().unwrap().to_owned();
    assert_eq!([text(["c", "x"]), text(["c", "y"]), text(["d", "x"]), text(["d", "z"])], ["1", "3", "1", "3"]);
    assert_eq!(parse(b"a: !!binary aGVsbG8=\n").unwrap().get("a").unwrap().text(), Some("hello"));
}
