//! Conversions and tests of types.

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, required};
use crate::text::hex;
use crate::value::Value;

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("Bool", &[required("v", Kind::BoolLike)], |call| {
        Ok(call.bool_like(0)?.map_or(Value::Nil, Value::Bool))
    }),
    Function::converter("Double", &[required("v", Kind::FloatLike)], |call| {
        Ok(call.float_like(0)?.map_or(Value::Nil, Value::Float))
    }),
    Function::converter("Int", &[required("v", Kind::IntLike)], |call| {
        Ok(call.int_like(0)?.map_or(Value::Nil, Value::Int))
    }),
    Function::converter("String", &[required("v", Kind::StringLike)], |call| {
        Ok(call.string_like(0)?.map_or(Value::Nil, Value::Str))
    }),
    Function::converter("Hex", &[required("v", Kind::BytesLike)], |call| {
        Ok(Value::string(hex(&call.bytes_like(0)?.unwrap_or_default())))
    }),
    Function::converter("IsBool", &[required("target", Kind::Any)], |call| is(call, |v| matches!(v, Value::Bool(_)))),
    Function::converter("IsDouble", &[required("target", Kind::Any)], |call| {
        is(call, |v| matches!(v, Value::Float(_)))
    }),
    Function::converter("IsInt", &[required("target", Kind::Any)], |call| is(call, |v| matches!(v, Value::Int(_)))),
    Function::converter("IsString", &[required("target", Kind::Any)], |call| is(call, |v| matches!(v, Value::Str(_)))),
    Function::converter("IsMap", &[required("target", Kind::Any)], |call| is(call, |v| matches!(v, Value::Map(_)))),
    Function::converter("IsList", &[required("target", Kind::Any)], |call| {
        is(call, |v| match v {
            Value::List(_) => true,
            Value::Handle(handle) => handle.kind.is_slice(),
            _ => false,
        })
    }),
];

fn is<'r>(call: Call<'r>, test: impl Fn(&Value<'r>) -> bool) -> Result<Value<'r>, EvalError> {
    Ok(Value::Bool(test(&call.value(0)?)))
}
