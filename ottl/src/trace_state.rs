//! W3C trace state: the value of one member. A list that breaks the rules has no members (ottl.md §3.2).

use crate::value::Value;

const MAX_MEMBERS: usize = 32;

/// The member's value; an empty string if it is missing, nil if the list is invalid.
pub fn member<'a>(list: &'a [u8], wanted: &[u8]) -> Value<'a> {
    parse(list, wanted).map_or(Value::Nil, Value::str)
}

fn parse<'a>(list: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut found: &[u8] = b"";
    let mut keys: [&[u8]; MAX_MEMBERS] = [b""; MAX_MEMBERS];
    let mut count = 0;
    for member in list.split(|&b| b == b',') {
        let member = member.trim_ascii_start();
        let member = match member.iter().rposition(|b| !matches!(b, b' ' | b'\t')) {
            Some(last) => &member[..=last],
            None => continue,
        };
        let equals = member.iter().position(|&b| b == b'=')?;
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        if count == MAX_MEMBERS || !valid_key(key) || !valid_value(value) || keys[..count].contains(&key) {
            return None;
        }
        keys[count] = key;
        count += 1;
        if key == wanted {
            found = value;
        }
    }
    Some(found)
}

/// `key` of at most 256 characters, or `tenant@system` of at most 241 and 14.
fn valid_key(key: &[u8]) -> bool {
    let tail = |part: &[u8]| {
        part.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/'))
    };
    let letter = |part: &[u8]| part.first().is_some_and(u8::is_ascii_lowercase);
    match key.iter().position(|&b| b == b'@') {
        None => letter(key) && key.len() <= 256 && tail(key),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            let starts = letter(tenant) || tenant.first().is_some_and(u8::is_ascii_digit);
            starts && tenant.len() <= 241 && tail(tenant) && letter(system) && system.len() <= 14 && tail(system)
        }
    }
}

/// Printable ASCII without `,` and `=`, at most 256 characters, not ending in a space.
fn valid_value(value: &[u8]) -> bool {
    value.len() <= 256
        && value.last().is_some_and(|&b| b != b' ')
        && value.iter().all(|&b| matches!(b, 0x20..=0x7e) && b != b',' && b != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_valid_lists_only() {
        for (list, key, value) in [
            ("a=1,b=2", "b", Some("2")),
            (" a=1 , b=2", "a", Some("1")),
            ("a=1", "c", Some("")),
            ("", "c", Some("")),
            ("a=1,,b=2", "b", Some("2")),
            ("0t@sys=x y", "0t@sys", Some("x y")),
            ("a=1,a=2", "a", None),
            ("A=1", "A", None),
            ("a", "a", None),
            ("a=", "a", None),
            ("a=1=2", "a", None),
        ] {
            let got = parse(list.as_bytes(), key.as_bytes());
            assert_eq!(got, value.map(str::as_bytes), "{list}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert_eq!(parse(many.join(",").as_bytes(), b"k0"), None);
        assert_eq!(parse(many[..32].join(",").as_bytes(), b"k31"), Some(&b"v"[..]));
    }
}
