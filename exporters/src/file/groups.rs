//! Which resource goes into which file, and why none can leave its directory.

use std::path::{Path, PathBuf};

use sluice_pdata::view::AnyValueView;
use sluice_pdata::wire::{Reader, Value};
use sluice_pdata::{Signal, split, view};

/// Bytes of one name in a path; file systems take 255.
const MAX_NAME: usize = 255;
/// Bytes of what a resource says.
const MAX_SEGMENT: usize = 1024;
/// Resources of a request: `resource_spans`, `resource_metrics`, `resource_logs`.
const RESOURCES: u32 = 1;
/// The `resource` of each.
const RESOURCE: u32 = 1;
/// The attributes of a resource.
const ATTRIBUTES: u32 = 1;

/// The path of each group: what stands before the `*`, and behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    prefix: String,
    suffix: String,
}

impl Pattern {
    /// Reads a path with one `*`.
    pub(super) fn new(path: &str) -> Self {
        let (prefix, suffix) = path.split_once('*').unwrap_or((path, ""));
        Pattern { prefix: prefix.to_owned(), suffix: suffix.to_owned() }
    }

    /// The directory that everything stays in.
    pub(super) fn root(&self) -> PathBuf {
        match self.prefix.rfind('/') {
            Some(0) => PathBuf::from("/"),
            Some(slash) => PathBuf::from(&self.prefix[..slash]),
            None => PathBuf::from("."),
        }
    }

    /// The file of what a resource says: `None` if that cannot be a part of a path. Slashes make directories; `.` and `..` are
    /// resolved as if the directory of the pattern were the root of all, so that nothing leads out of it.
    pub(super) fn file(&self, segment: &str) -> Option<PathBuf> {
        if segment.len() > MAX_SEGMENT || segment.chars().any(char::is_control) {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        for name in segment.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    names.pop();
                }
                name => names.push(name),
            }
        }
        let clean = names.join("/");
        // What stands around may still make a name of dots or one that is too long: `*` in `/data/.*` with the segment `.x`.
        let name_start = self.prefix.rfind('/').map_or(0, |slash| slash + 1);
        let tail = format!("{}{clean}{}", &self.prefix[name_start..], self.suffix);
        let fits = |name: &str| name.len() <= MAX_NAME && !matches!(name, "" | "." | "..");
        tail.split('/').all(fits).then(|| Path::new(&self.prefix[..name_start]).join(&tail))
    }
}

/// Resources of a request that go to the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// `None` for what says nothing.
    pub(super) segment: Option<String>,
    /// A request of its own.
    pub(super) request: Vec<u8>,
    pub(super) items: usize,
}

/// Deals a request out by what its resources say, in the order of their first. Bytes are copied as they are.
pub(super) fn deal(signal: Signal, request: &[u8], attribute: &str) -> Result<Vec<Group>, sluice_pdata::Error> {
    let mut groups: Vec<Group> = Vec::new();
    let mut reader = Reader::new(request);
    while let Some(field) = reader.field()? {
        let (RESOURCES, Value::Len(of_resource)) = (field.number, field.value) else { continue };
        let segment = segment(of_resource, attribute)?;
        let bytes = &request[field.start..field.end];
        match groups.iter_mut().find(|group| group.segment == segment) {
            Some(group) => group.request.extend_from_slice(bytes),
            None => groups.push(Group { segment, request: bytes.to_vec(), items: 0 }),
        }
    }
    for group in &mut groups {
        group.items = split::count(signal, &group.request)?;
    }
    Ok(groups)
}

/// What a resource says; only a text says something.
fn segment(of_resource: &[u8], attribute: &str) -> Result<Option<String>, sluice_pdata::Error> {
    let mut found = None;
    let mut reader = Reader::new(of_resource);
    while let Some(field) = reader.field()? {
        let (RESOURCE, Value::Len(resource)) = (field.number, field.value) else { continue };
        if found.is_none() {
            found = view::attribute(resource, ATTRIBUTES, attribute.as_bytes())?;
        }
    }
    Ok(found.and_then(AnyValueView::as_str).map(|text| String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_resource_says_leaves_the_directory() {
        let cases = [
            ("/data/*.json", "shop", Some("/data/shop.json")),
            ("/data/*.json", "a/b", Some("/data/a/b.json")),
            ("/data/*.json", "", Some("/data/.json")),
            ("/data/*.json", "../../etc/passwd", Some("/data/etc/passwd.json")),
            ("/data/*.json", "/etc/passwd", Some("/data/etc/passwd.json")),
            ("/data/*.json", "a/../../b", Some("/data/b.json")),
            ("/data/*.json", "./a/./b//c/", Some("/data/a/b/c.json")),
            ("/data/*.json", "..", Some("/data/.json")),
            ("/data/*/file.json", "..", None),
            ("/data/*/file.json", "a", Some("/data/a/file.json")),
            ("/data/*/../x.json", "a", None),
            ("/data/x-*", "../y", Some("/data/x-y")),
            ("/data/*", "", None),
            ("/data/*", "..", None),
            ("/data/.*", ".", None),
            ("/data/.*", "..", None),
            ("/data/.*", "x", Some("/data/.x")),
            ("/data/*.", ".", None),
            ("data-*.json", "../x", Some("data-x.json")),
            ("/data/*.json", "a\0b", None),
            ("/data/*.json", "a\nb", None),
            ("/data/*.json", "a\\..\\b", Some("/data/a\\..\\b.json")),
        ];
        for (pattern, segment, expected) in cases {
            let file = Pattern::new(pattern).file(segment);
            assert_eq!(file.as_deref(), expected.map(Path::new), "{pattern} {segment:?}");
        }
        let long = Pattern::new("/data/*.json");
        assert!(long.file(&"x".repeat(250)).is_some());
        assert!(long.file(&"x".repeat(251)).is_none());
        assert!(long.file(&"x/".repeat(513)).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_text_stays_below_the_directory(segment in "[a.\\\\/\\x00-\\x7f\u{202e}]{0,40}", tail in "[.a/]{0,6}") {
            let written = format!("/data/in/p{tail}*.json");
            // Where the operator's own pattern leads is the operator's.
            proptest::prop_assume!(!written.split('/').any(|name| name == ".."));
            let pattern = Pattern::new(&written);
            let Some(path) = pattern.file(&segment) else { return Ok(()) };
            proptest::prop_assert!(path.starts_with("/data/in"));
            let plain = |part| matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir);
            proptest::prop_assert!(path.components().all(plain), "{path:?}");
        }
    }
}
