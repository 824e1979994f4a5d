//! What is accepted, what is refused, and in which words.

mod common;

use sluice_ottl::parser::{parse_condition, parse_statement, parse_value_expression};
use sluice_ottl::{Compiler, Context, Registry};

#[test]
fn conditions_that_are_accepted() {
    for source in [
        "true",
        "not false",
        r#"span.name == "x""#,
        r#"(span.name == "x")"#,
        r#"((span.name == "x") and (true or not (false)))"#,
        "(1 + 2) * 3 == 9",
        "((1 + 2) * 3 == 9)",
        "(span.kind) == 2",
        "((span.kind)) == ((2))",
        "-1 < +1",
        "- (1) < 1",
        "2 * -3 == -6",
        "IsRootSpan()",
        "(IsRootSpan())",
        "IsRootSpan() == true",
        r#"IsMatch(span.name, "a") and true"#,
        r#"span.attributes["a"]["b"][0] == nil"#,
        r#"span.attributes[span.attributes["k"]] == nil"#,
        r#"span.attributes[Concat(["a", "b"], ".")] == nil"#,
        "span.attributes[1 + 1] == nil",
        "span.kind == SPAN_KIND_SERVER",
        "span.trace_id == TraceID(0x0102030405060708090a0b0c0d0e0f10)",
        r#"Split(span.name, ",")[0] == "x""#,
        r#"ParseJSON(span.name)["a"]["b"] == 1.5"#,
        r#"span.attributes["x"] == {"a": 1, "b": [1, 2.5, "c", nil, true]}"#,
        r#"span.attributes["x"] == {"a": 1 "b": 2,}"#,
        "span.attributes[\"x\"] == []",
        "span.attributes[\"x\"] == [1 2, 3]",
        "span.attributes[\"x\"] == [,1]",
        "span.name\n\t!=\r\n\"y\"",
        "1.e3 == 1000 and .5 == 0.5",
        r#"Substring(target=span.name, start=0, length=1) == "G""#,
        r#"HasPrefix(value = span.name, prefix = "G")"#,
        "nil == nil or nil != nil",
        "1 == 1 or 1 / 0 == 2",
    ] {
        let registry = Registry::filter();
        let compiled = Compiler::new(Context::Span, &registry).condition(source);
        assert!(compiled.is_ok(), "{source}: {}", compiled.unwrap_err());
    }
}

