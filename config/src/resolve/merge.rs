//! Left-to-right merge of sources (collector-compat §1.3): maps deeply, everything else is replaced.

use crate::diagnostic::Diagnostic;
use crate::tree::{Entry, Map, Node, Value};
use crate::yaml::MAX_DEPTH;

/// Merges `later` over `base`. A null that erases a map is reported (W0515).
pub(crate) fn merge(base: &mut Node, later: Node, path: &str, append: bool, warnings: &mut Vec<Diagnostic>) {
    match (&mut base.value, later.value) {
        (Value::Map(base), Value::Map(later)) => {
            for (key, entry) in later {
                let path = if path.is_empty() { key.clone() } else { format!("{path}::{key}") };
                match base.get_mut(&key) {
                    Some(existing) => merge_entry(existing, entry, &path, append, warnings),
                    None => {
                        base.insert(key, entry);
                    }
                }
            }
        }
        (Value::Seq(base), Value::Seq(later)) if append && appends(path) => {
            for item in later {
                if !base.iter().any(|known| same_text(known, &item)) {
                    base.push(item);
                }
            }
        }
        (_, value) => *base = Node { value, ..later },
    }
}

fn merge_entry(existing: &mut Entry, later: Entry, path: &str, append: bool, warnings: &mut Vec<Diagnostic>) {
    let erases = later.value.is_null() && existing.value.as_map().is_some_and(|map| !map.is_empty());
    if erases {
        warnings.push(
            Diagnostic::new("W0515", format!("{path}: the null map here erases what an earlier source configured"))
                .at(&later.key)
                .also(&existing.key, "erased")
                .help("write `{}` to add nothing, or remove the key"),
        );
    }
    let collections = matches!(
        (&existing.value.value, &later.value.value),
        (Value::Map(_), Value::Map(_)) | (Value::Seq(_), Value::Seq(_))
    );
    if !collections || existing.value.as_map().is_some_and(Map::is_empty) {
        existing.key = later.key;
    }
    merge(&mut existing.value, later.value, path, append, warnings);
}

/// Lists that `confmap.enableMergeAppendOption` appends to.
fn appends(path: &str) -> bool {
    path == "service::extensions"
        || (path.starts_with("service::") && (path.ends_with("::receivers") || path.ends_with("::exporters")))
}

fn same_text(a: &Node, b: &Node) -> bool {
    a.text().is_some() && a.text() == b.text()
}

/// Splits keys such as `exporters::debug::verbosity` into nested maps, as upstream does with every source. Keys with
/// an empty part (`::1`) or too many parts are left alone, and so is everything inside lists.
pub(crate) fn unflatten(node: &mut Node) {
    unflatten_at(node, 0);
}

fn unflatten_at(node: &mut Node, depth: usize) {
    let origin = node.origin.clone();
    let Value::Map(map) = &mut node.value else { return };
    let flat = |key: &str| {
        let parts = key.split("::").take(MAX_DEPTH).count();
        parts > 1 && depth + parts < MAX_DEPTH && key.split("::").all(|part| !part.trim().is_empty())
    };
    if map.keys().any(|key| flat(key)) {
        let mut nested = Node::new(Value::Map(Map::new()), origin);
        for (key, entry) in std::mem::take(map) {
            let parts: Vec<&str> = if flat(&key) { key.split("::").collect() } else { vec![&key] };
            let place = entry.key.clone();
            let mut branch = entry.value;
            for part in parts.iter().skip(1).rev() {
                let entry = Entry { key: place.clone(), value: branch };
                branch = Node::new(Value::Map(Map::from_iter([((*part).to_owned(), entry)])), place.clone());
            }
            let root = parts.first().map_or(String::new(), |part| (*part).to_owned());
            let entry = Entry { key: place.clone(), value: branch };
            let addition = Node::new(Value::Map(Map::from_iter([(root, entry)])), place);
            merge(&mut nested, addition, "", false, &mut Vec::new());
        }
        node.value = nested.value;
    }
    if let Value::Map(map) = &mut node.value {
        for entry in map.values_mut() {
            unflatten_at(&mut entry.value, depth + 1);
        }
    }
}
