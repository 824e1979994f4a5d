//! Ids from raw bytes or hexadecimal text.

use std::sync::Arc;

use crate::error::EvalError;
use crate::function::{Argument, Call, Converter, Function, Kind, required};
use crate::text::decode_hex;
use crate::value::Value;

const PARAMS: &[crate::function::Param] = &[required("v", Kind::BytesLike)];

pub(crate) const FAMILY: &[Function] = &[
    Function::prepared("TraceID", PARAMS, |args| prepare(args, Id { name: "TraceID", make: trace_id, len: 16 })),
    Function::prepared("SpanID", PARAMS, |args| prepare(args, Id { name: "SpanID", make: span_id, len: 8 })),
    Function::prepared("ProfileID", PARAMS, |args| prepare(args, Id { name: "ProfileID", make: profile_id, len: 16 })),
];

#[derive(Debug)]
struct Id {
    name: &'static str,
    make: fn(&[u8]) -> Option<Value<'static>>,
    len: usize,
}

fn trace_id(bytes: &[u8]) -> Option<Value<'static>> {
    bytes.try_into().ok().map(Value::TraceId)
}

fn span_id(bytes: &[u8]) -> Option<Value<'static>> {
    bytes.try_into().ok().map(Value::SpanId)
}

fn profile_id(bytes: &[u8]) -> Option<Value<'static>> {
    bytes.try_into().ok().map(Value::ProfileId)
}

/// A literal must be an id.
fn prepare(args: &[Argument], id: Id) -> Result<Arc<dyn Converter>, String> {
    if let Some(constant) = args.first().and_then(Argument::constant) {
        let bytes = crate::convert::bytes_like(constant.reborrow()).map_err(|error| error.to_string())?;
        id.decode(&bytes.unwrap_or_default()).map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(id))
}

impl Id {
    fn decode(&self, bytes: &[u8]) -> Result<Value<'static>, EvalError> {
        let (name, len) = (self.name, self.len);
        let decoded = if bytes.len() == len {
            (self.make)(bytes)
        } else if bytes.len() == 2 * len {
            decode_hex(bytes).and_then(|bytes| (self.make)(&bytes))
        } else {
            let message = format!(
                "{name}: could not decode ID: invalid length: expected {len} or {} bytes, got {}",
                2 * len,
                bytes.len()
            );
            return Err(EvalError::function(message));
        };
        decoded.ok_or_else(|| EvalError::function(format!("{name}: could not decode ID: invalid hex")))
    }
}

impl Converter for Id {
    fn call<'r>(&'r self, call: Call<'r>) -> Result<Value<'r>, EvalError> {
        self.decode(&call.bytes_like(0)?.unwrap_or_default())
    }
}
