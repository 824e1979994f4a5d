//! Points in time and durations.

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, Param, optional, required};
use crate::time::{Civil, Time, parse_duration};
use crate::value::Value;

const TIME: &[Param] = &[required("time", Kind::Time)];
const DURATION: &[Param] = &[required("duration", Kind::Duration)];

pub(crate) const FAMILY: &[Function] = &[
    Function::converter("Now", &[], |call| Ok(Value::Time(call.scope.clock.now()))).impure(),
    Function::converter("Duration", &[required("duration", Kind::String)], duration),
    Function::converter(
        "TruncateTime",
        &[required("time", Kind::Time), required("duration", Kind::Duration)],
        |call| Ok(Value::Time(call.time(0)?.truncated(call.duration(1)?))),
    ),
    Function::converter("Unix", &[required("seconds", Kind::Int), optional("nanoseconds", Kind::Int)], |call| {
        let nanos = if call.given(1) { call.int(1)? } else { 0 };
        Ok(Value::Time(Time::from_unix(call.int(0)?, nanos)))
    }),
    Function::converter("UnixNano", TIME, |call| Ok(Value::Int(call.time(0)?.unix_nanos()))),
    Function::converter("UnixMicro", TIME, |call| since_epoch(call, 1_000)),
    Function::converter("UnixMilli", TIME, |call| since_epoch(call, 1_000_000)),
    Function::converter("UnixSeconds", TIME, |call| Ok(Value::Int(call.time(0)?.unix_seconds()))),
    Function::converter("Year", TIME, |call| civil(call, |c| c.year)),
    Function::converter("Month", TIME, |call| civil(call, |c| c.month.into())),
    Function::converter("Day", TIME, |call| civil(call, |c| c.day.into())),
    Function::converter("Hour", TIME, |call| civil(call, |c| c.hour.into())),
    Function::converter("Minute", TIME, |call| civil(call, |c| c.minute.into())),
    Function::converter("Second", TIME, |call| civil(call, |c| c.second.into())),
    Function::converter("Nanosecond", TIME, |call| civil(call, |c| c.nanosecond.into())),
    Function::converter("Weekday", TIME, |call| civil(call, |c| c.weekday.into())),
    Function::converter("Nanoseconds", DURATION, |call| Ok(Value::Int(call.duration(0)?))),
    Function::converter("Microseconds", DURATION, |call| Ok(Value::Int(call.duration(0)? / 1_000))),
    Function::converter("Milliseconds", DURATION, |call| Ok(Value::Int(call.duration(0)? / 1_000_000))),
    Function::converter("Seconds", DURATION, |call| fraction(call, 1_000_000_000)),
    Function::converter("Minutes", DURATION, |call| fraction(call, 60_000_000_000)),
    Function::converter("Hours", DURATION, |call| fraction(call, 3_600_000_000_000)),
];

fn duration(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let text = call.string(0)?;
    let nanos = parse_duration(&String::from_utf8_lossy(&text)).map_err(EvalError::function)?;
    Ok(Value::Duration(nanos))
}

fn since_epoch(call: Call<'_>, unit: i128) -> Result<Value<'_>, EvalError> {
    Ok(Value::Int(call.time(0)?.nanos_since_epoch().div_euclid(unit) as i64))
}

fn civil(call: Call<'_>, part: fn(Civil) -> i64) -> Result<Value<'_>, EvalError> {
    Ok(Value::Int(part(call.time(0)?.civil())))
}

/// Whole units and the rest apart, so that long durations keep their precision.
fn fraction(call: Call<'_>, unit: i64) -> Result<Value<'_>, EvalError> {
    let nanos = call.duration(0)?;
    Ok(Value::Float((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64))
}
