//! What config structs get, and what is said when they do not.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::yaml::parse;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Client {
    endpoint: String,
    compression: Compression,
    headers: Headers,
    tls: Toggle<Tls>,
}

impl Default for Client {
    fn default() -> Self {
        let headers = Headers::default();
        Self { endpoint: "localhost:4317".into(), compression: Compression::Gzip, headers, tls: Toggle::Off }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    Gzip,
    Zstd,
    None,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tls {
    ca_file: String,
    insecure: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    queue_size: u64,
    flush: GoDuration,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    #[serde(rename = "..client")]
    client: Client,
    #[serde(rename = "..queue")]
    queue: Queue,
    timeout: GoDuration,
    max: ByteSize,
    sending_queue: Toggle<Queue>,
    names: Vec<String>,
    labels: BTreeMap<String, String>,
    actions: Vec<Action>,
    ratio: f64,
    small: u8,
    flag: bool,
    token: Secret,
    maybe: Option<i32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: Client::default(),
            queue: Queue::default(),
            timeout: GoDuration::from_secs(5),
            max: ByteSize(1),
            sending_queue: Toggle::on(),
            names: vec!["default".into()],
            labels: BTreeMap::new(),
            actions: Vec::new(),
            ratio: 0.5,
            small: 7,
            flag: true,
            token: Secret::default(),
            maybe: None,
        }
    }
}

fn config(yaml: &str) -> Config {
    let node = parse(yaml.as_bytes()).unwrap();
    decode(&node).unwrap_or_else(|found| panic!("{yaml}: {found:?}"))
}

fn errors(yaml: &str) -> Vec<String> {
    let node = parse(yaml.as_bytes()).unwrap().with_label("exporters::x");
    let found = decode::<Config>(&node).expect_err(yaml);
    found.iter().map(|it| it.to_string().replace("<input>:", "").replace("exporters::x: ", "")).collect()
}

#[test]
fn nothing_written_means_defaults() {
    assert_eq!(config(""), Config::default());
    assert_eq!(config("{}"), Config::default());
}

/// Checked against the Go Collector 0.159 (`print-config`).
#[test]
fn null_is_zero_for_scalars_and_the_default_for_everything_else() {
    assert_eq!(config("{names: , maybe: , labels: , headers: , actions: , compression: }"), Config::default());
    let zero = config("{timeout: , max: , ratio: , small: , flag: , endpoint: , token: }");
    let expected = Config {
        client: Client { endpoint: String::new(), ..Client::default() },
        timeout: GoDuration::default(),
        max: ByteSize(0),
        ratio: 0.0,
        small: 0,
        flag: false,
        ..Config::default()
    };
    assert_eq!(zero, expected);
    assert_eq!(config("{labels: {a: }}").labels, BTreeMap::from([("a".into(), String::new())]));
}

#[test]
fn nulls_in_a_long_list_do_not_use_up_the_rounds() {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Item {
        tags: Vec<String>,
        by_name: BTreeMap<String, Queue>,
    }
    #[derive(Deserialize)]
    struct List {
        items: Vec<Item>,
    }
    let item = "{tags: , by_name: {a: , b: {flush: }}}";
    let node = parse(format!("items: [{}]", vec![item; 3_000].join(", ")).as_bytes()).unwrap();
    let list: List = decode(&node).unwrap();
    assert_eq!((list.items.len(), list.items[2_999].by_name.len()), (3_000, 2));
    assert!(list.items[0].tags.is_empty());
}

#[test]
fn squashed_fields_take_their_keys_from_the_enclosing_map() {
    let read = config("{endpoint: h:1, compression: zstd, queue_size: 3, flush: 1m30s, timeout: 300ms}");
    assert_eq!(read.client.endpoint, "h:1");
    assert_eq!(read.client.compression, Compression::Zstd);
    assert_eq!((read.queue.queue_size, read.queue.flush), (3, GoDuration::from_secs(90)));
    assert_eq!(read.timeout, GoDuration::from_millis(300));
}

#[test]
fn string_fields_take_the_text_and_lists_split_strings() {
    let read = config("{endpoint: 0123, names: 'a,b', labels: {x: true, y: 1.50}, max: 64MiB, small: 1e2, ratio: 1}");
    assert_eq!(read.client.endpoint, "0123");
    assert_eq!(read.names, ["a", "b"]);
    assert_eq!(read.labels, BTreeMap::from([("x".into(), "true".into()), ("y".into(), "1.50".into())]));
    assert_eq!((read.max.0, read.small, read.ratio), (64 << 20, 100, 1.0));
    assert_eq!(config("{names: ''}").names, Vec::<String>::new());
    assert_eq!(config("{names: []}").names, Vec::<String>::new());
}

#[test]
fn optional_blocks_are_switched_by_presence_and_enabled() {
    let cases = [
        ("{}", Toggle::Off),
        ("{tls: }", Toggle::On(Tls::default())),
        ("{tls: {}}", Toggle::On(Tls::default())),
        ("{tls: {insecure: true}}", Toggle::On(Tls { insecure: true, ..Tls::default() })),
        ("{tls: {enabled: true, insecure: true}}", Toggle::On(Tls { insecure: true, ..Tls::default() })),
        ("{tls: {enabled: false, insecure: true}}", Toggle::Off),
    ];
    for (yaml, expected) in cases {
        assert_eq!(config(yaml).client.tls, expected, "{yaml}");
    }
    assert_eq!(config("{sending_queue: {enabled: false}}").sending_queue, Toggle::Off);
    assert_eq!(config("").sending_queue, Toggle::On(Queue::default()));
}

