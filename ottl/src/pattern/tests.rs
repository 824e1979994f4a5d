use super::*;

#[test]
fn patterns_mean_what_they_mean_in_go() {
    for (pattern, text, expected) in [
        ("a", "xax", true),
        ("^a$", "xax", false),
        (r"^\d+$", "123", true),
        (r"^\d+$", "١٢٣", false),
        (r"^\w+$", "é", false),
        (r"^\W$", "é", true),
        (r"^\s$", "\u{a0}", false),
        (r"^\s$", "\x0b", false),
        (r"^[\s]$", "\t", true),
        (r"\bfoo\b", "éfoo", true),
        (r"\Bfoo", "xfoo", true),
        ("(?i)K", "\u{212a}", true),
        (r"(?i)^\w$", "\u{17f}", true),
        ("^a.c$", "aéc", true),
        ("^a.c$", "a\nc", false),
        ("(?s)^a.c$", "a\nc", true),
        ("(?m)^b$", "a\nb\nc", true),
        ("a{,3}", "a{,3}", true),
        ("a{2}", "aa", true),
        ("^a{2,}$", "aaa", true),
        ("x{", "x{", true),
        (r"\Qa.b\E+", "a.bbb", true),
        (r"\Qa.b", "a.b", true),
        ("[a&&b]", "&", true),
        ("[+--]", ",", true),
        ("[[:alpha:]]", "q", true),
        ("[[:^alpha:]]", "5", true),
        ("[^[:space:]]", " ", false),
        ("[]a]", "]", true),
        ("[^]a]", "b", true),
        ("[a-]", "-", true),
        ("[a[]", "[", true),
        (r"[\d-x]", "-", true),
        (r"\pL", "é", true),
        (r"\p{Greek}", "α", true),
        (r"\p{^Greek}", "a", true),
        (r"\x41\x{42}\103\07", "ABC\x07", true),
        (r"\_\-\/\#\ ", "_-/# ", true),
        ("(?P<git.sha>a)(?<n>b)", "ab", true),
        ("(?U)a+", "aa", true),
        ("a|", "", true),
        ("", "anything", true),
        ("}]<>&~#-", "}]<>&~#-", true),
        ("(?i:A)b", "ab", true),
        ("^[--/]$", ".", true),
        ("^[--/]$", ",", false),
        ("^[+--]$", ".", false),
        ("^[[]$", "[", true),
        (r"^[\D]$", "1", false),
        (r"^[^\D]$", "1", true),
        (r"^\<a\>$", "<a>", true),
        (r"^a\/b\.c$", "a/bxc", false),
        (r"^\Qa.b[\E+$", "a.b[[", true),
        (r"^\Qa.b[\E+$", "axb[", false),
        ("(?i)a(?-i)B", "AB", true),
    ] {
        let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(compiled.is_match(text.as_bytes()), expected, "{pattern} on {text}");
    }
}