#[test]
fn syntax_errors_name_the_place() {
    for (source, expected) in [
        (r#"span.name = "x""#, r#"1:11: unexpected token "=" (expected <opcomparison> Value)"#),
        ("span.name ==", r#"1:13: unexpected token "<EOF>" (expected Field ("." Field)*)"#),
        ("", r#"1:1: unexpected token "<EOF>" (expected Field ("." Field)*)"#),
        (r#"span.name == "\d""#, r#"1:14: invalid quoted string "\"\\d\"": invalid syntax"#),
        ("span.name == #", r##"1:14: lexer: invalid input text "#""##),
        (r#"(span.name == "x""#, r#"1:18: unexpected token "<EOF>" (expected ")")"#),
        (
            "span.kind == 99999999999999999999",
            r#"1:14: failed to conform: strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
        ),
        ("span.name == 0x123", "1:14: failed to capture: encoding/hex: odd length hex string"),
        ("span.name and true", r#"1:11: unexpected token "and" (expected <opcomparison> Value)"#),
        ("not not true", r#"1:5: unexpected token "not" (expected Field ("." Field)*)"#),
        ("true true", r#"1:6: unexpected token "true""#),
        ("span.name == \"x\"\n  ) ", r#"2:3: unexpected token ")""#),
        ("IsMatch(span.name, )", r#"1:18: unexpected token "," (expected ")" Key*)"#),
        ("a == 'x'", r#"1:6: lexer: invalid input text "'x'""#),
        ("a[] == 1", r#"1:3: unexpected token "]" (expected Field ("." Field)*)"#),
        ("a. == 1", r#"1:4: unexpected token "==" (expected Field ("." Field)*)"#),
        ("a.b. == 1", r#"1:4: unexpected token "." (expected <opcomparison> Value)"#),
        ("a == Ab", r#"1:7: unexpected token "b""#),
        ("a == [1,]", r#"1:8: unexpected token "," (expected "]")"#),
        ("a == [1", r#"1:8: unexpected token "<EOF>" (expected "]")"#),
        ("a == {\"x\" 1}", r#"1:11: unexpected token "1" (expected ":")"#),
    ] {
        let error = parse_condition(source).unwrap_err().to_string();
        let quoted = format!("{source:?}");
        assert_eq!(
            error,
            format!("unable to parse OTTL condition {quoted}: condition has invalid syntax: {expected}"),
            "{source}"
        );
    }
}

#[test]
fn calls_in_the_wrong_place_are_named() {
    for (source, expected) in [
        ("Foo(a)", "editor names must start with a lowercase letter but got 'Foo'"),
        ("set(a, foo(1))", "converter names must start with an uppercase letter but got 'foo'"),
        (r#"set(a, 1)["key"]"#, "only paths and converters may be indexed, not editors, but got set[key]"),
        ("set(a, 1) where foo(1) == 2", "converter names must start with an uppercase letter but got 'foo'"),
        ("set", r#"statement has invalid syntax: 1:4: unexpected token "<EOF>" (expected "(")"#),
        ("1 == 1", r#"statement has invalid syntax: 1:1: unexpected token "1" (expected <lowercase>)"#),
        ("set(a, 1) were true", r#"statement has invalid syntax: 1:11: unexpected token "were""#),
    ] {
        let error = parse_statement(source).unwrap_err().to_string();
        assert_eq!(error, format!("unable to parse OTTL statement {source:?}: {expected}"), "{source}");
    }
}

#[test]
fn names_and_arguments_are_checked_at_load() {
    let undefined = |name: &str| format!("undefined function {name:?}");
    let arguments = |name: &str, rest: &str| format!("error while parsing arguments for call to {name:?}: {rest}");
    let review = |segment: &str, path: &str, context: &str| {
        format!(
            "segment {segment:?} from path {path:?} is not a valid path nor a valid OTTL keyword for the {context} \
             context - review https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl/\
             contexts/ottl{context} to see all valid paths"
        )
    };
    for (source, expected) in [
        ("Nope(span.name)", undefined("Nope")),
        ("IsMach(span.name, \"x\")", format!("{}; did you mean \"IsMatch\"?", undefined("IsMach"))),
        ("HasPrefix(span.name)", arguments("HasPrefix", "incorrect number of arguments. Expected: 2 Received: 1")),
        ("HasPrefix(prefix=\"x\", span.name)", arguments("HasPrefix", "unnamed argument used after named argument")),
        ("HasPrefix(span.name, foo=\"x\")", arguments("HasPrefix", "no such parameter: foo")),
        (
            "IsMatch(span.name, 5)",
            arguments("IsMatch", "invalid argument at position 1: expected string but got int64"),
        ),
        (
            "HasPrefix(nil, \"x\")",
            arguments("HasPrefix", "invalid argument at position 0: expected string but got nil"),
        ),
        (
            "Concat(span.name, \"x\") == \"\"",
            arguments("Concat", "invalid argument at position 0: must be a list of type StringLikeGetter"),
        ),
        (
            "IsInCIDR(span.name, [\"10.0.0.0/8\", 5])",
            arguments(
                "IsInCIDR",
                "invalid argument at position 1: error while parsing list argument at index 1: expected string but got int64",
            ),
        ),
        (
            "ConvertCase(span.name, span.name) == \"\"",
            arguments("ConvertCase", "invalid argument at position 1: must be a string"),
        ),
        (
            "ConvertCase(span.name, \"title\") == \"\"",
            "couldn't create function: invalid case: title, allowed cases are: lower, upper, snake, camel".to_owned(),
        ),
        (
            "IsMatch(span.name, \"(\")",
            "couldn't create function: the regex pattern supplied to IsMatch '\"(\"' is not a valid pattern: error \
             parsing regexp: missing closing ): `(`"
                .to_owned(),
        ),
        (
            "span.trace_id == TraceID(\"x\")",
            "couldn't create function: TraceID: could not decode ID: invalid length: expected 16 or 32 bytes, got 1"
                .to_owned(),
        ),
        (
            "IsInCIDR(span.name, [\"10.0.0.0/33\"])",
            "couldn't create function: invalid CIDR address: 10.0.0.0/33".to_owned(),
        ),
        ("Coalesce([]) == nil", "couldn't create function: Coalesce requires at least one argument".to_owned()),
        ("span.foo == 1", review("foo", "span.foo", "span")),
        ("span.nam == 1", format!("{}; did you mean \"span.name\"?", review("nam", "span.nam", "span"))),
        ("span.status.foo == 1", review("foo", "span.status.foo", "span")),
        (
            "span.name.x == 1",
            "the path section \"x\" was not used by the context - this likely means you are using extra path sections"
                .to_owned(),
        ),
        (
            "span.name[\"x\"] == 1",
            "the keys indexing \"name\" were not used by the context - this likely means you are trying to index a \
             path that does not support indexing"
                .to_owned(),
        ),
        (
            "span.status[\"x\"].code == 1",
            "the keys indexing \"status\" were not used by the context - this likely means you are trying to index a \
             path that does not support indexing"
                .to_owned(),
        ),
        (
            "log.body == 1",
            "context \"log\" from path \"log.body\" is not valid, it must be replaced by one of: \"span\", \"scope\", \
             \"instrumentation_scope\", \"resource\", \"otelcol\""
                .to_owned(),
        ),
        (
            "attributes[\"x\"] == 1",
            "missing context name for path \"attributes[x]\", possibly valid options are: \"span.attributes[x]\", \
             \"scope.attributes[x]\", \"instrumentation_scope.attributes[x]\", \"resource.attributes[x]\", \
             \"otelcol.attributes[x]\""
                .to_owned(),
        ),
        (
            "span.cache[\"x\"] == resource.cache[\"y\"]",
            "access to cache must be performed using the same context, please replace \"resource.cache[y]\" with \
             \"span.cache[y]\""
                .to_owned(),
        ),
        ("span.kind == SEVERITY_NUMBER_INFO", "enum symbol, SEVERITY_NUMBER_INFO, not found".to_owned()),
        (
            "span.kind == SPAN_KIND_SERVR",
            "enum symbol, SPAN_KIND_SERVR, not found; did you mean \"SPAN_KIND_SERVER\"?".to_owned(),
        ),
        ("span.trace_state[\"a\"][\"b\"] == nil", "must provide exactly 1 key when accessing trace_state".to_owned()),
    ] {
        let registry = Registry::filter();
        let error = Compiler::new(Context::Span, &registry).condition(source).unwrap_err().to_string();
        assert_eq!(error, format!("unable to parse OTTL condition {source:?}: {expected}"), "{source}");
    }
}

#[test]
fn editors_are_checked_by_shape() {
    let registry = Registry::standard();
    let mut compiler = Compiler::new(Context::Log, &registry);
    for source in [
        r#"set(log.attributes["a"], 1) where log.body == "x""#,
        r#"set(target=log.body, value={"a": log.attributes})"#,
        r#"append(log.attributes["a"], values=[1, "b"])"#,
        r#"keep_keys(log.attributes, ["a", log.severity_text])"#,
        r#"replace_pattern(log.body, "a(.)", "$$1", SHA256)"#.replace("SHA256", "ToLowerCase").as_str(),
        r#"replace_all_patterns(log.attributes, "key", "a", "b", function=FNV)"#,
        r#"limit(log.attributes, 10, [])"#,
        r#"replace_pattern(log.body, regex_pattern="a", replacement="b")"#,
    ] {
        let compiled = compiler.statement(source);
        assert!(compiled.is_ok(), "{source}: {}", compiled.unwrap_err());
    }
    for (source, expected) in [
        ("set(1, 2)", "invalid argument at position 0: must be a path"),
        (r#"set("x", 2)"#, "invalid argument at position 0: must be a path"),
        ("limit(log.attributes, \"x\", [])", "invalid argument at position 1: must be an int"),
        ("truncate_all(log.attributes, 5, 6)", "invalid argument at position 2: must be a bool"),
        ("replace_pattern(log.body, \"a\", \"b\", Nope)", "invalid argument at position 3: undefined function Nope"),
        (
            "replace_pattern(log.body, \"a\", \"b\", \"c\")",
            "invalid argument at position 3: invalid function name given",
        ),
    ] {
        let error = compiler.statement(source).unwrap_err().to_string();
        assert!(error.contains(&format!(": {expected}")), "{source}: {error}");
    }
    assert!(compiler.condition("set(log.body, 1) == 2").is_err());
    let filter = Registry::filter();
    let error = Compiler::new(Context::Log, &filter).statement("set(log.body, 1)").unwrap_err().to_string();
    assert!(error.ends_with("undefined function \"set\""), "{error}");
}

#[test]
fn all_errors_are_collected() {
    let registry = Registry::filter();
    let errors = Compiler::new(Context::Span, &registry).conditions(&["span.x == 1", "true", "Nope()"]).unwrap_err();
    assert_eq!(errors.len(), 2);
}

#[test]
fn nesting_is_bounded_everywhere() {
    let nested =
        |open: &str, inner: &str, close: &str, n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
    for n in [10, 10_000] {
        for (open, inner, close, behind) in [
            ("(", "true", ")", ""),
            ("not (", "true", ")", ""),
            ("(", "1", ")", " == 1"),
            ("-(", "1", ")", " == 1"),
            ("[", "1", "]", " == 1"),
            ("{\"a\":", "1", "}", " == 1"),
            ("Int(", "1", ")", " == 1"),
            ("Int(1+", "1", ")", " == 1"),
            ("a[", "1", "]", " == 1"),
        ] {
            let source = format!("{}{behind}", nested(open, inner, close, n));
            let parsed = parse_condition(&source);
            assert_eq!(parsed.is_ok(), n == 10, "{}", &source[..40.min(source.len())]);
            if let Err(error) = parsed {
                assert!(error.to_string().contains("nested deeper than 64 levels"), "{open}");
            }
        }
    }
    // Long is not deep.
    assert!(parse_value_expression(&vec!["1"; 50_000].join(" + ")).is_ok());
    assert!(parse_condition(&vec!["true"; 50_000].join(" and ")).is_ok());
}

#[test]
fn errors_point_at_the_culprit() {
    let registry = Registry::filter();
    let source = r#"span.name == "é" and span.foo == 1"#;
    let error = Compiler::new(Context::Span, &registry).condition(source).unwrap_err();
    let span = error.span().unwrap();
    assert_eq!(&source[span.start..span.end], "span.foo");
}
