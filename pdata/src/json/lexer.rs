//! The tokens of JSON (RFC 8259), read forward from bytes that are known to be UTF-8.

use std::borrow::Cow;

use memchr::memchr2;

use super::Error;

/// A string: what stands between its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    body: &'a [u8],
    escaped: bool,
    /// Offset of the body.
    pub offset: usize,
}

impl<'a> Text<'a> {
    /// The string without escapes.
    pub(super) fn decoded(self) -> Result<Cow<'a, [u8]>, Error> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.body));
        }
        let mut out = Vec::with_capacity(self.body.len());
        self.decode(&mut out)?;
        Ok(Cow::Owned(out))
    }

    /// The string, if it holds no escapes.
    #[inline]
    pub(super) fn plain(self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.body)
    }

    /// Appends the string without escapes. A lone surrogate becomes U+FFFD: JavaScript cuts strings between surrogates.
    pub(super) fn decode(self, out: &mut Vec<u8>) -> Result<(), Error> {
        let body = self.body;
        let mut pos = 0;
        while let Some(at) = memchr::memchr(b'\\', &body[pos..]) {
            out.extend_from_slice(&body[pos..pos + at]);
            let escape = pos + at;
            let fault = || Error::new(self.offset + escape, "a valid escape");
            let plain = match body.get(escape + 1).ok_or_else(fault)? {
                b'"' => b'"',
                b'\\' => b'\\',
                b'/' => b'/',
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let unit = code_unit(body, escape + 2).ok_or_else(fault)?;
                    pos = escape + 6;
                    let low = if (0xd800..0xdc00).contains(&unit) && body.get(pos..pos + 2) == Some(b"\\u") {
                        code_unit(body, pos + 2).filter(|low| (0xdc00..0xe000).contains(low))
                    } else {
                        None
                    };
                    let code = match low {
                        Some(low) => {
                            pos += 6;
                            0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                        }
                        None => unit,
                    };
                    let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                _ => return Err(fault()),
            };
            out.push(plain);
            pos = escape + 2;
        }
        out.extend_from_slice(&body[pos..]);
        Ok(())
    }
}

/// The UTF-16 code unit that four hexadecimal digits name.
fn code_unit(body: &[u8], at: usize) -> Option<u32> {
    let digits = body.get(at..at + 4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)?))
}

/// A forward reader of tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Lexer { text, pos: 0 }
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// An error at the next token.
    #[cold]
    pub(super) fn expected(&self, what: &'static str) -> Error {
        Error::new(self.pos, what)
    }

    /// The first byte of the next token, which is not consumed; zero at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.text.get(self.pos) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.pos += 1;
        }
        0
    }

    /// Whether only white space is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek();
        self.pos >= self.text.len()
    }

    /// Consumes one byte of punctuation if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && self.pos < self.text.len();
        self.pos += usize::from(found);
        found
    }

    /// Consumes one byte of punctuation.
    #[inline]
    pub(super) fn require(&mut self, byte: u8, what: &'static str) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Consumes `true`, `false` or `null` if it comes next.
    #[inline]
    pub(super) fn take_literal(&mut self, literal: &[u8]) -> bool {
        self.peek();
        let found = self.text[self.pos..].starts_with(literal);
        let ends = !self.text.get(self.pos + literal.len()).is_some_and(u8::is_ascii_alphanumeric);
        self.pos += if found && ends { literal.len() } else { 0 };
        found && ends
    }

    /// A string, with its escapes.
    #[inline]
    pub(super) fn string(&mut self, what: &'static str) -> Result<Text<'a>, Error> {
        if self.peek() != b'"' {
            return Err(self.expected(what));
        }
        let offset = self.pos + 1;
        let (mut end, mut escaped) = (offset, false);
        loop {
            let rest = self.text.get(end..).unwrap_or_default();
            let at = memchr2(b'"', b'\\', rest).ok_or_else(|| Error::new(self.text.len(), "the end of a string"))?;
            end += at;
            if self.text[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2; // a backslash and what it escapes
        }
        let body = &self.text[offset..end];
        if body.iter().any(|&byte| byte < 0x20) {
            let at = body.iter().position(|&byte| byte < 0x20).unwrap_or_default();
            return Err(Error::new(offset + at, "control characters to be escaped"));
        }
        self.pos = end + 1;
        Ok(Text { body, escaped, offset })
    }

    /// A number, as it is written.
    #[inline]
    pub(super) fn number(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        self.peek();
        let rest = &self.text[self.pos..];
        match super::number::len(rest) {
            Some(len) => {
                self.pos += len;
                Ok(&rest[..len])
            }
            None => Err(self.expected(what)),
        }
    }

    /// Consumes any value; arrays and objects may nest `depth` levels.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Error> {
        const VALUE: &str = "a value";
        match self.peek() {
            b'"' => self.string(VALUE).and_then(|text| text.decoded().map(|_| ())),
            b'{' => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.expected(NESTING))?;
                self.take(b'{');
                if self.take(b'}') {
                    return Ok(());
                }
                loop {
                    self.string("a field name")?.decoded()?;
                    self.require(b':', "`:`")?;
                    self.skip(depth)?;
                    if !self.take(b',') {
                        return self.require(b'}', "`,` or `}`");
                    }
                }
            }
            b'[' => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.expected(NESTING))?;
                self.take(b'[');
                if self.take(b']') {
                    return Ok(());
                }
                loop {
                    self.skip(depth)?;
                    if !self.take(b',') {
                        return self.require(b']', "`,` or `]`");
                    }
                }
            }
            b't' if self.take_literal(b"true") => Ok(()),
            b'f' if self.take_literal(b"false") => Ok(()),
            b'n' if self.take_literal(b"null") => Ok(()),
            _ => self.number(VALUE).map(|_| ()),
        }
    }
}

/// What is wrong when the depth is used up.
pub(super) const NESTING: &str = "less nesting";
