//! RE2 patterns, as the Go Collector takes them, in the syntax of `regex-syntax`.
//!
//! The two dialects differ in what `\d \w \s \b` cover (ASCII in RE2), in a few escapes, and in what is special inside a
//! class or may follow a brace. The translation goes over the pattern once and changes only that.

/// Why a pattern has no equivalent, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untranslatable {
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// Writes `pattern` in the dialect of `regex-syntax`, to be parsed with Unicode on and UTF-8 not required.
pub(crate) fn translate(pattern: &str) -> Result<String, Untranslatable> {
    Translation { chars: pattern.char_indices().collect(), at: 0, out: String::with_capacity(pattern.len() + 16) }.run()
}

struct Translation {
    chars: Vec<(usize, char)>,
    at: usize,
    out: String,
}

impl Translation {
    fn run(mut self) -> Result<String, Untranslatable> {
        while let Some(next) = self.peek(0) {
            match next {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '{' if !self.is_repetition() => {
                    self.out.push_str("\\{");
                    self.at += 1;
                }
                _ => self.copy(1),
            }
        }
        Ok(self.out)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).map(|&(_, char)| char)
    }

    fn copy(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(char) = self.peek(0) {
                self.out.push(char);
                self.at += 1;
            }
        }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, Untranslatable> {
        let end = self.chars.last().map_or(0, |&(offset, char)| offset + char.len_utf8());
        Err(Untranslatable { offset: self.chars.get(self.at).map_or(end, |&(offset, _)| offset), reason })
    }

    /// `{n}`, `{n,}` or `{n,m}` follows; anything else after a brace is literal text in RE2.
    fn is_repetition(&self) -> bool {
        let mut ahead = 1;
        let digits = |from: usize| (from..).take_while(|&at| self.peek(at).is_some_and(|c| c.is_ascii_digit())).count();
        let low = digits(ahead);
        if low == 0 {
            return false;
        }
        ahead += low;
        if self.peek(ahead) == Some(',') {
            ahead += 1;
            ahead += digits(ahead);
        }
        self.peek(ahead) == Some('}')
    }

    fn escape(&mut self, in_class: bool) -> Result<(), Untranslatable> {
        let Some(char) = self.peek(1) else { return self.fail("backslash at the end") };
        let ascii = match (char, in_class) {
            ('d', false) => "[0-9]",
            ('D', _) => "[^0-9]",
            ('w', false) => "[0-9A-Za-z_]",
            ('W', _) => "[^0-9A-Za-z_]",
            ('s', false) => "[\\t\\n\\f\\r ]",
            ('S', _) => "[^\\t\\n\\f\\r ]",
            ('d', true) => "0-9",
            ('w', true) => "0-9A-Za-z_",
            ('s', true) => "\\t\\n\\f\\r ",
            ('b', false) => "(?-u:\\b)",
            ('B', false) => "(?-u:\\B)",
            ('C', false) => "(?s-u:.)",
            _ => "",
        };
        if !ascii.is_empty() {
            self.out.push_str(ascii);
            self.at += 2;
            return Ok(());
        }
        match char {
            'Q' if !in_class => self.quoted(),
            '0'..='7' => self.octal(),
            '8' | '9' => self.fail("backreferences do not exist in RE2"),
            'A' | 'z' if !in_class => {
                self.copy(2);
                Ok(())
            }
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' => {
                self.copy(2);
                if char == 'x' && self.peek(0) == Some('{') {
                    self.copy(1); // the brace belongs to the escape
                }
                Ok(())
            }
            'p' | 'P' => {
                self.copy(2);
                if self.peek(0) == Some('{') {
                    while self.peek(0).is_some_and(|c| c != '}') {
                        self.copy(1);
                    }
                }
                self.copy(1);
                Ok(())
            }
            char if char.is_ascii_punctuation() => {
                self.at += 2;
                self.literal(char);
                Ok(())
            }
            _ => self.fail("unknown escape"),
        }
    }

    /// One character without any special meaning, inside or outside a class.
    fn literal(&mut self, char: char) {
        if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(char);
    }

    /// `\Q…\E`, or to the end of the pattern.
    fn quoted(&mut self) -> Result<(), Untranslatable> {
        self.at += 2;
        while let Some(char) = self.peek(0) {
            if char == '\\' && self.peek(1) == Some('E') {
                self.at += 2;
                return Ok(());
            }
            self.literal(char);
            self.at += 1;
        }
        Ok(())
    }

    /// `\0` to `\777`. RE2 reads a single `\1` to `\7` as a backreference, which it has not.
    fn octal(&mut self) -> Result<(), Untranslatable> {
        let digits: u32 =
            (1..4).take_while(|&at| self.peek(at).is_some_and(|c| ('0'..='7').contains(&c))).count() as u32;
        if digits == 1 && self.peek(1) != Some('0') {
            return self.fail("backreferences do not exist in RE2");
        }
        let mut value = 0;
        for at in 1..=digits as usize {
            value = value * 8 + self.peek(at).and_then(|c| c.to_digit(8)).unwrap_or(0);
        }
        self.out.push_str(&format!("\\x{{{value:X}}}"));
        self.at += 1 + digits as usize;
        Ok(())
    }

    fn class(&mut self) -> Result<(), Untranslatable> {
        let open = self.at;
        self.copy(1);
        if self.peek(0) == Some('^') {
            self.copy(1);
        }
        let mut first = true;
        loop {
            match self.peek(0) {
                None => {
                    self.at = open;
                    return self.fail("missing closing ]");
                }
                Some(']') if !first => {
                    self.copy(1);
                    return Ok(());
                }
                Some(']') => {
                    self.out.push_str("\\]");
                    self.at += 1;
                }
                Some('[') if self.peek(1) == Some(':') && self.posix_length().is_some() => {
                    self.copy(self.posix_length().unwrap_or(1));
                }
                // Special in the other dialect only: nested classes and set operations.
                Some(char @ ('[' | '&' | '~')) => {
                    self.literal(char);
                    self.at += 1;
                }
                Some('-') if self.peek(1) == Some('-') || first || self.peek(1) == Some(']') => {
                    self.out.push_str("\\-");
                    self.at += 1;
                }
                Some('\\') => self.escape(true)?,
                Some(_) => self.copy(1),
            }
            first = false;
        }
    }

    /// Length of `[:name:]`, if that is what stands here.
    fn posix_length(&self) -> Option<usize> {
        let close = (2..16).find(|&at| self.peek(at) == Some(':') && self.peek(at + 1) == Some(']'))?;
        let name_ok = (2..close).all(|at| self.peek(at).is_some_and(|c| c.is_ascii_lowercase() || c == '^'));
        name_ok.then_some(close + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_here_what_it_means_in_re2() {
        let cases = [
            (r"\d+\w\s\b", r"[0-9]+[0-9A-Za-z_][\t\n\f\r ](?-u:\b)"),
            (r"[\d_-]", r"[0-9_\-]"),
            (r"[^\D]", r"[^[^0-9]]"),
            (r"\Qa.b[\E+", r"a\.b\[+"),
            (r"a{,3}", r"a\{,3}"),
            (r"a{2,3}{", r"a{2,3}\{"),
            (r"[[:alpha:]&&x]", r"[[:alpha:]\&\&x]"),
            (r"[][a]", r"[\]\[a]"),
            (r"\<b\>", r"<b>"),
            (r"\012", r"\x{A}"),
            (r"\pL\p{Greek}", r"\pL\p{Greek}"),
            (r"\x{41}\x41", r"\x{41}\x41"),
        ];
        for (re2, rust) in cases {
            assert_eq!(translate(re2).as_deref(), Ok(rust), "{re2}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused_with_its_offset() {
        for (pattern, offset) in [(r"(a)\1", 3), (r"a\Z", 1), (r"ab\", 2), ("x[a", 1), (r"\8", 0)] {
            assert_eq!(translate(pattern).map_err(|error| error.offset), Err(offset), "{pattern}");
        }
    }
}
