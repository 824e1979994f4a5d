//! JSON text to values: all numbers are floats, of equal keys the last counts. As upstream's reader, it lets pass leading
//! zeros, a point without digits behind it, and control characters in strings.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::EvalError;
use crate::function::{Call, Function, Kind, required};
use crate::value::{Entry, MAX_VALUE_DEPTH, Value};

pub(crate) const FAMILY: &[Function] =
    &[Function::converter("ParseJSON", &[required("target", Kind::String)], parse_json)];

fn parse_json(call: Call<'_>) -> Result<Value<'_>, EvalError> {
    let text = call.string(0)?;
    let mut parser = Parser { text: &text, at: 0 };
    let value = parser.value()?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.unexpected("after top-level value"));
    }
    match value {
        Value::Map(_) | Value::List(_) => Ok(value),
        other => Err(EvalError::function(format!(
            "could not convert parsed value of type {} to JSON object",
            other.dynamic_type_name()
        ))),
    }
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, place: &str) -> EvalError {
        match self.text.get(self.at..).and_then(|rest| rest.utf8_chunks().next()) {
            Some(chunk) => {
                let c = chunk.valid().chars().next().unwrap_or('\u{fffd}');
                EvalError::function(format!("invalid character {c:?} {place}"))
            }
            None => EvalError::Text("unexpected end of JSON input"),
        }
    }

    /// One value. Containers wait on a stack of their own, so that deep nesting costs no recursion.
    fn value(&mut self) -> Result<Value<'static>, EvalError> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            self.space();
            let mut done = match self.peek() {
                Some(mark @ (b'{' | b'[')) => {
                    if open.len() == MAX_VALUE_DEPTH {
                        return Err(EvalError::TooDeep(MAX_VALUE_DEPTH));
                    }
                    self.at += 1;
                    let mut container =
                        if mark == b'{' { Container::Object(Object::default()) } else { Container::Array(Vec::new()) };
                    self.space();
                    if self.peek() == Some(container.end()) {
                        self.at += 1;
                        container.close()
                    } else {
                        self.element(&mut container)?;
                        open.push(container);
                        continue;
                    }
                }
                _ => self.scalar()?,
            };
            // A value is complete: it belongs to the innermost container, which may be complete then, and so on.
            loop {
                let Some(mut container) = open.pop() else { return Ok(done) };
                container.add(done);
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.element(&mut container)?;
                        open.push(container);
                        break;
                    }
                    Some(end) if end == container.end() => {
                        self.at += 1;
                        done = container.close();
                    }
                    _ => return Err(self.unexpected(container.after_element())),
                }
            }
        }
    }

    /// What stands in front of an element: nothing in an array, the key in an object.
    fn element(&mut self, container: &mut Container) -> Result<(), EvalError> {
        let Container::Object(object) = container else { return Ok(()) };
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        object.key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<Value<'static>, EvalError> {
        match self.peek() {
            Some(b'"') => Ok(Value::Str(Cow::Owned(self.string()?))),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Value<'static>) -> Result<Value<'static>, EvalError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.unexpected(&format!("in literal {word}")));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value<'static>, EvalError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.digits() == 0 {
            return Err(self.unexpected("in numeric literal"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.unexpected("in exponent of numeric literal"));
            }
        }
        let text = self.text.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("");
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Value::Float(x)),
            _ => Err(EvalError::Text("json: cannot unmarshal number into Go value of type float64")),
        }
    }

    /// A string in quotes. Control characters may stand as they are: log lines have them. Lone surrogates and bytes that are not UTF-8 become U+FFFD.
    fn string(&mut self) -> Result<Vec<u8>, EvalError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\')).count();
            out.extend_from_slice(&crate::text::readable(&rest[..plain]));
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, EvalError> {
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, EvalError> {
        let first = self.code_unit()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let after = self.at;
        if first < 0xdc00 && self.text.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
            self.at += 2;
            let second = self.code_unit()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
            }
            self.at = after; // another character of its own
        }
        Ok('\u{fffd}')
    }

    fn code_unit(&mut self) -> Result<u32, EvalError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// An object under construction.
#[derive(Default)]
struct Object {
    entries: Vec<Entry<'static>>,
    places: HashMap<Vec<u8>, usize>,
    /// The key of the value that is being read.
    key: Vec<u8>,
}

/// A container under construction.
enum Container {
    Array(Vec<Value<'static>>),
    Object(Object),
}

impl Container {
    fn end(&self) -> u8 {
        match self {
            Container::Array(_) => b']',
            Container::Object(_) => b'}',
        }
    }

    fn after_element(&self) -> &'static str {
        match self {
            Container::Array(_) => "after array element",
            Container::Object(_) => "after object key:value pair",
        }
    }

    fn add(&mut self, value: Value<'static>) {
        match self {
            Container::Array(items) => items.push(value),
            Container::Object(object) => {
                let key = std::mem::take(&mut object.key);
                match object.places.get(&key) {
                    Some(place) => object.entries[*place].1 = value,
                    None => {
                        object.places.insert(key.clone(), object.entries.len());
                        object.entries.push((Cow::Owned(key), value));
                    }
                }
            }
        }
    }

    fn close(self) -> Value<'static> {
        match self {
            Container::Array(items) => Value::list(items),
            Container::Object(object) => Value::map(object.entries),
        }
    }
}
