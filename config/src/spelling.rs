//! From a place in a scalar's value to the place in its spelling, so that errors in expressions point inside quoted,
//! escaped and folded text (experience §4.1).

/// One decoded character and the bytes of the spelling that stand for it.
struct Unit {
    start: usize,
    end: usize,
    char: char,
}

/// The bytes of `spelled` that stand for `value[offset..offset + len]`. White space is not compared, because folding
/// changes it. `None` where the two do not match.
pub(crate) fn locate(spelled: &str, value: &str, offset: usize, len: usize) -> Option<(usize, usize)> {
    let mut units = units(spelled)?.into_iter().filter(|unit| !unit.char.is_whitespace()).peekable();
    let (mut start, mut end) = (None, None);
    for (index, wanted) in value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        if start.is_some() && index >= offset.saturating_add(len) {
            break;
        }
        let unit = units.next().filter(|unit| unit.char == wanted)?;
        if wanted == '$' {
            // `$$` in the source is `$` in the value.
            units.next_if(|next| next.char == '$' && next.start == unit.end);
        }
        if index >= offset {
            start.get_or_insert(unit.start);
            end = Some(unit.end);
        }
    }
    Some((start?, end?))
}

fn units(spelled: &str) -> Option<Vec<Unit>> {
    let plain = |from: usize| -> Vec<Unit> {
        let rest = spelled.get(from..).unwrap_or_default();
        let unit = |(at, char): (usize, char)| Unit { start: from + at, end: from + at + char.len_utf8(), char };
        rest.char_indices().map(unit).collect()
    };
    match spelled.chars().next()? {
        '|' | '>' => Some(plain(spelled.find('\n')? + 1)),
        '\'' => {
            let mut units = Vec::new();
            let mut inner = plain(1).into_iter().peekable();
            while let Some(mut unit) = inner.next() {
                if unit.char == '\'' {
                    // The closing quote has no second one.
                    let Some(second) = inner.next() else { break };
                    unit.end = second.end;
                }
                units.push(unit);
            }
            Some(units)
        }
        '"' => double_quoted(plain(1)),
        _ => Some(plain(0)),
    }
}

fn double_quoted(inner: Vec<Unit>) -> Option<Vec<Unit>> {
    let mut units = Vec::new();
    let mut inner = inner.into_iter();
    while let Some(unit) = inner.next() {
        match unit.char {
            '"' => break,
            '\\' => {
                let escape = inner.next()?;
                let digits = match escape.char {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                let (mut code, mut end) = (0u32, escape.end);
                for _ in 0..digits {
                    let digit = inner.next()?;
                    code = code.checked_mul(16)? + digit.char.to_digit(16)?;
                    end = digit.end;
                }
                let char = match escape.char {
                    _ if digits > 0 => char::from_u32(code)?,
                    'n' | 'r' | 't' | 'v' | 'f' | 'N' | '_' | 'L' | 'P' => ' ',
                    '0' => '\0',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'e' => '\u{1b}',
                    other => other,
                };
                units.push(Unit { start: unit.start, end, char });
            }
            _ => units.push(unit),
        }
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use crate::yaml::parse;

    #[test]
    fn a_place_inside_a_scalar_is_found_in_any_spelling() {
        let cases = [
            ("k: one two three\n", "1:8"),
            ("k: 'one two three'\n", "1:9"),
            ("k: \"one two three\"\n", "1:9"),
            ("k: \"one\\ttwo three\"\n", "1:10"),
            ("k: 'it''s two'\n", "1:11"),
            ("k: \"a \\\"two\\\"\"\n", "1:9"),
            ("k: |\n  one\n  two\n", "3:3"),
            ("k: >-\n  one\n\n  x two\n", "4:5"),
            ("k: one\n  two\n", "2:3"),
            ("k: $$1 two\n", "1:8"),
            ("k: \"\\u00e9\\x41 two\"\n", "1:16"),
            ("k: 'ends '' two'\n", "1:13"),
        ];
        for (yaml, expected) in cases {
            let node = parse(yaml.as_bytes()).unwrap();
            let node = node.get("k").unwrap();
            let value = node.text().unwrap().replace("$$", "$");
            let place = node.origin.within(&value, value.find("two").unwrap(), 3);
            let (start, end) = (place.start(), place.end());
            assert_eq!(format!("{}:{}", start.line, start.column), expected, "{yaml}");
            assert_eq!(end.column - start.column, 3, "{yaml}");
        }
    }
}
