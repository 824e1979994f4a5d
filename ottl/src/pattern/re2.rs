//! RE2 syntax, as Go's parser reads it, rewritten for the `regex` crate.
//!
//! Every construct is recognised here and written out in an unambiguous form, because the two syntaxes share most of their
//! text but not all of its meaning: `\d \w \s \b` are ASCII in Go, `[[:alpha:]&&x]` is no intersection, `a{,3}` is
//! literal, `\Q…\E` exists, group names are freer. Names of groups are kept aside.

mod class;

use std::iter::Peekable;
use std::str::CharIndices;

/// A rewritten pattern, to be parsed with Unicode on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// In the syntax of the `regex` crate. Its groups have no names.
    pub regex: String,
    /// The name of each capture group, from the first.
    pub names: Vec<Option<String>>,
}

/// What Go's parser refuses, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Where in the pattern what is refused begins, in bytes.
    pub offset: usize,
    /// The reason, and the part of the pattern that it is about.
    message: String,
}

impl Refused {
    /// The reason alone.
    pub fn reason(&self) -> &str {
        self.message.split_once(": `").map_or(&self.message, |(reason, _)| reason)
    }
}

const MAX_REPEAT: u32 = 1_000;

/// Rewrites a pattern.
///
/// # Errors
/// What Go's parser refuses, in its words.
pub fn translate(pattern: &str) -> Result<Translated, Refused> {
    let mut parser = Parser {
        pattern,
        chars: pattern.char_indices().peekable(),
        out: String::with_capacity(pattern.len() * 2),
        names: Vec::new(),
        open: Vec::new(),
        atom: false,
        repeat: None,
    };
    while let Some((at, c)) = parser.chars.next() {
        parser.step(at, c).map_err(|message| Refused { offset: at, message })?;
    }
    if let Some(offset) = parser.open.pop() {
        return Err(Refused { offset, message: format!("missing closing ): `{pattern}`") });
    }
    Ok(Translated { regex: parser.out, names: parser.names })
}

struct Parser<'p> {
    pattern: &'p str,
    chars: Peekable<CharIndices<'p>>,
    out: String,
    names: Vec<Option<String>>,
    /// Where the groups that are open start.
    open: Vec<usize>,
    /// Whether something that can be repeated stands right before.
    atom: bool,
    /// Where the repetition operator right before started.
    repeat: Option<usize>,
}

