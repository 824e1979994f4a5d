//! Values: literals, paths with their keys, enums, arithmetic.

use super::Compiler;
use crate::ast::{self, KeyKind, ValueKind};
use crate::context::Context;
use crate::error::Diagnostic;
use crate::expr::{Expr, KeyExpr, Keyed};
use crate::path::{Field, Path, resolve};
use crate::quote::quoted;
use crate::record::AttributeKey;
use crate::symbols::{enum_names, enum_value};
use crate::value::Value;

/// A key of a map literal and its value.
type Entry = (Box<[u8]>, Expr);

impl Compiler<'_> {
    pub(super) fn expr(&mut self, value: &ast::Value) -> Result<Expr, Diagnostic> {
        let expr = match &value.kind {
            ValueKind::Nil => return Ok(Expr::Const(Value::Nil)),
            ValueKind::Bool(b) => return Ok(Expr::Const(Value::Bool(*b))),
            ValueKind::Int(n) => return Ok(Expr::Const(Value::Int(*n))),
            ValueKind::Float(x) => return Ok(Expr::Const(Value::Float(*x))),
            ValueKind::String(text) => return Ok(Expr::Const(Value::string(text.as_str()))),
            ValueKind::Bytes(bytes) => return Ok(Expr::Const(Value::Bytes(bytes.clone().into()))),
            ValueKind::Enum(name) => return self.symbol(value, name),
            ValueKind::Path(path) => return self.path(path),
            ValueKind::Converter(call) => return self.call(call),
            ValueKind::Neg(inner) => Expr::Neg(Box::new(self.expr(inner)?)),
            ValueKind::Math(first, rest) => {
                let first = self.expr(first)?;
                let rest: Result<_, Diagnostic> =
                    rest.iter().map(|(op, operand)| Ok((*op, self.expr(operand)?))).collect();
                Expr::Math(Box::new(first), rest?)
            }
            ValueKind::List(items) => Expr::List(items.iter().map(|item| self.expr(item)).collect::<Result<_, _>>()?),
            ValueKind::Map(items) => Expr::Map(self.entries(items)?),
        };
        // Arithmetic that fails on constants fails on every record, not at load.
        Ok(match is_constant(&expr).then(|| Self::folded(&expr)).flatten() {
            Some(value) => Expr::Const(value),
            None => expr,
        })
    }

    /// Of equal keys the last counts, as in a Go map.
    fn entries(&mut self, items: &[(String, ast::Value)]) -> Result<Vec<Entry>, Diagnostic> {
        let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
        for (key, item) in items {
            let expr = self.expr(item)?;
            match entries.iter_mut().find(|(known, _)| **known == *key.as_bytes()) {
                Some((_, old)) => *old = expr,
                None => entries.push((key.as_bytes().into(), expr)),
            }
        }
        Ok(entries)
    }

    fn symbol(&self, value: &ast::Value, name: &str) -> Result<Expr, Diagnostic> {
        if let Some(number) = enum_value(self.context, name) {
            return Ok(Expr::Const(Value::Int(number)));
        }
        let mut diagnostic = Diagnostic::new(value.span, format!("enum symbol, {name}, not found"));
        let known = enum_names(self.context);
        diagnostic.suggestion = crate::suggest::closest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Err(diagnostic)
    }

    pub(super) fn path(&mut self, path: &ast::Path) -> Result<Expr, Diagnostic> {
        let (level, fields, text) = self.level(path)?;
        let (resolved, keys) = resolve(level, &text, path.span, fields)?;
        if resolved.field == Field::Cache && level != self.context {
            let behind = text.split_once('.').map_or("", |(_, rest)| rest);
            let better = format!("{}.{behind}", self.context.name());
            let message = format!(
                "access to cache must be performed using the same context, please replace {} with {}",
                quoted(text.as_bytes()),
                quoted(better.as_bytes())
            );
            return Err(Diagnostic::new(path.span, message));
        }
        if resolved.field == Field::TraceState && !keys.is_empty() {
            return trace_state(resolved, keys, path);
        }
        let mut keys = keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>, _>>()?;
        if let (Field::ClientMetadata | Field::GrpcMetadata, Some(KeyExpr::Str(key))) =
            (resolved.field, keys.first_mut())
        {
            key.make_ascii_lowercase(); // as the keys of metadata are
        }
        let base = match keys.first() {
            Some(KeyExpr::Str(key)) if resolved.field == Field::Attributes => {
                let attribute = self.attribute(level, key.clone());
                keys.remove(0);
                Expr::Attribute(attribute)
            }
            _ => Expr::Path(resolved),
        };
        Ok(if keys.is_empty() { base } else { Expr::Keyed(Box::new(Keyed { base, keys })) })
    }

    /// Which level a path reads, and the names behind the level's name.
    fn level<'t>(&mut self, path: &'t ast::Path) -> Result<(Context, &'t [ast::Field], String), Diagnostic> {
        let text = path.text();
        let named = path.context();
        if let Some(level) = named.and_then(Context::from_name).filter(|level| self.context.sees(*level)) {
            return Ok((level, path.fields.get(1..).unwrap_or_default(), text));
        }
        if self.unprefixed {
            self.added_prefix = true;
            return Ok((self.context, &path.fields, format!("{}.{text}", self.context.name())));
        }
        let message = match named {
            Some(name) => {
                let options: Vec<_> = self.context.prefixes().map(|prefix| format!("\"{prefix}\"")).collect();
                format!(
                    "context \"{name}\" from path {} is not valid, it must be replaced by one of: {}",
                    quoted(text.as_bytes()),
                    options.join(", ")
                )
            }
            None => {
                let options: Vec<_> = self.context.prefixes().map(|prefix| format!("\"{prefix}.{text}\"")).collect();
                format!(
                    "missing context name for path {}, possibly valid options are: {}",
                    quoted(text.as_bytes()),
                    options.join(", ")
                )
            }
        };
        Err(Diagnostic::new(path.span, message))
    }

    pub(super) fn key(&mut self, key: &ast::Key) -> Result<KeyExpr, Diagnostic> {
        Ok(match &key.kind {
            KeyKind::String(text) => KeyExpr::Str(text.as_bytes().into()),
            KeyKind::Int(index) => KeyExpr::Int(*index),
            KeyKind::Value(value) => match self.expr(value)? {
                Expr::Const(Value::Int(index)) => KeyExpr::Int(index),
                Expr::Const(Value::Str(text)) => KeyExpr::Str(text.into_owned().into()),
                expr => KeyExpr::Dynamic(expr),
            },
        })
    }

    fn attribute(&mut self, level: Context, key: Box<[u8]>) -> AttributeKey {
        let next = self.slots.len();
        let slot = *self.slots.entry((level, key.clone())).or_insert(next);
        AttributeKey { level, key, slot }
    }
}

fn trace_state(path: Path, keys: &[ast::Key], place: &ast::Path) -> Result<Expr, Diagnostic> {
    match keys {
        [ast::Key { kind: KeyKind::String(key), .. }] => Ok(Expr::TraceState(path, key.as_bytes().into())),
        [_] => Err(Diagnostic::new(place.span, "trace_state indexing type must be a string")),
        _ => Err(Diagnostic::new(place.span, "must provide exactly 1 key when accessing trace_state")),
    }
}

fn is_constant(expr: &Expr) -> bool {
    let constant = |expr: &Expr| matches!(expr, Expr::Const(_));
    match expr {
        Expr::Neg(inner) => constant(inner),
        Expr::Math(first, rest) => constant(first) && rest.iter().all(|(_, operand)| constant(operand)),
        Expr::List(items) => items.iter().all(constant),
        Expr::Map(entries) => entries.iter().all(|(_, value)| constant(value)),
        other => constant(other),
    }
}
