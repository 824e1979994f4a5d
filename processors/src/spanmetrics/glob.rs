//! Globs over attribute names, in the syntax that upstream's connector takes, with `.` as the separator.
//!
//! `*` stands for anything without a dot, `**` for anything, `?` for one character that is no dot, `[a-z]` and `[!a-z]` for one
//! character of a set, `{a,b}` for one of several; `\` makes the next character ordinary.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled form: names are short, and so are globs.
const SIZE: usize = 1 << 20;

/// A compiled glob.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

impl Glob {
    /// Compiles; `None` if it is not one.
    pub fn new(glob: &str) -> Option<Self> {
        let pattern = translate(glob)?;
        RegexBuilder::new(&pattern).unicode(true).dot_matches_new_line(true).size_limit(SIZE).build().ok().map(Glob)
    }

    /// Whether the whole name matches. A name that is not UTF-8 matches only what is wholly in UTF-8.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.is_match(name)
    }
}

/// The glob as a regular expression over the whole name.
fn translate(glob: &str) -> Option<String> {
    let mut out = String::from(r"\A(?:");
    let mut depth = 0usize;
    let mut chars = glob.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' => {
                let mut stars = 1;
                while chars.next_if_eq(&'*').is_some() {
                    stars += 1;
                }
                out.push_str(if stars == 1 { "[^.]*" } else { ".*" });
            }
            '?' => out.push_str("[^.]"),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'!').is_some() {
                    out.push('^');
                }
                let mut members = 0;
                loop {
                    match chars.next()? {
                        ']' if members > 0 => break,
                        '-' if members > 0 => out.push('-'),
                        '\\' => push_escaped(&mut out, chars.next()?),
                        member => push_escaped(&mut out, member),
                    }
                    members += 1;
                }
                out.push(']');
            }
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => push_escaped(&mut out, chars.next()?),
            ordinary => push_escaped(&mut out, ordinary),
        }
    }
    out.push_str(r")\z");
    (depth == 0).then_some(out)
}

fn push_escaped(out: &mut String, char: char) {
    out.push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn globs_match_names_as_upstream_documents() {
        let cases = [
            ("k8s.*.name", "k8s.cluster.name", true),
            ("k8s.*.name", "k8s.cluster.label.name", false),
            ("db.**.name", "db.a.b.name", true),
            ("db.*", "db.system", true),
            ("db.*", "db", false),
            ("db.*", "xdb.system", false),
            ("http.?", "http.x", true),
            ("http.?", "http..", false),
            ("{http,db}.system", "db.system", true),
            ("{http,db}.system", "rpc.system", false),
            ("a.[b-d]", "a.c", true),
            ("a.[!b-d]", "a.c", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a+b", "a+b", true),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(Glob::new(glob).unwrap().matches(name.as_bytes()), expected, "{glob} {name}");
        }
        for bad in ["a.[b", "{a,b", r"a\"] {
            assert!(Glob::new(bad).is_none(), "{bad}");
        }
    }
}
