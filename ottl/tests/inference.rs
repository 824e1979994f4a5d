//! Which context expressions run on when they do not say.

use sluice_ottl::{Compiler, Context, Registry, infer};

const TRACES: &[Context] = &[Context::Resource, Context::Scope, Context::Span, Context::SpanEvent];
const METRICS: &[Context] = &[Context::Resource, Context::Scope, Context::Metric, Context::DataPoint];
const LOGS: &[Context] = &[Context::Resource, Context::Scope, Context::Log];

#[test]
fn the_innermost_context_that_has_everything_is_taken() {
    for (candidates, conditions, expected) in [
        (TRACES, &[r#"resource.attributes["a"] == 1"#][..], Context::Resource),
        (TRACES, &[r#"span.name == "a" and resource.attributes["a"] == 1"#], Context::Span),
        (TRACES, &[r#"spanevent.name == "a" and span.name == "b""#], Context::SpanEvent),
        (TRACES, &[r#"scope.name == "a""#, r#"resource.attributes["x"] == nil"#], Context::Scope),
        (TRACES, &[r#"instrumentation_scope.name == "a""#], Context::Scope),
        (TRACES, &[r#"resource.attributes["a"] == 1 and IsRootSpan()"#], Context::Span),
        (TRACES, &[r#"resource.attributes["a"] == STATUS_CODE_OK"#], Context::SpanEvent),
        (TRACES, &[r#"foo.bar == 1"#, r#"span.name == "x""#], Context::Span),
        (TRACES, &[r#"resource.attributes[span.name] == 1"#], Context::Span),
        (METRICS, &[r#"metric.name == "a""#], Context::Metric),
        (METRICS, &[r#"metric.name == "a" and datapoint.value_int == 0"#], Context::DataPoint),
        (METRICS, &[r#"metric.type == METRIC_DATA_TYPE_SUM"#], Context::Metric),
        (METRICS, &[r#"metric.name == "a" and FLAG_NONE == 0"#], Context::DataPoint),
        (METRICS, &[r#"resource.attributes["a"] == 1 and HasAttrKeyOnDatapoint("x")"#], Context::Metric),
        (LOGS, &[r#"log.body == "x" and resource.attributes["a"] == 1"#], Context::Log),
        (LOGS, &[r#"resource.attributes["level"] == SEVERITY_NUMBER_INFO"#], Context::Log),
    ] {
        let none: &[&str] = &[];
        let context = infer(&Registry::filter(), candidates, none, conditions);
        assert_eq!(context.unwrap(), expected, "{conditions:?}");
    }
}

#[test]
fn statements_and_conditions_count_together() {
    let registry = Registry::standard();
    let statements = [r#"set(resource.attributes["a"], 1)"#];
    let conditions = [r#"log.body == "x""#];
    assert_eq!(infer(&registry, LOGS, &statements, &conditions).unwrap(), Context::Log);
    let statements = [r#"set(log.body, FNV) where true"#];
    let none: [&str; 0] = [];
    assert!(infer(&registry, LOGS, &statements, &none).is_ok());
}

#[test]
fn what_cannot_be_inferred_is_explained() {
    let none: &[&str] = &[];
    for (candidates, condition, expected) in [
        (
            LOGS,
            r#"attributes["x"] == 1"#,
            r#"unable to infer context from statements [] and conditions ["attributes[\"x\"] == 1"], path's first segment must be a valid context name ["resource" "scope" "log"], and at least one context must be capable of parsing all statements"#,
        ),
        (
            LOGS,
            "foo.bar == 1",
            r#"context "foo" inferred from the statements [] and conditions ["foo.bar == 1"] is not a supported context: ["resource" "scope" "log"]"#,
        ),
        (
            LOGS,
            "log.body == 1 and IsRootSpan()",
            r#"unable to infer a valid context (["resource" "scope" "log"]) from statements [] and conditions ["log.body == 1 and IsRootSpan()"]: inferred context "log" does not support the function "IsRootSpan""#,
        ),
        (
            LOGS,
            "log.body == NOPE",
            r#"unable to infer a valid context (["resource" "scope" "log"]) from statements [] and conditions ["log.body == NOPE"]: inferred context "log" does not support the enum symbol "NOPE""#,
        ),
        (
            LOGS,
            "otelcol.client.addr == nil",
            r#"context "otelcol" inferred from the statements [] and conditions ["otelcol.client.addr == nil"] is not a supported context: ["resource" "scope" "log"]"#,
        ),
    ] {
        let error = infer(&Registry::filter(), candidates, none, &[condition]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_named_context_gives_its_prefix_to_bare_paths() {
    let registry = Registry::filter();
    let mut compiler = Compiler::new(Context::Span, &registry).allow_unprefixed();
    for source in [
        r#"attributes["x"] == 1"#,
        r#"trace_id.string == "x""#,
        r#"status.code == STATUS_CODE_OK"#,
        r#"resource.attributes["x"] == name"#,
    ] {
        assert!(compiler.condition(source).is_ok(), "{source}");
    }
    assert!(compiler.added_prefix());
    let error = compiler.condition(r#"body == "x""#).unwrap_err().to_string();
    assert!(error.contains(r#"segment "body" from path "span.body" is not a valid path"#), "{error}");

    let mut prefixed = Compiler::new(Context::Span, &registry).allow_unprefixed();
    assert!(prefixed.condition(r#"span.name == "x""#).is_ok());
    assert!(!prefixed.added_prefix());
}

#[test]
fn paths_of_every_level_are_found() {
    let registry = Registry::filter();
    for context in Context::ALL.into_iter().filter(|context| *context != Context::Otelcol) {
        let mut compiler = Compiler::new(context, &registry);
        for level in context.visible() {
            for name in sluice_ottl::path::names(*level) {
                if name == "cache" && *level != context {
                    continue;
                }
                let source = format!("{}.{name} == nil", level.name());
                assert!(compiler.condition(&source).is_ok(), "{source}");
            }
        }
    }
}
