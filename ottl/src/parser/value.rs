//! Values: literals, sums, paths, calls, lists and maps.

use super::{Parser, VALUE};
use crate::ast::{Arg, ArgValue, Call, Field, Key, KeyKind, MathOp, Path, Value, ValueKind};
use crate::error::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::quote::{quoted, unquote};

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Result<Value, Diagnostic> {
        self.nested(Self::value_here)
    }

    fn value_here(&mut self) -> Result<Value, Diagnostic> {
        let token = self.peek();
        let kind = match token.kind {
            Kind::Nil => ValueKind::Nil,
            Kind::Boolean => ValueKind::Bool(token.text == "true"),
            Kind::Bytes => ValueKind::Bytes(self.bytes(token)?),
            Kind::String => ValueKind::String(self.string(token)?),
            Kind::Upper if self.call_ahead().is_none() => {
                if self.ahead(1).kind == Kind::Lower {
                    self.next(); // a mixed-case name that is no call
                    return Err(self.unexpected(""));
                }
                ValueKind::Enum(token.text.to_owned())
            }
            Kind::Mark if token.is("[") => return self.list(),
            Kind::Mark if token.is("{") => return self.map(),
            _ => return self.sum(),
        };
        self.next();
        Ok(Value { span: token.span(), kind })
    }

    fn bytes(&self, token: Token<'_>) -> Result<Vec<u8>, Diagnostic> {
        crate::text::decode_hex(&token.text.as_bytes()[2..])
            .ok_or_else(|| self.fail(token, "failed to capture: encoding/hex: odd length hex string"))
    }

    fn string(&self, token: Token<'_>) -> Result<String, Diagnostic> {
        let inside = token.text.get(1..token.text.len().saturating_sub(1)).unwrap_or("");
        unquote(inside).ok_or_else(|| {
            let text = quoted(token.text.as_bytes());
            self.fail(token, &format!("invalid quoted string {text}: invalid syntax"))
        })
    }

    /// How many tokens make up the function name that starts here, if an opening parenthesis follows it.
    fn call_ahead(&self) -> Option<usize> {
        let len = self.name_ahead();
        (len > 0 && self.ahead(len).is("(")).then_some(len)
    }

    fn name_ahead(&self) -> usize {
        let mut len = 0;
        while matches!(self.ahead(len).kind, Kind::Upper | Kind::Lower) {
            len += 1;
        }
        len
    }

    fn name(&mut self, len: usize) -> String {
        (0..len).map(|_| self.next().text).collect()
    }

    fn sum(&mut self) -> Result<Value, Diagnostic> {
        self.operators(Kind::AddSub, |parser| parser.operators(Kind::MulDiv, Self::factor))
    }

    fn operators(
        &mut self,
        kind: Kind,
        operand: impl Fn(&mut Self) -> Result<Value, Diagnostic>,
    ) -> Result<Value, Diagnostic> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while self.peek().kind == kind {
            let op = match self.next().text {
                "+" => MathOp::Add,
                "-" => MathOp::Sub,
                "*" => MathOp::Mul,
                _ => MathOp::Div,
            };
            rest.push((op, operand(self)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let span = first.span.to(self.behind());
        Ok(Value { span, kind: ValueKind::Math(Box::new(first), rest) })
    }

    fn factor(&mut self) -> Result<Value, Diagnostic> {
        let sign = self.peek();
        if sign.kind == Kind::AddSub {
            self.next();
        }
        let operand = if self.accept("(") {
            self.nested(|parser| {
                let inner = parser.sum()?;
                parser.expect(")")?;
                Ok(inner)
            })?
        } else {
            self.literal()?
        };
        if sign.kind == Kind::AddSub && sign.text == "-" {
            let span = sign.span().to(operand.span);
            return Ok(Value { span, kind: ValueKind::Neg(Box::new(operand)) });
        }
        Ok(operand)
    }

    fn literal(&mut self) -> Result<Value, Diagnostic> {
        let token = self.peek();
        let kind = match token.kind {
            Kind::Float => {
                self.next();
                ValueKind::Float(token.text.parse().map_err(|_| self.fail(token, "invalid float"))?)
            }
            Kind::Int => {
                self.next();
                ValueKind::Int(self.int(token)?)
            }
            Kind::Lower | Kind::Upper if self.call_ahead().is_some() => {
                let call = self.call()?;
                if token.kind == Kind::Lower {
                    let message =
                        format!("converter names must start with an uppercase letter but got '{}'", call.name);
                    self.misused(call.span, message);
                }
                ValueKind::Converter(call)
            }
            Kind::Lower => ValueKind::Path(self.path()?),
            _ => return Err(self.unexpected(VALUE)),
        };
        Ok(Value { span: token.span().to(self.behind()), kind })
    }

    fn int(&self, token: Token<'_>) -> Result<i64, Diagnostic> {
        token.text.parse().map_err(|_| {
            let text = quoted(token.text.as_bytes());
            self.fail(token, &format!("failed to conform: strconv.ParseInt: parsing {text}: value out of range"))
        })
    }

    fn path(&mut self) -> Result<Path, Diagnostic> {
        let span = self.peek().span();
        let mut fields = Vec::new();
        loop {
            let name = self.next().text.to_owned();
            fields.push(Field { name, keys: self.keys()? });
            if !self.peek().is(".") {
                break;
            }
            match (self.ahead(1).kind, fields.as_slice()) {
                (Kind::Lower, _) => self.next(),
                // A lone first name may be a context, and then something must follow.
                (_, [first]) if first.keys.is_empty() => {
                    self.next();
                    return Err(self.unexpected(VALUE));
                }
                _ => break,
            };
        }
        Ok(Path { span: span.to(self.behind()), fields })
    }

    fn keys(&mut self) -> Result<Vec<Key>, Diagnostic> {
        let mut keys = Vec::new();
        while self.accept("[") {
            let token = self.peek();
            let kind = if token.kind == Kind::String {
                self.next();
                KeyKind::String(self.string(token)?)
            } else {
                let value = self.nested(Self::sum)?;
                match value.kind {
                    ValueKind::Int(index) => KeyKind::Int(index),
                    _ => KeyKind::Value(Box::new(value)),
                }
            };
            self.expect("]")?;
            keys.push(Key { span: token.span().to(self.behind()), kind });
        }
        Ok(keys)
    }

    pub(super) fn call(&mut self) -> Result<Call, Diagnostic> {
        let first = self.peek().span();
        let len = self.name_ahead();
        let name = self.name(len);
        let span = first.to(self.behind());
        self.expect("(")?;
        let args = self.separated("\")\" Key*", ")", Self::arg)?;
        Ok(Call { name, span, args, keys: self.keys()? })
    }

    /// Elements up to a closing mark, with commas between them.
    fn separated<T>(
        &mut self,
        expected: &str,
        close: &str,
        element: impl Fn(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<Vec<T>, Diagnostic> {
        let mut all = Vec::new();
        if self.accept(close) {
            return Ok(all);
        }
        all.push(element(self)?);
        all.extend(self.separated_tail(expected, close, element)?);
        Ok(all)
    }

    /// As [`separated`](Self::separated), from the first comma or the closing mark.
    fn separated_tail<T>(
        &mut self,
        expected: &str,
        close: &str,
        element: impl Fn(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<Vec<T>, Diagnostic> {
        let mut all = Vec::new();
        while self.peek().is(",") {
            let comma = self.at;
            self.next();
            if !self.peek().starts_value() {
                // The comma is what should not be there.
                self.at = comma;
                return Err(self.unexpected(expected));
            }
            all.push(element(self)?);
        }
        if !self.peek().is(close) {
            return Err(self.unexpected(expected));
        }
        self.next();
        Ok(all)
    }

    fn arg(&mut self) -> Result<Arg, Diagnostic> {
        let start = self.peek();
        let len = self.name_ahead();
        let named = start.kind == Kind::Lower && self.ahead(len).is("=");
        let name = named.then(|| self.name(len));
        if named {
            self.next();
        }
        let bare = self.peek().kind == Kind::Upper && self.ahead(1).kind == Kind::Lower && self.call_ahead().is_none();
        let value = if bare {
            let len = self.name_ahead();
            ArgValue::Function(self.name(len))
        } else {
            ArgValue::Value(self.value()?)
        };
        Ok(Arg { name, span: start.span().to(self.behind()), value })
    }

    /// The reference grammar also takes elements without commas before the first comma, and a leading comma.
    fn list(&mut self) -> Result<Value, Diagnostic> {
        let start = self.expect("[")?;
        let mut items = Vec::new();
        while !self.peek().is(",") && !self.peek().is("]") {
            if !items.is_empty() && !self.peek().starts_value() {
                return Err(self.unexpected("\"]\""));
            }
            items.push(self.value()?);
        }
        if self.peek().is(",") {
            items.extend(self.separated_tail("\"]\"", "]", Self::value)?);
        } else {
            self.expect("]")?;
        }
        Ok(Value { span: start.span().to(self.behind()), kind: ValueKind::List(items) })
    }

    fn map(&mut self) -> Result<Value, Diagnostic> {
        let start = self.expect("{")?;
        let mut items = Vec::new();
        while self.peek().kind == Kind::String {
            let token = self.next();
            let key = self.string(token)?;
            self.expect(":")?;
            items.push((key, self.value()?));
            self.accept(",");
        }
        self.expect("}")?;
        Ok(Value { span: start.span().to(self.behind()), kind: ValueKind::Map(items) })
    }
}
