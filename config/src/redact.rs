//! Configuration without its secrets, for printing (security §7): fields that are secrets by their type, header values,
//! what a key names a secret where no type is known, and the credentials of URLs.

use crate::shape::{Kind, Shape};
use crate::tree::{Map, Node, Value};

/// What stands for a secret.
pub const REDACTED: &str = "[REDACTED]";

/// Parts of key names whose values are secrets.
const SECRET_WORDS: [&str; 14] = [
    "hmac_key",
    "private_key",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "authorization",
    "key_pem",
    "credential",
];

/// Whether a key (in lower case) says that its value is a secret.
pub(crate) fn names_secret(key: &str) -> bool {
    SECRET_WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_file")
}

/// Whether a key holds header-like pairs.
pub(crate) fn names_headers(key: &str) -> bool {
    key.ends_with("headers") && !matches!(key, "allowed_headers" | "exposed_headers")
}

/// Replaces the secrets of `node` by [`REDACTED`]. `shape` is its type, if known; below what has none, names decide.
pub fn redact(node: &mut Node, shape: Option<&Shape>) {
    let shape = shape.filter(|shape| shape.kind != Kind::Any);
    match shape.map(|shape| &shape.kind) {
        Some(Kind::Secret) => return hide(node),
        Some(Kind::Headers) => return hide_pairs(node),
        Some(kind) if is_misplaced_secret(kind, &node.value) => return hide(node),
        _ => {}
    }
    match &mut node.value {
        Value::Map(map) => {
            let of_secret = pair_of_secret(map);
            for (key, entry) in map.iter_mut() {
                let lower = key.to_ascii_lowercase();
                let inner = shape.and_then(|shape| shape.get(key));
                let untyped = inner.is_none_or(|inner| inner.kind == Kind::Any);
                match () {
                    () if of_secret && matches!(lower.as_str(), "value" | "default_value") => hide(&mut entry.value),
                    () if untyped && names_headers(&lower) => hide_pairs(&mut entry.value),
                    () if untyped && names_secret(&lower) => hide(&mut entry.value),
                    () => redact(&mut entry.value, inner),
                }
            }
        }
        Value::Seq(items) => {
            let inner = match shape.map(|shape| &shape.kind) {
                Some(Kind::List(item)) => Some(&**item),
                _ => None,
            };
            items.iter_mut().for_each(|item| redact(item, inner));
        }
        Value::String(text) => {
            let masked = without_credentials(text);
            if masked != *text {
                node.text = None;
                node.value = Value::String(masked);
            }
        }
        _ => {}
    }
}

/// Keeps the secrets of `node`, by its type, out of the excerpts of diagnostics. References are no secrets.
pub fn hide_from_excerpts(node: &Node, shape: &Shape) {
    match (&shape.kind, &node.value) {
        (Kind::Secret, _) => hide_text(node),
        (kind, value) if is_misplaced_secret(kind, value) => hide_text(node),
        (Kind::Headers, Value::Map(map)) => map.values().for_each(|entry| hide_text(&entry.value)),
        (Kind::Headers, Value::Seq(items)) => items.iter().filter_map(|item| item.get("value")).for_each(hide_text),
        (Kind::List(item), Value::Seq(items)) => items.iter().for_each(|node| hide_from_excerpts(node, item)),
        (_, Value::Map(map)) => {
            for (key, entry) in map {
                if let Some(inner) = shape.get(key) {
                    hide_from_excerpts(&entry.value, inner);
                }
            }
        }
        _ => {}
    }
}

/// Whether something else stands where secrets belong: a map instead of a list of them, or text instead of the block that has
/// them. It is wrong, and a secret all the same.
fn is_misplaced_secret(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::List(item), Value::Map(_) | Value::String(_)) => item.kind == Kind::Secret,
        (Kind::Block(fields), Value::String(_)) => fields.iter().any(|(_, field)| field.kind == Kind::Secret),
        _ => false,
    }
}

fn hide_text(node: &Node) {
    if node.origin.via.is_none() && !node.is_null() {
        node.origin.source.hide(node.origin.span);
    }
}

/// `{key: api_key, value: …}`.
fn pair_of_secret(map: &Map) -> bool {
    let named = |key: &str| map.get(key).and_then(|entry| entry.value.text()).is_some_and(is_secret_name);
    named("key") || named("name")
}

fn is_secret_name(name: &str) -> bool {
    names_secret(&name.to_ascii_lowercase())
}

/// All scalars of a subtree.
fn hide(node: &mut Node) {
    match &mut node.value {
        Value::Null => {}
        Value::Map(map) => map.values_mut().for_each(|entry| hide(&mut entry.value)),
        Value::Seq(items) => items.iter_mut().for_each(hide),
        _ => {
            node.text = None;
            node.value = Value::String(REDACTED.to_owned());
        }
    }
}

/// The values of a map, or of a list of `{name, value}`.
fn hide_pairs(node: &mut Node) {
    match &mut node.value {
        Value::Seq(items) => {
            for item in items {
                match &mut item.value {
                    Value::Map(pair) => {
                        pair.iter_mut().filter(|(key, _)| *key != "name").for_each(|(_, entry)| hide(&mut entry.value));
                    }
                    _ => hide(item),
                }
            }
        }
        _ => hide(node),
    }
}

/// `http://user:password@host` as `http://[REDACTED]@host`.
fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(after.len());
        rest = after;
        if let Some(userinfo) = after[..authority].rfind('@').filter(|len| *len > 0) {
            out.push_str(REDACTED);
            rest = &after[userinfo..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print;

    fn shown(yaml: &str, shape: Option<&Shape>) -> String {
        let mut node = crate::parse(yaml.as_bytes()).unwrap();
        redact(&mut node, shape);
        print::yaml(&node, false)
    }

    #[test]
    fn what_a_type_or_a_name_calls_a_secret_is_not_shown() {
        #[derive(serde::Deserialize)]
        struct Client {
            #[serde(rename = "key")]
            _key: crate::Secret,
            #[serde(rename = "pairs")]
            _pairs: crate::Headers,
            #[serde(rename = "token_count")]
            _token_count: u32,
        }
        let shape = Shape::of::<Client>();
        let yaml = "key: canary\npairs: {a: canary}\ntoken_count: 7\n";
        assert_eq!(shown(yaml, Some(&shape)), "key: \"[REDACTED]\"\npairs:\n  a: \"[REDACTED]\"\ntoken_count: 7\n");
        let cases = [
            ("password: canary", "password: \"[REDACTED]\"\n"),
            ("token_file: /a", "token_file: /a\n"),
            ("headers: [{name: a, value: canary}]", "headers:\n  - name: a\n    value: \"[REDACTED]\"\n"),
            ("a: {Api_Key: {x: canary}}", "a:\n  Api_Key:\n    x: \"[REDACTED]\"\n"),
            ("- {key: db.password, value: canary}", "- key: db.password\n  value: \"[REDACTED]\"\n"),
            ("url: http://me:canary@host/x", "url: \"http://[REDACTED]@host/x\"\n"),
        ];
        for (yaml, expected) in cases {
            assert_eq!(shown(yaml, None), expected);
        }
    }
}
