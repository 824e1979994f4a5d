//! A config as written, completed by the defaults of what is not written: what `config print --defaults` shows.

use crate::shape::{Kind, Shape};
use crate::source::Origin;
use crate::tree::{Entry, Map, Node, Value};

/// Adds to `written` what it leaves to its defaults. `whole` is the same config, decoded and [encoded](crate::encode).
///
/// What is written stays as it is. Left out is what is nothing unless written: nulls, empty texts, lists and maps. In an item
/// of a list or map, blocks that are not written are not there.
pub fn complete(written: &mut Node, whole: &Node, shape: &Shape) {
    fill(written, whole, shape, false);
}

fn fill(written: &mut Node, whole: &Node, shape: &Shape, in_item: bool) {
    let none = Map::new();
    if written.is_null() && matches!(shape.kind, Kind::Block(_)) {
        let mut filled = Node::new(Value::Map(none), written.origin.clone());
        fill(&mut filled, whole, shape, in_item);
        if filled.as_map().is_some_and(|map| !map.is_empty()) {
            *written = filled;
        }
        return;
    }
    match (&mut written.value, &whole.value, &shape.kind) {
        (Value::Map(written), Value::Map(whole), Kind::Block(_)) => {
            if is_off(whole, shape) {
                return;
            }
            for (name, entry) in whole {
                let Some(field) = shape.get(name) else { continue };
                match written.get_mut(name) {
                    Some(there) => fill(&mut there.value, &entry.value, field, in_item),
                    None => {
                        if let Some(value) = default(&entry.value, field, in_item) {
                            written.insert(name.clone(), Entry { key: value.origin.clone(), value });
                        }
                    }
                }
            }
        }
        (Value::Map(written), Value::Map(whole), Kind::Map(_) | Kind::OneOf(_)) => {
            for (name, entry) in written {
                if let (Some(whole), Some(shape)) = (whole.get(name), shape.get(name)) {
                    fill(&mut entry.value, &whole.value, shape, true);
                }
            }
        }
        (Value::Seq(written), Value::Seq(whole), Kind::List(item)) if written.len() == whole.len() => {
            written.iter_mut().zip(whole).for_each(|(written, whole)| fill(written, whole, item, true));
        }
        _ => {}
    }
}

/// What a field has that is not written; `None` for nothing.
fn default(value: &Node, shape: &Shape, in_item: bool) -> Option<Node> {
    let map = match &value.value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Seq(items) if items.is_empty() => return None,
        Value::Map(map) if map.is_empty() && !shape.switch => return None,
        Value::Map(map) if matches!(shape.kind, Kind::Block(_)) => map,
        _ => return Some(value.clone()),
    };
    if in_item {
        return None;
    }
    if is_off(map, shape) {
        return Some(value.clone());
    }
    let mut kept = Map::new();
    if shape.switch && !map.contains_key("enabled") {
        kept.insert("enabled".to_owned(), entry(Node::new(Value::Bool(true), value.origin.clone())));
    }
    for (name, inner) in map {
        let Some(field) = shape.get(name) else { continue };
        if let Some(inner) = default(&inner.value, field, in_item) {
            kept.insert(name.clone(), entry(inner));
        }
    }
    (!kept.is_empty()).then(|| Node::new(Value::Map(kept), value.origin.clone()))
}

/// Whether a block is switched off: then its fields are not known.
pub(crate) fn is_off(map: &Map, shape: &Shape) -> bool {
    shape.switch && map.len() == 1 && map.get("enabled").is_some_and(|it| it.value.value == Value::Bool(false))
}

fn entry(value: Node) -> Entry {
    let key: Origin = value.origin.clone();
    Entry { key, value }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{ByteSize, GoDuration, Headers, Secret, Toggle, decode, encode::encode, print};

    #[derive(Deserialize, Serialize)]
    #[serde(default)]
    struct Config {
        #[serde(rename = "..client")]
        client: Client,
        queue: Toggle<Queue>,
        tls: Toggle<Queue>,
        word: Word,
        ratio: f32,
        rules: Vec<Rule>,
        named: BTreeMap<String, Rule>,
        node: Option<Node>,
    }

    impl Default for Config {
        fn default() -> Self {
            let (queue, word) = (Toggle::on(), Word::Plain);
            let (client, tls, ratio) = (Client::default(), Toggle::Off, 0.85);
            Self { client, queue, tls, word, ratio, rules: Vec::new(), named: BTreeMap::new(), node: None }
        }
    }

    #[derive(Deserialize, Serialize)]
    #[serde(default)]
    struct Client {
        endpoint: String,
        timeout: GoDuration,
        token: Secret,
        headers: Headers,
        compression: Option<String>,
    }

    impl Default for Client {
        fn default() -> Self {
            let timeout = GoDuration::from_millis(90_500);
            Self {
                endpoint: String::new(),
                timeout,
                token: Secret::default(),
                headers: Headers::default(),
                compression: None,
            }
        }
    }

    #[derive(Clone, Deserialize, Serialize)]
    #[serde(default)]
    struct Queue {
        size: u32,
        bytes: ByteSize,
    }

    impl Default for Queue {
        fn default() -> Self {
            Self { size: 7, bytes: ByteSize(3 << 20) }
        }
    }

    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Plain,
        Held { since: u32 },
    }

    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Rule {
        name: String,
        flag: bool,
        queue: Queue,
    }

    fn shown(yaml: &str) -> String {
        let mut node = crate::parse(yaml.as_bytes()).unwrap();
        let config: Config = decode(&node).unwrap();
        complete(&mut node, &encode(&config).unwrap(), &Shape::of::<Config>());
        print::yaml(&node, false)
    }

    #[test]
    fn defaults_stand_beside_what_is_written() {
        let rest = "tls:\n  enabled: false\nword: plain\nratio: 0.85\n";
        let queue = "queue:\n  enabled: true\n  size: 7\n  bytes: 3MiB\n";
        let cases = [
            ("{}", format!("timeout: 1m30s500ms\n{queue}{rest}")),
            ("{endpoint: 'a:1', timeout: 5s}", format!("endpoint: a:1\ntimeout: 5s\n{queue}{rest}")),
            // As written: a number, the secret's place, an empty block and one that is off.
            (
                "{token: x, queue: {size: 0x10}}",
                format!("token: x\nqueue:\n  size: 0x10\n  bytes: 3MiB\ntimeout: 1m30s500ms\n{rest}"),
            ),
            ("{queue: }", format!("queue:\n  size: 7\n  bytes: 3MiB\ntimeout: 1m30s500ms\n{rest}")),
            (
                "{queue: {enabled: false, size: 3}}",
                format!("queue:\n  enabled: false\n  size: 3\ntimeout: 1m30s500ms\n{rest}"),
            ),
        ];
        for (written, expected) in cases {
            assert_eq!(shown(written), expected, "{written}");
        }
    }

    #[test]
    fn items_get_their_scalars_and_no_blocks() {
        let shown = shown("{rules: [{name: a}, {queue: {size: 1}}], named: {x: }, word: {held: {since: 3}}}");
        let rules =
            "rules:\n  - name: a\n    flag: false\n  - queue:\n      size: 1\n      bytes: 3MiB\n    flag: false\n";
        let rest = "named:\n  x:\n    flag: false\nword:\n  held:\n    since: 3\n";
        assert!(shown.starts_with(&format!("{rules}{rest}")), "{shown}");
    }
}