#[test]
fn headers_are_a_map_or_a_list_and_print_no_value() {
    for yaml in ["{headers: {a: x, b: 1}}", "{headers: [{name: a, value: x}, {name: b, value: 1}]}"] {
        let headers = config(yaml).client.headers;
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(pairs, [("a", "x"), ("b", "1")]);
        assert_eq!(format!("{headers:?}"), "Headers([(\"a\", [REDACTED]), (\"b\", [REDACTED])])");
    }
    assert_eq!(
        errors("{headers: [{name: a}, {name: b}, {name: a}]}"),
        ["1:11: 'headers' duplicate keys in map-style list: [a] [E0105]"]
    );
}

#[test]
fn secrets_never_print() {
    let read = config("{token: hunter2}");
    assert_eq!(read.token.expose(), "hunter2");
    assert_eq!(format!("{} {:?}", read.token, read.token), "[REDACTED] [REDACTED]");
}

#[test]
fn every_error_of_a_component_is_reported_at_its_place() {
    let yaml = "\
flag: yes
timeout: 5
endpiont: h:1
sending_queue:
  flush: 5x
  queue_sizes: 1
names: 5
labels: [a]
small: 256
actions:
  - {key: a}
  - {value: b}
  - {key: [], vaule: c}
compression: gzp
max: 5QB
tls: 1
ratio: {}
maybe: 1.5e400
";
    assert_eq!(
        errors(yaml),
        [
            "1:7: 'flag' expected type 'bool', got unconvertible type 'string' [E0101]",
            "2:10: 'timeout' expected type 'time.Duration', got unconvertible type 'int' [E0101]",
            "3:1: '' has invalid keys: endpiont [E0102]",
            "5:10: 'sending_queue.flush' time: unknown unit in duration [E0107]",
            "6:3: 'sending_queue' has invalid keys: queue_sizes [E0102]",
            "7:8: 'names' source data must be an array or slice, got int [E0101]",
            "8:9: 'labels' expected a map or struct, got \"[]interface {}\" [E0101]",
            "9:8: 'small' cannot parse, 256 overflows uint8 [E0105]",
            "12:5: 'actions[1].key' is required [E0104]",
            "13:11: 'actions[2].key' expected type 'string', got unconvertible type '[]interface {}' [E0101]",
            "13:15: 'actions[2]' has invalid keys: vaule [E0102]",
            "14:14: 'compression' unknown value \"gzp\"; must be one of gzip, zstd, none [E0106]",
            "15:6: 'max' invalid size \"5QB\" [E0107]",
            "16:6: 'tls' expected a map or struct, got \"int\" [E0101]",
            "17:8: 'ratio' expected type 'float64', got unconvertible type 'map[string]interface {}' [E0101]",
            "18:8: 'maybe' expected type 'int32', got unconvertible type 'string' [E0101]",
        ]
    );
}

#[test]
fn at_most_a_hundred_errors_are_collected() {
    let yaml: String = (0..500).map(|index| format!("unknown_{index}: 1\n")).collect();
    assert_eq!(errors(&yaml).len(), MAX_ERRORS);
    let items: Vec<&str> = (0..500).map(|_| "{key: []}").collect();
    assert_eq!(errors(&format!("actions: [{}]", items.join(", "))).len(), MAX_ERRORS);
}

#[test]
fn a_scalar_component_is_an_error_and_not_a_panic() {
    assert_eq!(errors("5"), ["1:1: '' expected a map or struct, got \"int\" [E0101]"]);
    assert_eq!(errors("{enabled: true}"), ["1:2: '' has invalid keys: enabled [E0102]"]);
    assert_eq!(
        errors("{tls: {enabled: 5}}"),
        ["1:17: 'tls' unexpected type int for 'enabled': expected 'true' or 'false' [E0101]"]
    );
}

#[test]
fn a_field_of_type_node_gets_the_subtree() {
    #[derive(Deserialize)]
    struct Raw {
        config: Node,
        list: Vec<Node>,
    }
    let node = parse(b"config: {a: [1, 2]}\nlist: [x, {y: z}]\n").unwrap();
    let raw: Raw = decode(&node).unwrap();
    assert_eq!(raw.config.get("a").unwrap().as_seq().unwrap().len(), 2);
    assert_eq!(raw.list[1].get("y").unwrap().origin.to_string(), "<input>:2:15");
}

#[test]
fn problems_point_at_the_field_and_name_the_block() {
    let yaml = "sending_queue:\n  queue_size: -1\nactions:\n  - key: a\n";
    let node = parse(yaml.as_bytes()).unwrap().with_label("exporters::otlp_grpc/2");
    let mut problems = Problems::new(&node);
    problems.error("sending_queue::queue_size", "`queue_size` must be positive");
    problems.error("actions::0::key", "bad key");
    problems.error("endpoint", "requires a non-empty \"endpoint\"");
    problems.add("W0516", "sending_queue::nothing", "a warning");
    problems.error_within("E0301", "actions::0::key", 0, 1, "unexpected token");
    assert!(problems.has_errors());
    let found: Vec<String> = problems.finish().unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "<input>:1:1: exporters::otlp_grpc/2: requires a non-empty \"endpoint\" [E0105]",
            "<input>:1:1: exporters::otlp_grpc/2::sending_queue: a warning [W0516]",
            "<input>:2:15: exporters::otlp_grpc/2::sending_queue: `queue_size` must be positive [E0105]",
            "<input>:4:10: exporters::otlp_grpc/2::actions::0: bad key [E0105]",
            "<input>:4:10: exporters::otlp_grpc/2::actions::0: unexpected token [E0301]",
        ]
    );
}
