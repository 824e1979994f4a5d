//! The source lines and carets of a diagnostic. Values under a key that names a secret are not shown.

use std::fmt::Write as _;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use crate::redact::{REDACTED, names_headers, names_secret};
use crate::source::Origin;

/// Longer lines are cut around the caret.
const MAX_COLUMNS: usize = 200;
/// What stays visible before the caret in a cut line.
const LEAD: usize = 60;

pub(crate) struct Excerpt<'a> {
    origin: &'a Origin,
    line: usize,
    /// The parent's line, if it stands directly above.
    above: Option<usize>,
    gutter: usize,
}

impl<'a> Excerpt<'a> {
    pub(crate) fn new(origin: &'a Origin) -> Self {
        let line = origin.start().line;
        let above = line.checked_sub(1).filter(|above| *above > 0 && is_parent(origin, *above, line));
        Self { origin, line, above, gutter: line.to_string().len().max(2) }
    }

    /// Width of the line-number column.
    pub(crate) fn gutter(&self) -> usize {
        self.gutter
    }

    pub(crate) fn render(&self, label: Option<&str>) -> String {
        let source = &self.origin.source;
        let width = self.gutter;
        let mut out = String::new();
        if let Some(above) = self.above {
            let text = Shown::new(source.line(above), 0..0, self.masks(above, false)).text;
            let _ = writeln!(out, "{above:>width$}│ {text}");
        }
        let from = source.line_start(self.line);
        let line = source.line(self.line);
        let start = (self.origin.span.start as usize).saturating_sub(from).min(line.len());
        let end = (self.origin.span.end as usize).saturating_sub(from).clamp(start, line.len());
        let shown = Shown::new(line, start..end, self.masks(self.line, self.in_headers()));
        let _ = writeln!(out, "{:>width$}│ {}", self.line, shown.text);
        let carets = "^".repeat(shown.carets.max(1));
        let gap = " ".repeat(shown.indent);
        let label = label.map(|text| format!(" {text}")).unwrap_or_default();
        let _ = writeln!(out, "{:width$}│ {gap}{carets}{label}", "");
        out
    }
}

impl Excerpt<'_> {
    /// What of a line is not shown: what its text says is a secret, and what is known to be one.
    fn masks(&self, line: usize, all_secret: bool) -> Vec<Range<usize>> {
        let source = &self.origin.source;
        let (text, from) = (source.line(line), source.line_start(line));
        let mut masks = secrets(text, all_secret);
        masks.extend(source.hidden(from, from + text.len()));
        masks
    }

    /// Whether the line stands in a block of headers, whose values are secrets.
    fn in_headers(&self) -> bool {
        const LINES: usize = 64;
        let source = &self.origin.source;
        let mut depth = indent(source.line(self.line));
        for line in (1..self.line).rev().take(LINES).map(|line| source.line(line)) {
            let content = line.trim();
            if !content.is_empty() && !content.starts_with('#') && indent(line) < depth {
                depth = indent(line);
                if names_headers(content.trim_end_matches(':')) {
                    return true;
                }
            }
        }
        false
    }
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|c| *c == ' ').count()
}

fn is_parent(origin: &Origin, above: usize, line: usize) -> bool {
    let parent = origin.source.line(above);
    let content = parent.trim();
    !content.is_empty() && !content.starts_with('#') && indent(parent) < indent(origin.source.line(line))
}

/// A line as printed, and where its carets go in display columns.
struct Shown {
    text: String,
    indent: usize,
    carets: usize,
}

