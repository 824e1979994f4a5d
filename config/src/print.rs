//! A tree as YAML or JSON text. What is printed as YAML loads again as the same tree: a `$` is doubled.

use std::fmt::Write as _;

use serde_json::{Map as JsonMap, Value as Json};

use crate::source::Origin;
use crate::tree::{Node, Value};

/// Block YAML, keys in the order of the source; with a comment of where each value was written if `origins`.
pub fn yaml(node: &Node, origins: bool) -> String {
    let mut printer = Printer { out: String::new(), origins };
    match &node.value {
        Value::Map(map) if !map.is_empty() => printer.map(node, 0),
        Value::Seq(items) if !items.is_empty() => printer.list(node, 0),
        _ => {
            printer.out.push_str(&scalar(node));
            printer.end_line(&node.origin);
        }
    }
    printer.out
}

/// The same as JSON.
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => Json::String(value.to_string()),
        },
        Value::Float(value) => serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::String(text) => Json::String(text.clone()),
        Value::Seq(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(key, entry)| (key.clone(), json(&entry.value))).collect::<JsonMap<_, _>>())
        }
    }
}

/// Where each value was written, by its `::` path.
pub fn origins(node: &Node) -> Json {
    let mut found = JsonMap::new();
    collect(node, "", &mut found);
    Json::Object(found)
}

fn collect(node: &Node, path: &str, found: &mut JsonMap<String, Json>) {
    let inside = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") };
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            map.iter().for_each(|(key, entry)| collect(&entry.value, &inside(key), found));
        }
        Value::Seq(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, item)| collect(item, &inside(&at.to_string()), found));
        }
        _ => {
            found.insert(path.to_owned(), place(&node.origin).into());
        }
    }
}

/// `agent.yaml:12:5`, or `default`; with the reference that supplied the value.
fn place(origin: &Origin) -> String {
    if origin.file() == crate::encode::DEFAULT {
        return crate::encode::DEFAULT.to_owned();
    }
    let reference = origin.via.as_ref().map_or(String::new(), |via| format!(" {}", via.reference));
    format!("{origin}{reference}").replace(['\n', '\r'], " ")
}

struct Printer {
    out: String,
    origins: bool,
}

impl Printer {
    fn end_line(&mut self, origin: &Origin) {
        if self.origins {
            let _ = write!(self.out, "  # {}", crate::render::escape(&place(origin)));
        }
        self.out.push('\n');
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n("  ", depth));
    }

    fn map(&mut self, node: &Node, depth: usize) {
        for (at, (key, entry)) in node.as_map().into_iter().flatten().enumerate() {
            // The first key of a map in a list stands behind its dash.
            if at > 0 || !self.out.ends_with("- ") {
                self.indent(depth);
            }
            self.out.push_str(&text(key, false));
            self.out.push(':');
            self.value(&entry.value, depth, &entry.key);
        }
    }

    fn list(&mut self, node: &Node, depth: usize) {
        for item in node.as_seq().unwrap_or_default() {
            self.indent(depth);
            self.out.push('-');
            match &item.value {
                Value::Map(map) if !map.is_empty() => {
                    self.out.push(' ');
                    self.map(item, depth + 1);
                }
                _ => self.value(item, depth, &item.origin),
            }
        }
    }

    /// What follows `key:` or `-`.
    fn value(&mut self, node: &Node, depth: usize, key: &Origin) {
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                self.end_line(key);
                self.map(node, depth + 1);
            }
            Value::Seq(items) if !items.is_empty() => {
                self.end_line(key);
                self.list(node, depth + 1);
            }
            _ => {
                let text = scalar(node);
                if !text.is_empty() {
                    self.out.push(' ');
                    self.out.push_str(&text);
                }
                self.end_line(&node.origin);
            }
        }
    }
}

fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        // As written: a text field takes `0123` as it is.
        Value::Int(value) => node.text().map_or_else(|| value.to_string(), str::to_owned),
        Value::Float(value) => node.text().map_or_else(|| float(*value), str::to_owned),
        Value::String(value) => text(value, true),
        Value::Seq(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

fn float(value: f64) -> String {
    match value {
        value if value.is_nan() => ".nan".to_owned(),
        value if value.is_infinite() => if value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        value if value.fract() == 0.0 => format!("{value:.1}"),
        value => value.to_string(),
    }
}

/// A text, quoted where it would be read as something else. References are expanded in values only.
fn text(value: &str, escape: bool) -> String {
    let value = if escape { value.replace('$', "$$") } else { value.to_owned() };
    let first = value.chars().next();
    let plain = first.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_'))
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.:@+*$()=%".contains(c))
        && !is_word(&value)
        && reads_as_text(&value);
    if plain { value } else { Json::String(value).to_string() }
}

/// Whether the parser takes the bare word for text.
fn reads_as_text(value: &str) -> bool {
    let read = crate::parse(value.as_bytes());
    read.is_ok_and(|node| matches!(&node.value, Value::String(text) if text == value))
}

/// What YAML, of any version, takes for something other than text.
fn is_word(value: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Args, FixedSources, resolve};

    fn load(yaml: &str) -> Node {
        let sources = FixedSources::default().file("a.yaml", yaml).var("NUMBER", "0123");
        resolve(&Args { configs: vec!["a.yaml".into()], ..Args::default() }, &sources).unwrap().root
    }

    #[test]
    fn what_is_printed_loads_again_as_the_same() {
        let cases = [
            "a: {b: [1, 2, {c: d, e: [f]}], g: {}, h: [], i: , j: ~}",
            "a: ['true', \"1\", 'x: y', '# z', ' ', '', \"l1\\nl2\", '- x', '*a', '&b', '${x}', '$1', '日本']",
            "a: [1.5, .inf, -3, 0x10, 0123, 1e3, true, 65_536]",
            "'x y': 1\n\"q:\": 2\n'true': 3\n",
            "a: ${env:NUMBER}\nb: x-${env:NUMBER}\nc: $${env:NUMBER}\nd: cost $$5",
            "a: 'http://x:1/[y]'\nb: '[x]'\nc: 'a]'\nd: \"\\x1b\"",
            "a: [[1, 2], [], [{x: 1}]]",
        ];
        for source in cases {
            let source = source.replace("'${x}'", "'$${x}'");
            let tree = load(&source);
            let printed = yaml(&tree, false);
            assert_eq!(load(&printed), tree, "{source}\n{printed}");
            assert_eq!(load(&yaml(&tree, true)), tree, "with origins: {source}");
        }
    }

    #[test]
    fn origins_name_file_line_column_and_reference() {
        let tree = load("a: {b: x}\nc: ${env:NUMBER}\n");
        assert_eq!(yaml(&tree, true), "a:  # a.yaml:1:1\n  b: x  # a.yaml:1:8\nc: 0123  # a.yaml:2:4 ${env:NUMBER}\n");
        assert_eq!(origins(&tree)["a::b"], "a.yaml:1:8");
    }
}
