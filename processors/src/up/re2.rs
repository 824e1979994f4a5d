//! RE2 patterns in the dialect of the `regex` crate.
//!
//! Both engines share their syntax but for a few places, in which a pattern from a `prometheus.yml` must keep its
//! meaning: `\d \w \s \b` are ASCII in RE2 and Unicode here; inside a class, RE2 knows neither nested classes nor
//! set operators; `\Q…\E` quotes; `\<` is a plain `<`.

/// Rewrites an RE2 pattern. What is wrong in it stays wrong: the compiler of the result reports it.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    // Some while inside a class: how many characters of it have been read (a leading `]` is literal).
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => match chars.next() {
                Some('Q') => quote(&mut chars, &mut out),
                Some('E') => {}
                Some('<') => out.push('<'),
                Some('>') => out.push('>'),
                Some(e) => escape(e, class.is_some(), &mut out),
                None => out.push('\\'),
            },
            ('[', None) => {
                out.push('[');
                class = Some(0);
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                continue;
            }
            // `[:alpha:]` inside a class is the same in both; any other `[` is literal in RE2.
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ('[' | '&' | '~', Some(_)) => out.extend(['\\', c]),
            (']', Some(0)) => out.push_str("\\]"),
            (']', Some(_)) => {
                out.push(']');
                class = None;
                continue;
            }
            // `--` would be a difference of sets: in RE2 one of the two is the operator of a range, the other its end.
            ('-', Some(0)) => out.push_str("\\-"),
            ('-', Some(_)) if chars.next_if_eq(&'-').is_some() => out.push_str("-\\-"),
            _ => out.push(c),
        }
        class = class.map(|read| read + 1);
    }
    out
}

fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

fn escape(e: char, in_class: bool, out: &mut String) {
    let ascii = match e {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' if !in_class => return out.push_str("(?-u:\\b)"),
        _ => return out.extend(['\\', e]),
    };
    if in_class && e.is_ascii_lowercase() {
        out.push_str(ascii);
    } else {
        out.push('[');
        out.push_str(ascii);
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_where_the_dialects_differ_keep_their_meaning() {
        for (pattern, yes, no) in [
            (r"\d+", "12", "١٢"),
            (r"\w+", "ab_1", "é"),
            (r"[\w.]+", "a.b", "é"),
            (r"[^\d]", "x", "1"),
            (r"[\D]", "x", "1"),
            (r"[[]", "[", "]"),
            (r"[]a]", "]", "["),
            (r"[^]a]", "b", "]"),
            (r"[a&&b]", "&", "c"),
            (r"[+--]", ",", "."),
            (r"[--/]", ".", ","),
            (r"[[:alpha:]]", "q", "1"),
            (r"\Qa.b\E", "a.b", "axb"),
            (r"\<a\>", "<a>", "a"),
            (r"a\/b\.c", "a/b.c", "a/bxc"),
        ] {
            let regex = regex::Regex::new(&format!("^(?s:{})$", translate(pattern))).expect(pattern);
            assert!(regex.is_match(yes), "{pattern} should match {yes}");
            assert!(!regex.is_match(no), "{pattern} should not match {no}");
        }
    }
}