impl Shown {
    fn new(line: &str, mark: Range<usize>, masks: Vec<Range<usize>>) -> Self {
        let mut shown = Self { text: String::new(), indent: 0, carets: 0 };
        let before = line.char_indices().take_while(|(at, _)| *at < mark.start).count();
        let cut = line.chars().count() > MAX_COLUMNS;
        let skip = if cut { before.saturating_sub(LEAD) } else { 0 };
        if skip > 0 {
            shown.push("…", 0, &mark);
        }
        let mut masked_until = 0;
        for (at, c) in line.char_indices().skip(skip) {
            if at < masked_until {
                if mark.contains(&at) && shown.carets == 0 {
                    shown.carets = REDACTED.len();
                    shown.indent = shown.indent.saturating_sub(REDACTED.len());
                }
                continue;
            }
            if let Some(mask) = masks.iter().find(|mask| mask.contains(&at)) {
                masked_until = mask.end;
                shown.push(REDACTED, at, &mark);
            } else if cut && shown.text.chars().count() >= MAX_COLUMNS {
                shown.text.push('…');
                break;
            } else {
                shown.push_char(c, at, &mark);
            }
        }
        shown
    }

    fn push_char(&mut self, c: char, at: usize, mark: &Range<usize>) {
        if c == '\t' {
            self.push("    ", at, mark);
        } else if c.is_control() {
            self.push(&format!("\\x{:02x}", u32::from(c)), at, mark);
        } else {
            self.push(c.encode_utf8(&mut [0; 4]), at, mark);
        }
    }

    fn push(&mut self, text: &str, at: usize, mark: &Range<usize>) {
        self.text.push_str(text);
        let width: usize = text.chars().map(|c| c.width().unwrap_or(0)).sum();
        if at < mark.start {
            self.indent += width;
        } else if at < mark.end {
            self.carets += width;
        }
    }
}

/// Byte ranges of a line that must not be shown: what follows a key that names a secret, and the credentials of a
/// URL. References (`${…}`) are no secrets and stay.
fn secrets(line: &str, all_secret: bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let lower = line.to_ascii_lowercase();
    for (at, _) in lower.match_indices(':') {
        let key = lower[..at].rsplit(|c: char| c.is_whitespace() || "{[,".contains(c)).next().unwrap_or("");
        let headers = names_headers(key.trim_matches(['"', '\'']));
        let named = all_secret || headers || names_secret(key);
        let value = line[at + 1..].trim_start();
        let reference = value.trim_start_matches(['"', '\'']).starts_with("${");
        let nested = value.starts_with(['{', '[']) && !headers && !all_secret;
        if named && !value.is_empty() && !reference && !nested && !value.starts_with('#') {
            ranges.push(line.len() - value.len()..line.len());
            break;
        }
    }
    for (at, scheme) in line.match_indices("://") {
        let rest = &line[at + scheme.len()..];
        let authority = rest.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(rest.len());
        if let Some(userinfo) = rest[..authority].rfind('@').filter(|len| *len > 0) {
            ranges.push(at + scheme.len()..at + scheme.len() + userinfo);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_shows_a_secret() {
        let cases = [
            ("  api_key: abc123", "  api_key: [REDACTED]"),
            ("  api_key: ${env:KEY}", "  api_key: ${env:KEY}"),
            ("  {password: x, y: z}", "  {password: [REDACTED]"),
            ("  endpoint: http://me:pw@host:1/x", "  endpoint: http://[REDACTED]@host:1/x"),
            ("  Authorization: Bearer x", "  Authorization: [REDACTED]"),
            ("  tokens:", "  tokens:"),
            ("  headers: {a: b}", "  headers: [REDACTED]"),
            ("  response_headers: {a: b}", "  response_headers: [REDACTED]"),
            ("  monkey: value", "  monkey: value"),
        ];
        for (line, expected) in cases {
            assert_eq!(Shown::new(line, 0..0, secrets(line, false)).text, expected);
        }
    }

    #[test]
    fn carets_respect_display_width_and_tabs() {
        let shown = Shown::new("日本\t: x", "日本\t: ".len().."日本\t: x".len(), Vec::new());
        assert_eq!((shown.indent, shown.carets), (10, 1));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}HERE{}", "a".repeat(1000), "b".repeat(1000));
        let shown = Shown::new(&line, 1000..1004, Vec::new());
        assert!(shown.text.chars().count() < 220);
        let visible: String = shown.text.chars().skip(shown.indent).take(shown.carets).collect();
        assert_eq!(visible, "HERE");
    }
}