impl<'p> Parser<'p> {
    /// The byte offset of the next character.
    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.pattern.len(), |(at, _)| *at)
    }

    fn text(&mut self, from: usize) -> &'p str {
        let to = self.at();
        self.pattern.get(from..to).unwrap_or("")
    }

    fn rest(&mut self) -> &'p str {
        let at = self.at();
        self.pattern.get(at..).unwrap_or("")
    }

    fn skip(&mut self, bytes: usize) {
        let end = self.at() + bytes;
        while self.chars.next_if(|(at, _)| *at < end).is_some() {}
    }

    fn step(&mut self, at: usize, c: char) -> Result<(), String> {
        match c {
            '*' | '+' | '?' => return self.repetition(at, c.to_string()),
            '{' => {
                if let Some(counts) = self.counts(at)? {
                    return self.repetition(at, counts);
                }
                self.literal('{');
            }
            '(' => self.group(at)?,
            ')' => {
                if self.open.pop().is_none() {
                    return Err(format!("unexpected ): `{}`", self.pattern));
                }
                self.out.push(')');
                self.atom = true;
            }
            '|' => {
                self.out.push('|');
                self.atom = false;
            }
            '^' | '$' | '.' => {
                self.out.push(c);
                self.atom = true;
            }
            '[' => {
                self.class(at)?;
                self.atom = true;
            }
            '\\' => self.escape(at)?,
            c => self.literal(c),
        }
        self.repeat = None;
        Ok(())
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.atom = true;
    }

    fn repetition(&mut self, at: usize, operator: String) -> Result<(), String> {
        let lazy = self.chars.next_if(|(_, c)| *c == '?').is_some();
        if let Some(before) = self.repeat {
            return Err(format!("invalid nested repetition operator: `{}`", self.text(before)));
        }
        if !self.atom {
            let text = self.text(at).trim_end_matches(if lazy { "?" } else { "" });
            return Err(format!("missing argument to repetition operator: `{text}`"));
        }
        self.out.push_str(&operator);
        if lazy {
            self.out.push('?');
        }
        self.repeat = Some(at);
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}` behind the brace; nothing is consumed if it is none of them.
    fn counts(&mut self, at: usize) -> Result<Option<String>, String> {
        let rest = self.rest();
        let Some((inside, _)) = rest.split_once('}') else { return Ok(None) };
        let (low, high) = match inside.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (inside, None),
        };
        let number = |text: &str| {
            let leading_zero = text.len() > 1 && text.starts_with('0');
            !text.is_empty() && !leading_zero && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !number(low) || high.is_some_and(|high| !high.is_empty() && !number(high)) {
            return Ok(None);
        }
        self.skip(inside.len() + 1);
        let value = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        let (least, most) = (value(low), high.filter(|high| !high.is_empty()).map(value));
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(format!("invalid repeat count: `{}`", self.text(at)));
        }
        Ok(Some(format!("{{{inside}}}")))
    }

    fn group(&mut self, at: usize) -> Result<(), String> {
        self.atom = false;
        let rest = self.rest();
        let Some(special) = rest.strip_prefix('?') else {
            self.open.push(at);
            self.names.push(None);
            self.out.push('(');
            return Ok(());
        };
        for prefix in ["P<", "<"] {
            let Some(named) = special.strip_prefix(prefix) else { continue };
            if named.starts_with(['=', '!']) {
                break; // look-behind
            }
            let Some((name, _)) = named.split_once('>') else {
                return Err(format!("invalid named capture: `{}`", &self.pattern[at..]));
            };
            self.skip(1 + prefix.len() + name.len() + 1);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
                return Err(format!("invalid named capture: `{}`", self.text(at)));
            }
            self.open.push(at);
            self.names.push(Some(name.to_owned()));
            self.out.push('(');
            return Ok(());
        }
        self.flags(at)
    }

    /// `(?flags)` or `(?flags:`.
    fn flags(&mut self, at: usize) -> Result<(), String> {
        self.skip(1);
        let (mut negated, mut any) = (false, false);
        let mut flags = String::from("(?");
        for (_, c) in self.chars.by_ref() {
            match c {
                'i' | 'm' | 's' | 'U' => any = true,
                '-' if !negated => {
                    negated = true;
                    any = false;
                }
                ':' | ')' if !negated || any => {
                    flags.push(c);
                    if c == ':' {
                        self.open.push(at);
                    }
                    if any || c == ':' {
                        self.out.push_str(&flags);
                    }
                    return Ok(());
                }
                _ => break,
            }
            flags.push(c);
        }
        Err(format!("invalid or unsupported Perl syntax: `{}`", self.text(at)))
    }

    fn escape(&mut self, at: usize) -> Result<(), String> {
        match self.chars.peek().map(|(_, c)| *c) {
            None => return Err("trailing backslash at end of expression: ``".to_owned()),
            Some('Q') => {
                self.skip(1);
                let rest = self.rest();
                let (quoted, closed) = rest.split_once("\\E").map_or((rest, false), |(quoted, _)| (quoted, true));
                quoted.chars().for_each(|c| self.literal(c));
                self.skip(quoted.len() + if closed { 2 } else { 0 });
                return Ok(());
            }
            Some('E') => {
                // A lone end of a quotation is an unknown escape.
                self.skip(1);
                return Err(format!("invalid escape sequence: `{}`", self.text(at)));
            }
            Some('b') => self.out.push_str("(?-u:\\b)"),
            Some('B') => self.out.push_str("(?-u:\\B)"),
            Some('A') => self.out.push_str("\\A"),
            Some('z') => self.out.push_str("\\z"),
            _ => {
                if let Some(class) = self.class_escape(at)? {
                    self.out.push_str(&class);
                } else {
                    let c = self.char_escape(at)?;
                    push_literal(&mut self.out, c);
                }
                self.atom = true;
                return Ok(());
            }
        }
        self.skip(1);
        self.atom = true;
        Ok(())
    }

    /// An escape that stands for one character, behind the backslash.
    fn char_escape(&mut self, at: usize) -> Result<char, String> {
        let Some((_, c)) = self.chars.next() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let digit = |parser: &mut Self, radix| {
            let next = parser.chars.next_if(|(_, c)| c.is_digit(radix));
            next.and_then(|(_, c)| c.to_digit(radix))
        };
        let code = match c {
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            'x' if self.chars.next_if(|(_, c)| *c == '{').is_some() => {
                let mut code = digit(self, 16);
                while let Some(next) = code.is_some().then(|| digit(self, 16)).flatten() {
                    code = code.and_then(|code| code.checked_mul(16)?.checked_add(next)).filter(|c| *c <= 0x10_ffff);
                }
                code.filter(|_| self.chars.next_if(|(_, c)| *c == '}').is_some())
            }
            'x' => digit(self, 16).and_then(|high| Some(high * 16 + digit(self, 16)?)),
            '0'..='7' => {
                let first = c.to_digit(8);
                let more = self.chars.peek().is_some_and(|(_, c)| c.is_digit(8));
                if c != '0' && !more {
                    None // a back-reference
                } else {
                    let mut code = first;
                    for _ in 0..2 {
                        match digit(self, 8) {
                            Some(next) => code = code.map(|code| code * 8 + next),
                            None => break,
                        }
                    }
                    code
                }
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        let valid = code.and_then(char::from_u32);
        valid.ok_or_else(|| format!("invalid escape sequence: `{}`", self.text(at)))
    }
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && c != '_' {
        // Every ASCII punctuation mark may be escaped, except those that escapes give a meaning.
        if matches!(c, '<' | '>') {
            out.push(c);
            return;
        }
        out.push('\\');
    }
    out.push(c);
}
