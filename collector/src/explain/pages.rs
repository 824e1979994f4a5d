//! The pages of all codes, in the binary; the same files are the documentation.

macro_rules! pages {
    ($($code:literal)*) => {
        /// Code and page.
        pub const PAGES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("../../../docs/diagnostics/", $code, ".md")))),*];
    };
}

pages! {
    "E0001" "E0002" "E0003" "E0004" "E0005" "E0006" "E0007" "E0008" "E0009"
    "E0101" "E0102" "E0103" "E0104" "E0105" "E0106" "E0107" "E0108" "E0110"
    "E0201" "E0202" "E0203" "E0204" "E0205" "E0206" "E0207" "E0208" "E0209"
    "E0211" "E0212" "E0213" "E0301" "E0302" "E0402" "E0403"
    "E0701" "E0702" "E0703" "E0704" "E0705" "E0706" "E0707"
    "E0801" "E0802" "E0803" "E0804" "E0805" "E0806" "E0807" "E0808"
    "W0401" "W0405"
    "W0501" "W0502" "W0503" "W0508" "W0509" "W0510" "W0512" "W0513" "W0514"
    "W0515" "W0516" "W0517" "W0518" "W0519" "N0601" "N0602" "N0603"
}

/// The page of a code, in any case of letters.
pub fn of(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::PAGES;

    /// Codes in the sources of this repository, outside of tests.
    fn emitted(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "tests" | "target") {
                emitted(&path, found);
            }
            if !name.ends_with(".rs") || matches!(name, "tests.rs" | "codes.rs" | "pages.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for (at, _) in text.match_indices('"') {
                let Some(code) = text.get(at + 1..at + 7).and_then(|code| code.strip_suffix('"')) else { continue };
                let (kind, digits) = code.split_at(1);
                if matches!(kind, "E" | "W" | "N")
                    && digits.starts_with('0')
                    && digits.bytes().all(|b| b.is_ascii_digit())
                {
                    found.insert(code.to_owned());
                }
            }
        }
    }

    #[test]
    fn every_code_that_the_sources_can_report_is_listed_and_has_a_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        for room in ["config", "pipeline", "ottl", "receivers", "processors", "exporters", "extensions", "collector"] {
            emitted(&root.join(room).join("src"), &mut found);
        }
        assert!(found.len() > 30, "{found:?}");
        let listed: BTreeSet<String> = sluice_config::codes::ALL.iter().map(|(code, _)| (*code).to_owned()).collect();
        let paged: BTreeSet<String> = PAGES.iter().map(|(code, _)| (*code).to_owned()).collect();
        assert_eq!(found, listed, "reported against config::codes::ALL");
        assert_eq!(listed, paged, "config::codes::ALL against docs/diagnostics");
        for (code, page) in PAGES {
            for part in [&format!("# {code}: "), "\n## Wrong\n", "\n## Right\n", "\n## Causes\n", "\n## Fix\n"] {
                assert!(page.contains(part), "{code}: no {part:?}");
            }
        }
    }
}
