//! Converters that only some contexts have (ottl.md §7).

use crate::context::Context;
use crate::error::EvalError;
use crate::function::{Call, Function, Kind, required};
use crate::path::{Field, Path};
use crate::value::{Map, Value};

/// What the span context has on top of the standard converters.
pub const SPAN: &[Function] =
    &[Function::converter("IsRootSpan", &[], is_root_span).only(&[Context::Span]).reading(&[Context::Span])];

/// What the filter's metric context has on top of the standard converters.
pub const METRIC_FILTER: &[Function] = &[
    Function::converter("HasAttrKeyOnDatapoint", &[required("key", Kind::LiteralString)], |call| {
        has_attribute(call, |_| true)
    })
    .only(&[Context::Metric])
    .reading(&[Context::Metric, Context::DataPoint]),
    Function::converter(
        "HasAttrOnDatapoint",
        &[required("key", Kind::LiteralString), required("value", Kind::LiteralString)],
        |call| {
            let expected = call.string(1)?;
            has_attribute(call, |value| match value {
                Value::Str(text) => **text == *expected,
                _ => expected.is_empty(),
            })
        },
    )
    .only(&[Context::Metric])
    .reading(&[Context::Metric, Context::DataPoint]),
];

fn is_root_span(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let parent = call.scope.read(Path { level: Context::Span, field: Field::ParentSpanId })?;
    Ok(Value::Bool(matches!(parent, Value::SpanId(id) if id == [0; 8])))
}

/// The first data point that has the key decides.
fn has_attribute<'r>(call: Call<'r>, test: impl Fn(&Value<'_>) -> bool) -> Result<Value<'r>, EvalError> {
    let key = call.string(0)?;
    let mut holds = false;
    call.scope.record.each_data_point(&mut |attributes: Map<'_>| {
        let value = attributes.get(&key)?;
        if let Some(value) = &value {
            holds = test(value);
        }
        Ok(value.is_none())
    })?;
    Ok(Value::Bool(holds))
}