#[test]
fn invalid_patterns_are_explained_as_go_does() {
    for (pattern, text) in [
        ("(", "missing closing ): `(`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[a--c]", "invalid character class range: `a--`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("(+)", "missing argument to repetition operator: `+`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+*", "invalid nested repetition operator: `+*`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        (r"\y", "invalid escape sequence: `\\y`"),
        (r"\1", "invalid escape sequence: `\\1`"),
        (r"\C", "invalid escape sequence: `\\C`"),
        (r"\8", "invalid escape sequence: `\\8`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<!a)", "invalid or unsupported Perl syntax: `(?<`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?P<a b>c)", "invalid named capture: `(?P<a b>`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        (r"\p{Nope}", r"invalid character class range: `\p{Nope}`"),
    ] {
        let error = Pattern::new(pattern).unwrap_err();
        assert_eq!(error, format!("error parsing regexp: {text}"), "{pattern}");
    }
}

#[test]
fn large_patterns_are_refused_and_deep_ones_do_no_harm() {
    assert!(Pattern::new(r"(((\pL{1000}){1000}){1000})").unwrap_err().contains("expression too large"));
    let deep = |n: usize| format!("{}a{}", "(?:".repeat(n), ")".repeat(n));
    assert!(Pattern::new(&deep(900)).is_ok());
    assert!(Pattern::new(&deep(100_000)).is_err());
}

#[test]
fn bytes_that_are_not_utf_8_count_as_replacement_characters() {
    assert!(Pattern::new("^a.b$").unwrap().is_match(b"a\xffb"));
    assert!(Pattern::new("^a..b$").unwrap().is_match(b"a\xff\xfeb"));
    assert!(Pattern::new("\u{fffd}").unwrap().is_match(b"\xff"));
    assert!(!Pattern::new("é").unwrap().is_match(b"\xff"));
}

#[test]
fn named_groups_are_all_there() {
    let pattern = Pattern::new("(?P<a>x)(y)?(?P<b.c>z)?").unwrap();
    assert_eq!(pattern.named_groups(b"xy"), Some(vec![("a", b"x".to_vec()), ("b.c", Vec::new())]));
    assert_eq!(pattern.named_groups(b"q"), None);
}

#[test]
fn literals_that_start_a_match_are_found() {
    let text = |pattern: &str| {
        let found = required_literals(pattern, 8)?;
        Some(found.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(text("^/healthz"), Some(vec!["/healthz".to_owned()]));
    assert_eq!(text("GET|POST"), Some(vec!["GET".to_owned(), "POST".to_owned()]));
    assert_eq!(text(".*foo"), None);
    assert_eq!(text("(?i)ab").map(|all| all.len()), Some(4));
    assert_eq!(text("a"), None);
}

/// Patterns with what Go's parser says to them; nothing if it accepts them.
const GO_SAYS: &[(&str, &str)] = &[
    (r#"(?i"#, r#"invalid or unsupported Perl syntax: `(?i`"#),
    (r#"(?i-)a"#, r#"invalid or unsupported Perl syntax: `(?i-)`"#),
    (r#"a**"#, r#"invalid nested repetition operator: `**`"#),
    (r#"a{2}{3}"#, r#"invalid nested repetition operator: `{2}{3}`"#),
    (r#"(?:a+)*"#, r#""#),
    (r#"a{,3}"#, r#""#),
    (r#"a{1001}"#, r#"invalid repeat count: `{1001}`"#),
    (r#"a{2,1}"#, r#"invalid repeat count: `{2,1}`"#),
    (r#"x{2}?"#, r#""#),
    (r#"x{2}??"#, r#"invalid nested repetition operator: `{2}??`"#),
    (r#"*a"#, r#"missing argument to repetition operator: `*`"#),
    (r#"(?i)*"#, r#"missing argument to repetition operator: `*`"#),
    (r#"^*"#, r#""#),
    (r#"|*"#, r#"missing argument to repetition operator: `*`"#),
    (r#"\b*"#, r#""#),
    (r#"\8"#, r#"invalid escape sequence: `\8`"#),
    (r#"\18"#, r#"invalid escape sequence: `\1`"#),
    (r#"\08"#, r#""#),
    (r#"\_"#, r#""#),
    (r#"\Q+\E+"#, r#""#),
    (r#"\E"#, r#"invalid escape sequence: `\E`"#),
    (r#"\Qab\E\E"#, r#"invalid escape sequence: `\E`"#),
    (r#"[a-\d]"#, r#"invalid escape sequence: `\d`"#),
    (r#"[\d-z]"#, r#""#),
    (r#"[a-\x41]"#, r#"invalid character class range: `a-\x41`"#),
    (r#"[[:word:]]"#, r#""#),
    (r#"[[:foo:]]"#, r#"invalid character class range: `[:foo:]`"#),
    (r#"[[:alpha:]"#, r#"missing closing ]: `[[:alpha:]`"#),
    (r#"[]"#, r#"missing closing ]: `[]`"#),
    (r#"[^]"#, r#"missing closing ]: `[^]`"#),
    (r#"["#, r#"missing closing ]: `[`"#),
    (r#"[a"#, r#"missing closing ]: `[a`"#),
    (r#"\p{Foo}"#, r#"invalid character class range: `\p{Foo}`"#),
    (r#"\pL"#, r#""#),
    (r#"\p{L"#, r#"invalid character class range: `\p{L`"#),
    (r#"\p"#, r#"invalid character class range: `\p`"#),
    (r#"\PN"#, r#""#),
    (r#"\x"#, r#"invalid escape sequence: `\x`"#),
    (r#"\x4"#, r#"invalid escape sequence: `\x4`"#),
    (r#"\x{110000}"#, r#"invalid escape sequence: `\x{110000`"#),
    (r#"\x{10FFFF}"#, r#""#),
    (r#"(?P<n>a)(?P<n>b)"#, r#""#),
    (r#"(?P<>a)"#, r#"invalid named capture: `(?P<>`"#),
    (r#"(?P<1a>a)"#, r#""#),
    (r#"(?P=n)"#, r#"invalid or unsupported Perl syntax: `(?P`"#),
    (r#"(?'n'a)"#, r#"invalid or unsupported Perl syntax: `(?'`"#),
    (r#"(?#c)"#, r#"invalid or unsupported Perl syntax: `(?#`"#),
    (r#"\z"#, r#""#),
    (r#"\Z"#, r#"invalid escape sequence: `\Z`"#),
    (r#"\G"#, r#"invalid escape sequence: `\G`"#),
    (r#"[\b]"#, r#"invalid escape sequence: `\b`"#),
    (r#"[\Q]"#, r#"invalid escape sequence: `\Q`"#),
    (r#"[a\z]"#, r#"invalid escape sequence: `\z`"#),
    (r#"(?s-i:a)"#, r#""#),
    (r#"(?)"#, r#""#),
    (r#"(?:)"#, r#""#),
    (r#"(?-:a)"#, r#"invalid or unsupported Perl syntax: `(?-:`"#),
    (r#"(?--i)a"#, r#"invalid or unsupported Perl syntax: `(?--`"#),
    (r#"a{00}"#, r#""#),
    (r#"a{0,01}"#, r#""#),
    (r#"\C"#, r#"invalid escape sequence: `\C`"#),
    (r#"\pé"#, r#"invalid character class range: `\pé`"#),
    (r#"[[.a.]]"#, r#""#),
    (r#"[[=a=]]"#, r#""#),
    (r#"[a-b-c]"#, r#""#),
    (r#"[--a]"#, r#""#),
    (r#"[a-]"#, r#""#),
    (r#"x{2147483648}"#, r#"invalid repeat count: `{2147483648}`"#),
];

#[test]
fn what_go_accepts_and_refuses() {
    for (pattern, refusal) in GO_SAYS {
        match Pattern::new(pattern) {
            Ok(_) => assert_eq!(*refusal, "", "{pattern}"),
            Err(error) => assert_eq!(error, format!("error parsing regexp: {refusal}"), "{pattern}"),
        }
    }
}

#[test]
fn what_is_refused_is_named_with_its_place_and_reason() {
    for (pattern, offset, reason) in [
        (r"(a)\1", 3, "invalid escape sequence"),
        (r"a\Z", 1, "invalid escape sequence"),
        (r"ab\", 2, "trailing backslash at end of expression"),
        ("x[a", 1, "missing closing ]"),
        ("ab(c", 2, "missing closing )"),
        ("(a)(b(c)", 3, "missing closing )"),
        ("(?i:a", 0, "missing closing )"),
        ("ab)", 2, "unexpected )"),
        ("é**", 3, "invalid nested repetition operator"),
    ] {
        let refused = re2::translate(pattern).unwrap_err();
        assert_eq!((refused.offset, refused.reason()), (offset, reason), "{pattern}");
    }
}

#[test]
fn texts_that_start_otherwise_are_told_apart_without_a_search() {
    let patterns = [
        "^shop-ios/[1-7]",
        "^(?:GET|PUT) /",
        "^(?i)get",
        "^a?b",
        "(?:^a|b)",
        "(?m)^b$",
        "^",
        "^é",
        "^a.c",
        r"\Aab",
        "^(?:^ab|^cd)",
        "^a*$",
        r"^\x00",
        "^.b",
    ];
    let texts: [&[u8]; 16] = [
        b"",
        b"a",
        b"b",
        b"ab",
        b"abc",
        b"aab",
        b"cd",
        b"a\nb",
        b"shop-ios/3.1",
        b"shop-ios/9",
        b"GET /x",
        b"PUT x",
        b"gEt",
        "é".as_bytes(),
        b"a\xffc",
        b"\xffb",
    ];
    let mut skipped = 0;
    for pattern in patterns {
        let quick = Pattern::new(pattern).unwrap();
        let plain = Pattern { starts: None, ..Pattern::new(pattern).unwrap() };
        skipped += usize::from(quick.starts.is_some());
        for text in texts {
            assert_eq!(quick.is_match(text), plain.is_match(text), "{pattern} {text:?}");
        }
    }
    assert!(skipped >= 5, "{skipped}");
}
