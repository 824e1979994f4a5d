//! Source text to syntax tree, by recursive descent.
//!
//! The reference grammar tries its alternatives in order with backtracking. Here the alternatives that overlap are parsed
//! once and told apart by what follows, so that the work is linear; only an opening parenthesis in a condition (a group,
//! or the start of a sum) is tried twice, and nesting is bounded.

mod value;

use crate::ast::{BoolExpr, CompareOp, Statement, Value, ValueKind};
use crate::error::{Diagnostic, LoadError, Span, Subject};
use crate::lexer::{Kind, Token, position, tokens};

/// Deepest nesting of expressions.
pub const MAX_NESTING: usize = 64;

const VALUE: &str = r#"Field ("." Field)*"#;

/// Parses `editor(…) where …`.
///
/// # Errors
/// Syntax; a converter as statement; an editor as value; keys behind an editor.
pub fn parse_statement(source: &str) -> Result<Statement, LoadError> {
    parse(source, Subject::Statement, Parser::statement)
}

/// Parses a condition.
///
/// # Errors
/// Syntax; an editor as value.
pub fn parse_condition(source: &str) -> Result<BoolExpr, LoadError> {
    parse(source, Subject::Condition, Parser::or_expression)
}

/// Parses a value expression.
///
/// # Errors
/// Syntax; an editor as value.
pub fn parse_value_expression(source: &str) -> Result<Value, LoadError> {
    parse(source, Subject::ValueExpression, Parser::value)
}

fn parse<'s, T>(
    source: &'s str,
    subject: Subject,
    rule: impl FnOnce(&mut Parser<'s>) -> Result<T, Diagnostic>,
) -> Result<T, LoadError> {
    let attempt = || {
        let tokens = tokens(source)?;
        let mut parser = Parser { source, tokens, at: 0, depth: 0, misuse: None };
        let tree = rule(&mut parser)?;
        if parser.peek().kind != Kind::End {
            return Err(parser.unexpected(""));
        }
        Ok((tree, parser.misuse))
    };
    let kind = if subject == Subject::ValueExpression { "expression" } else { subject.name() };
    let diagnostic = match attempt() {
        Ok((tree, None)) => return Ok(tree),
        Ok((_, Some(misuse))) => misuse,
        Err(error) => error.within(format_args!("{kind} has invalid syntax")),
    };
    Err(LoadError::Invalid { subject, source_text: source.to_owned(), diagnostic })
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token<'s>>,
    at: usize,
    depth: usize,
    /// The first use of a well-formed thing in the wrong place; reported only when the syntax is right.
    misuse: Option<Diagnostic>,
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Token<'s> {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> Token<'s> {
        let end = Token { kind: Kind::End, text: "", start: self.source.len() };
        self.tokens.get(self.at + count).copied().unwrap_or(end)
    }

    fn next(&mut self) -> Token<'s> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn accept(&mut self, mark: &str) -> bool {
        let found = self.peek().is(mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<Token<'s>, Diagnostic> {
        if self.peek().is(mark) { Ok(self.next()) } else { Err(self.unexpected(&format!("\"{mark}\""))) }
    }

    /// The place of the last token that was taken.
    fn behind(&self) -> Span {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map(Token::span).unwrap_or_default()
    }

    fn fail(&self, token: Token<'_>, message: &str) -> Diagnostic {
        Diagnostic::new(token.span(), format!("{}: {message}", position(self.source, token.start)))
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let token = self.peek();
        let text = if token.kind == Kind::End { "<EOF>" } else { token.text };
        let text = crate::quote::quoted(text.as_bytes());
        if expected.is_empty() {
            self.fail(token, &format!("unexpected token {text}"))
        } else {
            self.fail(token, &format!("unexpected token {text} (expected {expected})"))
        }
    }

    fn misused(&mut self, span: Span, message: String) {
        self.misuse.get_or_insert_with(|| Diagnostic::new(span, message));
    }

    /// Runs a rule one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, Diagnostic>) -> Result<T, Diagnostic> {
        if self.depth == MAX_NESTING {
            return Err(self.fail(self.peek(), &format!("nested deeper than {MAX_NESTING} levels")));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self) -> Result<Statement, Diagnostic> {
        let converter = self.peek().kind == Kind::Upper;
        if !matches!(self.peek().kind, Kind::Upper | Kind::Lower) {
            return Err(self.unexpected("<lowercase>"));
        }
        let editor = self.call()?;
        if converter {
            let message = format!("editor names must start with a lowercase letter but got '{}'", editor.name);
            self.misused(editor.span, message);
        } else if !editor.keys.is_empty() {
            let keys = crate::ast::keys_text(&editor.keys);
            let message =
                format!("only paths and converters may be indexed, not editors, but got {}{keys}", editor.name);
            self.misused(editor.span, message);
        }
        let filtered = self.peek().kind == Kind::Lower && self.peek().text == "where";
        let condition = if filtered {
            self.next();
            Some(self.or_expression()?)
        } else {
            None
        };
        Ok(Statement { editor, condition })
    }

    fn or_expression(&mut self) -> Result<BoolExpr, Diagnostic> {
        let first = self.and_expression()?;
        if self.peek().kind != Kind::Or {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.peek().kind == Kind::Or {
            self.next();
            all.push(self.and_expression()?);
        }
        Ok(BoolExpr::Or(all))
    }

    fn and_expression(&mut self) -> Result<BoolExpr, Diagnostic> {
        let first = self.negation()?;
        if self.peek().kind != Kind::And {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.peek().kind == Kind::And {
            self.next();
            all.push(self.negation()?);
        }
        Ok(BoolExpr::And(all))
    }

    fn negation(&mut self) -> Result<BoolExpr, Diagnostic> {
        if self.peek().kind == Kind::Not {
            self.next();
            return Ok(BoolExpr::Not(Box::new(self.bool_value()?)));
        }
        self.bool_value()
    }

    fn bool_value(&mut self) -> Result<BoolExpr, Diagnostic> {
        if !self.peek().is("(") {
            return self.comparison();
        }
        let (start, misuse) = (self.at, self.misuse.clone());
        let sum = match self.comparison() {
            Ok(comparison) => return Ok(comparison),
            Err(error) => error,
        };
        self.at = start + 1;
        self.misuse = misuse;
        let group = self.nested(|parser| {
            let inner = parser.or_expression()?;
            parser.expect(")")?;
            Ok(inner)
        });
        // Of two attempts, the one that got further knows better what is wrong.
        group.map_err(|error| if sum.span.start > error.span.start { sum } else { error })
    }

    fn comparison(&mut self) -> Result<BoolExpr, Diagnostic> {
        let parenthesised = self.peek().is("(");
        let left = self.value()?;
        if self.peek().kind == Kind::Compare {
            let op = match self.next().text {
                "==" => CompareOp::Eq,
                "!=" => CompareOp::Ne,
                "<" => CompareOp::Lt,
                "<=" => CompareOp::Le,
                ">" => CompareOp::Gt,
                _ => CompareOp::Ge,
            };
            let right = self.value()?;
            return Ok(BoolExpr::Compare { op, left, right });
        }
        match left.kind {
            ValueKind::Bool(literal) => Ok(BoolExpr::Literal(literal)),
            ValueKind::Converter(call) if !parenthesised && call.name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                Ok(BoolExpr::Converter(call))
            }
            _ => Err(self.unexpected("<opcomparison> Value")),
        }
    }
}
