//! Parameters in the query of a URL.

/// The values of those parameters that are wanted, under their names, decoded. A name counts as it is written.
pub(super) fn named<'n>(query: &str, wanted: &'n [String]) -> Vec<(&'n str, String)> {
    let pairs = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        let wanted = wanted.iter().find(|wanted| **wanted == name)?;
        // As with headers: what is no text counts as empty.
        Some((wanted.as_str(), decoded(value).unwrap_or_default()))
    });
    pairs.collect()
}

/// `+` is a space, and `%41` an `A`; `None` for what is no text then, or a `%` without two digits.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_parameters_are_found_and_decoded() {
        let wanted = ["token".to_owned(), "a b".to_owned()];
        let found = |query| named(query, &wanted);
        assert_eq!(
            found("token=x%3D%2b+y&other=1&a+b=%C3%A9"),
            [("token", "x=+ y".to_owned()), ("a b", "é".to_owned())]
        );
        assert_eq!(found("token=1&token=2").len(), 2, "repeated ones are seen as such");
        assert_eq!(found("token"), [("token", String::new())]);
        for (query, value) in
            [("token=%", ""), ("token=%4", ""), ("token=%zz", ""), ("token=%ff", ""), ("token==", "=")]
        {
            assert_eq!(found(query), [("token", value.to_owned())], "{query}");
        }
        for query in ["", "&&", "Token=x", "%74oken%=x", "=token", "xtoken=y"] {
            assert_eq!(found(query), [], "{query}");
        }
        assert_eq!(found("%74oken=x"), [("token", "x".to_owned())], "a name may be written in other ways");
    }
}
