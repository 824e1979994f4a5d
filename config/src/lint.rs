//! `# sluice: allow W0508` on the line of a lint, or on the line above, silences it there (experience §5).

use crate::diagnostic::Diagnostic;

const MARK: &str = "# sluice: allow ";

/// Whether the configuration asks for silence about this finding. Only lints (W05xx) can be silenced.
pub fn is_allowed(found: &Diagnostic) -> bool {
    let Some(origin) = found.origin.as_ref().filter(|_| found.code.starts_with("W05")) else { return false };
    let line = origin.start().line;
    let names = |text: &str| {
        let codes = text.split_once(MARK).map_or("", |(_, codes)| codes);
        codes.split([',', ' ']).any(|code| code == found.code)
    };
    let above = line.checked_sub(1).filter(|above| *above > 0).map_or("", |above| origin.source.line(above));
    names(origin.source.line(line)) || (above.trim_start().starts_with('#') && names(above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn a_comment_silences_the_lint_it_names_and_only_there() {
        let cases = [
            ("W0508", "a: x # sluice: allow W0508", true),
            ("W0508", "# sluice: allow W0501, W0508\na: x", true),
            ("W0508", "b: x # sluice: allow W0508\na: x", false),
            ("W0501", "a: x # sluice: allow W0508", false),
            ("E0105", "a: x # sluice: allow E0105", false),
        ];
        for (code, yaml, expected) in cases {
            let node = parse(yaml.as_bytes()).unwrap();
            let found = Diagnostic::new(code, "x").at(&node.entry("a").unwrap().key);
            assert_eq!(is_allowed(&found), expected, "{code} {yaml}");
        }
    }
}
