//! What the fields of configuration mean: the docstrings of the config types, which `build.rs` reads from their sources.

use std::collections::HashMap;
use std::sync::LazyLock;

use sluice_config::shape::TypeName;

/// A line for each type: name, members, text; then one for each member that has a text. Separated by tabs.
const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/descriptions.txt"));

type Key = (&'static str, String);

static TYPES: LazyLock<HashMap<Key, HashMap<&'static str, &'static str>>> = LazyLock::new(|| {
    let mut types: HashMap<Key, HashMap<_, _>> = HashMap::new();
    let mut current = None;
    for line in TEXT.lines() {
        let mut columns = line.split('\t');
        let (Some(first), Some(second), Some(text)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        let member = if first.is_empty() {
            second
        } else {
            current = Some((first, second.to_owned()));
            ""
        };
        if let Some(key) = current.clone().filter(|_| !text.is_empty()) {
            types.entry(key).or_default().insert(member, text);
        }
    }
    types
});

/// What is said of a type, or of one of its fields or variants.
pub fn of(name: TypeName, member: Option<&str>) -> Option<String> {
    let texts = TYPES.get(&(name.name, name.members.join(",")))?;
    texts.get(member.unwrap_or_default()).map(|text| text.replace("\\n", "\n"))
}
