//! Retrieval, merge and expansion. Expected values were checked against the Go Collector 0.159 (`print-config`).

use super::*;
use crate::render::{self, Style};

/// The tree as compact JSON-like text; strings in quotes, text forms of other scalars after `~`.
fn show(node: &Node) -> String {
    let text = match &node.text {
        Some(text) if !matches!(node.value, Value::String(_)) => format!("~{text}"),
        _ => String::new(),
    };
    match &node.value {
        Value::Null => format!("null{text}"),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("{value}{text}"),
        Value::Float(value) => format!("{value}{text}"),
        Value::String(value) => crate::quote(value),
        Value::Seq(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, entry)| format!("{key}: {}", show(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn sources() -> FixedSources {
    FixedSources::default()
        .var("M", "{a: b}")
        .var("L", "[x, '${env:OCT}']")
        .var("Q", "\"0123\"")
        .var("OCT", "0123")
        .var("HEX", "0xdeadbeef")
        .var("BAD", "a: b: c")
        .var("EMPTY", "")
        .var("NAME", "OCT")
        .var("REC", "${env:REC}")
        .var("GROW", "${env:GROW}${env:GROW}")
        .var("LIST", "[${env:LIST}]")
        .var("DOL", "$X")
        .file("secret.txt", "hello\n")
        .file("part.yaml", "inner: ${env:OCT}\nlist: [1, two]\n")
}

fn value(text: &str) -> String {
    let args = Args { configs: vec![format!("yaml:k: {text}")], ..Args::default() };
    match resolve(&args, &sources()) {
        Ok(document) => document.root.get("k").map_or("missing".into(), show),
        Err(found) => {
            found.iter().filter(|it| it.is_error()).map(|it| it.message.clone()).collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn values_expand_as_in_the_go_collector() {
    let cases = [
        ("${env:OCT}", "83~0123"),
        ("${OCT}", "83~0123"),
        ("'${env:OCT}'", "83~0123"),
        ("$OCT", "\"$OCT\""),
        ("${env:HEX}", "3735928559~0xdeadbeef"),
        ("x${env:OCT}y", "\"x0123y\""),
        ("${env:Q}", "\"\\\"0123\\\"\""),
        ("i${env:Q}", "\"i\\\"0123\\\"\""),
        ("${env:M}", "{a: \"b\"}~"),
        ("x${env:M}y", "\"x{a: b}y\""),
        ("${env:L}", "[\"x\", 83~0123]"),
        ("${env:BAD}", "\"a: b: c\""),
        ("${env:UNSET}", "null~"),
        ("x${env:UNSET}y", "\"xy\""),
        ("${env:UNSET:-}", "\"\""),
        ("${env:UNSET:-7}", "7~7"),
        ("${env:EMPTY:-7}", "null~"),
        ("${env:${env:NAME}}", "83~0123"),
        ("$${env:OCT}", "\"${env:OCT}\""),
        ("$$${env:OCT}", "\"$0123\""),
        ("$${env:Q} ${env:OCT}", "\"${env:Q} ${env:OCT}\""),
        ("${env:OCT} $$1 $$$$2", "\"0123 $1 $$2\""),
        ("[a$$b, {c: d$$}]", "[\"a$b\", {c: \"d$\"}]"),
        ("${file:secret.txt}", "\"hello\\n\""),
        ("${file:part.yaml}", "{inner: 83~0123, list: [1~1, \"two\"]}"),
        ("'${yaml:[a, 1]}'", "[\"a\", 1~1]"),
        ("'${env:OCT'", "\"${env:OCT\""),
        ("${env:a.b}", "environment variable \"a.b\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"),
        ("${1}", "environment variable \"1\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"),
        ("${}", "environment variable \"\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"),
        ("${xyz:foo}", "scheme \"xyz\" is not supported for uri \"xyz:foo\""),
        ("${http://x/y}", "scheme \"http\" is not supported for uri \"http://x/y\""),
        ("${:x}", "invalid uri: \":x\""),
        ("${file:none}", "unable to read the file file:none: open none: no such file or directory"),
        ("${env:$X}", "the uri \"env:$X\" contains unsupported characters ('$')"),
        ("${env:${env:DOL}}", "the uri \"env:$X\" contains unsupported characters ('$')"),
        ("${env:REC}", "too many recursive expansions"),
        ("x${env:REC}", "too many recursive expansions"),
        ("${env:GROW}", "too many recursive expansions"),
        ("${env:LIST}", "too many recursive expansions"),
    ];
    for (text, expected) in cases {
        let got = value(text);
        let got = if let Some(prefix) = expected.strip_suffix('~') {
            assert!(got.starts_with(prefix), "{text}: {got}");
            continue;
        } else {
            // Whole lists and maps keep their text form too; it is not what these cases are about.
            got
        };
        assert_eq!(got, expected, "{text}");
    }
}

fn resolved(args: &Args, sources: &FixedSources) -> String {
    match resolve(args, sources) {
        Ok(document) => show(&document.root),
        Err(found) => found.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("; "),
    }
}

fn configs(configs: &[&str]) -> Args {
    Args { configs: configs.iter().map(|config| (*config).to_owned()).collect(), ..Args::default() }
}

#[test]
fn later_sources_merge_maps_and_replace_everything_else() {
    let cases: [(&[&str], &str); 7] = [
        (&["yaml:a: {b: 1, c: 2}", "yaml:a: {c: 3, d: 4}"], "{a: {b: 1~1, c: 3~3, d: 4~4}}"),
        (&["yaml:a: [1, 2]", "yaml:a: [3]"], "{a: [3~3]}"),
        (&["yaml:a: {b: 1}", "yaml:a: x"], "{a: \"x\"}"),
        (&["yaml:a: {b: 1}", "yaml:a:"], "{a: null}"),
        (&["yaml:a: {b: 1}", "yaml:a: {}"], "{a: {b: 1~1}}"),
        (&["yaml:a::b: 1", "yaml:a::c::d: [x]"], "{a: {b: 1~1, c: {d: [\"x\"]}}}"),
        (&["yaml:a: {'::1': x, 'b::c': y}"], "{a: {::1: \"x\", b: {c: \"y\"}}}"),
    ];
    for (sources, expected) in cases {
        assert_eq!(resolved(&configs(sources), &FixedSources::default()), expected, "{sources:?}");
    }
}

#[test]
fn set_comes_after_all_files() {
    let args = Args {
        configs: vec!["yaml:exporters: {debug: {verbosity: basic}}".into()],
        sets: vec!["exporters.debug.verbosity=detailed".into(), "a.b=[1, x]".into()],
        append_lists: false,
    };
    let expected = "{exporters: {debug: {verbosity: \"detailed\"}}, a: {b: [1~1, \"x\"]}}";
    assert_eq!(resolved(&args, &FixedSources::default()), expected);
    let args = Args { sets: vec!["foo".into()], ..configs(&["yaml:a: b"]) };
    assert_eq!(resolved(&args, &FixedSources::default()), "missing equal sign");
}

#[test]
fn the_append_gate_joins_component_lists_without_repeating_one() {
    let base = "yaml:{service: {extensions: [a], pipelines: {traces: {receivers: [x], processors: [p]}}}}";
    let more = "yaml:{service: {extensions: [b, a], pipelines: {traces: {receivers: [y], processors: [q]}}}}";
    let args = Args { append_lists: true, ..configs(&[base, more]) };
    let expected = "{service: {extensions: [\"a\", \"b\"], pipelines: {traces: {receivers: [\"x\", \"y\"], processors: [\"q\"]}}}}";
    assert_eq!(resolved(&args, &FixedSources::default()), expected);
}

#[test]
fn sources_that_cannot_be_used_are_all_reported() {
    let cases = [
        ("xyz:foo", "unsupported scheme on URI \"xyz:foo\""),
        ("https://x/y", "unsupported scheme on URI \"https://x/y\""),
        ("none.yaml", "unable to read the file file:none.yaml: open none.yaml: no such file or directory"),
        ("yaml:abc", "retrieved value (type=string) cannot be used as a Conf"),
        ("yaml:[a]", "retrieved value (type=[]interface {}) cannot be used as a Conf"),
        ("env:a.b", "environment variable \"a.b\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"),
        ("env:UNSET", "{}"),
    ];
    for (argument, expected) in cases {
        assert_eq!(resolved(&configs(&[argument]), &FixedSources::default()), expected, "{argument}");
    }
    assert_eq!(resolved(&Args::default(), &FixedSources::default()), "at least one config flag must be provided");
    let both = resolve(&configs(&["a.yaml", "b.yaml"]), &FixedSources::default()).unwrap_err();
    assert_eq!(both.len(), 2);
}

#[test]
fn a_value_keeps_its_place_through_merge_and_expansion() {
    let sources =
        sources().file("a.yaml", "x:\n  y: ${env:OCT}\n  z: ${file:part.yaml}\n").file("b.yaml", "x: {w: 1}\n");
    let document = resolve(&configs(&["a.yaml", "b.yaml"]), &sources).unwrap();
    let x = document.root.get("x").unwrap();
    let y = &x.get("y").unwrap().origin;
    assert_eq!((y.to_string().as_str(), y.via.as_ref().unwrap().reference.as_str()), ("a.yaml:2:6", "${env:OCT}"));
    assert_eq!(x.get("w").unwrap().origin.to_string(), "b.yaml:1:8");
    assert_eq!(x.get("z").unwrap().get("list").unwrap().origin.to_string(), "part.yaml:2:7");
    assert_eq!(x.get("z").unwrap().get("inner").unwrap().origin.to_string(), "part.yaml:1:8");
}

#[test]
fn unset_empty_and_hidden_references_are_warned_of_once() {
    let sources = sources().file("a.yaml", "a: ${env:UNSET}\nb: x${env:EMPTY}\nc: $${A} ${OCT}\nd: {e: 1}\n");
    let document = resolve(&configs(&["a.yaml", "yaml:d:"]), &sources).unwrap();
    let text: Vec<String> = document.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "a.yaml:1:4: Configuration references unset environment variable: UNSET [W0401]",
            "a.yaml:2:4: Configuration references empty environment variable: EMPTY [N0603]",
            "a.yaml:3:4: c: a reference after an escaped one is not expanded (as upstream) [W0405]",
            "<yaml #1>:1:1: d: the null map here erases what an earlier source configured [W0515]",
        ]
    );
}

#[test]
fn a_value_from_a_variable_is_never_printed() {
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only its errors matter")]
    struct Config {
        size: u64,
        wait: crate::GoDuration,
        flag: bool,
    }
    let sources = FixedSources::default()
        .var("PW", "hunter2: [")
        .file("a.yaml", "size: ${env:PW}\nwait: x${env:PW}\nflag: ${PW}\n");
    let document = resolve(&configs(&["a.yaml"]), &sources).unwrap();
    let found = crate::decode::<Config>(&document.root).unwrap_err();
    let text = render::human(&found, Style { all: true, color: false });
    assert_eq!(found.len(), 3, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("the value comes from ${env:PW}"), "{text}");
    assert!(text.contains("assuming string type since contents are not valid YAML"), "{text}");
}

#[test]
fn repeating_a_big_text_is_bounded() {
    let big = "x".repeat(1 << 20);
    let list = |count| format!("k: [{}]\n", vec!["'${file:big}'"; count].join(", "));
    let run = |count| {
        let sources = FixedSources::default().file("big", &big).file("a.yaml", &list(count));
        resolve(&configs(&["a.yaml"]), &sources).map(|_| ()).map_err(|found| found[0].code)
    };
    assert_eq!(run(10), Ok(()));
    assert_eq!(run(100), Err("E0403"));
    let aliases = format!("a: &a {big}\nb: [{}]\n", vec!["*a"; 100].join(", "));
    assert_eq!(yaml::parse(aliases.as_bytes()).unwrap_err().code, "E0005");
}

#[test]
fn a_key_of_very_many_parts_does_not_nest_without_bound() {
    let key = vec!["a"; 100_000].join("::");
    let sources = FixedSources::default().file("a.yaml", &format!("? {key}\n: b\nc::d: {{e::f: g}}\n"));
    let root = resolve(&configs(&["a.yaml"]), &sources).unwrap().root;
    assert!(root.size().depth <= yaml::MAX_DEPTH);
    assert!(root.get("c").unwrap().get("d").unwrap().get("e").unwrap().get("f").is_some());
}
