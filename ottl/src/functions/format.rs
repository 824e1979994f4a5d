//! `Format`: text by Go's format verbs. What does not fit shows up in the text, as Go has it: `%!d(string=x)`.

mod verbs;

use std::iter::Peekable;
use std::str::Chars;

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, required};
use crate::text::MAX_RESULT;
use crate::value::Value;
use verbs::write_value;

pub(crate) const FAMILY: &[Function] = &[Function::converter(
    "Format",
    &[required("format", Kind::LiteralString), required("args", Kind::Items(&Kind::Any))],
    format,
)];

/// Widths and precisions beyond this are bad, as in Go.
const MAX_SIZE: i64 = 1_000_000;

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The arguments and how far they are used.
struct Args<'r> {
    values: Vec<Value<'r>>,
    next: usize,
    /// An argument was named by number; then left-over ones are not reported.
    reordered: bool,
}

impl<'r> Args<'r> {
    fn take(&mut self) -> Option<&Value<'r>> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        value
    }
}

fn format(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let template = call.string(0)?;
    let template = String::from_utf8_lossy(&template);
    let mut args = Args { values: call.items(1).collect::<Result<_, _>>()?, next: 0, reordered: false };
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' {
            directive(&mut out, &mut chars, &mut args);
        } else {
            out.push(c);
        }
        if out.len() > MAX_RESULT {
            return Err(EvalError::TooLarge("Format"));
        }
    }
    if !args.reordered && args.next < args.values.len() {
        let extra = args.values.iter().skip(args.next).map(|value| match value {
            Value::Nil => "<nil>".to_owned(),
            value => {
                let mut text = format!("{}=", value.type_name());
                write_value(&mut text, value, 'v', Spec::default());
                text
            }
        });
        let extra: Vec<String> = extra.collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(Value::string(out))
}

/// One directive, behind its percent sign.
fn directive(out: &mut String, chars: &mut Peekable<Chars<'_>>, args: &mut Args<'_>) {
    let mut spec = Spec::default();
    loop {
        match chars.peek() {
            Some('-') => spec.minus = true,
            Some('+') => spec.plus = true,
            Some('#') => spec.sharp = true,
            Some(' ') => spec.space = true,
            Some('0') => spec.zero = true,
            _ => break,
        }
        chars.next();
    }
    let mut good = index(chars, args);
    if chars.next_if_eq(&'*').is_some() {
        match size(args) {
            Some(width) => {
                spec.minus |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).ok();
            }
            None => out.push_str("%!(BADWIDTH)"),
        }
        good &= index(chars, args);
    } else {
        spec.width = number(chars);
    }
    if chars.next_if_eq(&'.').is_some() {
        good &= index(chars, args);
        if chars.next_if_eq(&'*').is_some() {
            match size(args) {
                Some(precision) if precision >= 0 => spec.precision = usize::try_from(precision).ok(),
                Some(_) => {}
                None => out.push_str("%!(BADPREC)"),
            }
            good &= index(chars, args);
        } else {
            spec.precision = Some(number(chars).unwrap_or(0));
        }
    }
    good &= index(chars, args);
    let Some(verb) = chars.next() else {
        out.push_str("%!(NOVERB)");
        return;
    };
    if verb == '%' {
        out.push('%');
        return;
    }
    if !good {
        out.push_str(&format!("%!{verb}(BADINDEX)"));
        return;
    }
    match args.take() {
        Some(value) => write_value(out, value, verb, spec),
        None => out.push_str(&format!("%!{verb}(MISSING)")),
    }
}

/// `[n]`: the argument to go on with. False if it is none.
fn index(chars: &mut Peekable<Chars<'_>>, args: &mut Args<'_>) -> bool {
    if chars.next_if_eq(&'[').is_none() {
        return true;
    }
    args.reordered = true;
    let at = number(chars);
    let mut closed = chars.next_if_eq(&']').is_some();
    let number_alone = closed;
    while !closed && chars.peek().is_some() {
        closed = chars.next() == Some(']');
    }
    match at.and_then(|at| at.checked_sub(1)) {
        Some(at) if number_alone && at < args.values.len() => {
            args.next = at;
            true
        }
        _ => false,
    }
}

fn number(chars: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let next = value.unwrap_or(0usize).saturating_mul(10).saturating_add(digit as usize);
        value = Some(next.min(MAX_SIZE as usize));
    }
    value
}

/// A width or precision that is an argument.
fn size(args: &mut Args<'_>) -> Option<i64> {
    match args.take() {
        Some(Value::Int(n)) if (-MAX_SIZE..=MAX_SIZE).contains(n) => Some(*n),
        _ => None,
    }
}
