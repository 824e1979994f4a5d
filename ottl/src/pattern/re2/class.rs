//! Character classes.

use super::Parser;

impl Parser<'_> {
    /// `\d` and its like, `\pL`, `\p{Greek}`, behind the backslash.
    pub(super) fn class_escape(&mut self, at: usize) -> Result<Option<String>, String> {
        let class = match self.chars.peek().map(|(_, c)| *c) {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => "[\\t\\n\\x0c\\r ]",
            Some('S') => "[^\\t\\n\\x0c\\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(c @ ('p' | 'P')) => {
                self.skip(1);
                return self.unicode_class(at, c == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.skip(1);
        Ok(Some(class.to_owned()))
    }

    fn unicode_class(&mut self, at: usize, mut negated: bool) -> Result<String, String> {
        let rest = self.rest();
        let name = match rest.chars().next() {
            Some('{') => match rest[1..].split_once('}') {
                Some((name, _)) => {
                    self.skip(name.len() + 2);
                    name
                }
                None => return Err(format!("invalid character class range: `{}`", &self.pattern[at..])),
            },
            Some(c) => {
                self.skip(c.len_utf8());
                &rest[..c.len_utf8()]
            }
            None => return Err(format!("invalid character class range: `{}`", self.text(at))),
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let known = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let class = format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' });
        if !known || regex_syntax::parse(&class).is_err() {
            return Err(format!("invalid character class range: `{}`", self.text(at)));
        }
        Ok(class)
    }

    pub(super) fn class(&mut self, at: usize) -> Result<(), String> {
        let missing = || format!("missing closing ]: `{}`", &self.pattern[at..]);
        self.out.push('[');
        if self.chars.next_if(|(_, c)| *c == '^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some((start, c)) = self.chars.peek().copied() else { return Err(missing()) };
            if c == ']' && !first {
                self.skip(1);
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if c == '[' && self.posix(start)? {
                continue;
            }
            if c == '\\' {
                self.skip(1);
                if let Some(class) = self.class_escape(start)? {
                    self.out.push_str(&class);
                    continue;
                }
            }
            let low = self.class_char(start, c, &missing)?;
            let rest = self.rest();
            let high = if rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]") {
                self.skip(1);
                let Some((second, c)) = self.chars.peek().copied() else { return Err(missing()) };
                if c == '\\' {
                    self.skip(1);
                }
                self.class_char(second, c, &missing)?
            } else {
                low
            };
            if high < low {
                return Err(format!("invalid character class range: `{}`", self.text(start)));
            }
            self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        }
    }

    /// One character of a class; a backslash has been taken.
    fn class_char(&mut self, start: usize, c: char, missing: &dyn Fn() -> String) -> Result<char, String> {
        if c == '\\' {
            return self.char_escape(start);
        }
        self.chars.next().map(|(_, c)| c).ok_or_else(missing)
    }

    /// `[:alpha:]` inside a class; returns whether there was one.
    fn posix(&mut self, start: usize) -> Result<bool, String> {
        let rest = self.rest();
        let Some((name, _)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else { return Ok(false) };
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        self.skip(name.len() + 4);
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("invalid character class range: `{}`", self.text(start)));
        }
        self.out.push_str(&format!("[:{name}:]"));
        Ok(true)
    }
}
