//! Where a value was written: source texts, byte spans and the positions people read.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A text that configuration came from: a file, an inline `yaml:` argument, a `--set`, a variable.
///
/// The text is kept for diagnostics. Its `Debug` form shows the name only, because the text may hold secrets.
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
    order: u32,
    /// What excerpts do not show.
    hidden: Mutex<Vec<Span>>,
}

impl Source {
    /// Registers `text` under the name people will see. `order` is the rank of the source on the command line;
    /// diagnostics are sorted by it.
    pub fn new(name: impl Into<String>, text: impl Into<String>, order: u32) -> Arc<Self> {
        let text = text.into();
        let mut line_starts = vec![0u32];
        line_starts.extend(text.bytes().zip(1u32..).filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next));
        Arc::new(Self { name: name.into(), text, line_starts, order, hidden: Mutex::default() })
    }

    /// The file path as given, or a pseudo name such as `<--set #2>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Rank on the command line, for sorting.
    pub fn order(&self) -> u32 {
        self.order
    }

    /// From now on excerpts of this text do not show the span: it is a secret.
    pub(crate) fn hide(&self, span: Span) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    /// The hidden parts of a range of bytes, relative to its start.
    pub(crate) fn hidden(&self, from: usize, to: usize) -> Vec<std::ops::Range<usize>> {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = hidden.iter().map(|span| (span.start as usize).max(from)..(span.end as usize).min(to));
        inside.filter(|range| range.start < range.end).map(|range| range.start - from..range.end - from).collect()
    }

    /// The largest char boundary of the text that is not after `offset`.
    pub(crate) fn clamp(&self, offset: usize) -> u32 {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        u32::try_from(offset).unwrap_or(u32::MAX)
    }

    /// The 1-based line and column (in code points) of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let offset = self.clamp(offset as usize);
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start as usize..offset as usize).map_or(0, |before| before.chars().count());
        Position { line, column: column + 1 }
    }

    /// The byte offset at which the 1-based `line` begins.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line.saturating_sub(1)).map_or(self.text.len(), |start| *start as usize)
    }

    /// The text of the 1-based `line` without its line break; empty if there is no such line.
    pub fn line(&self, line: usize) -> &str {
        let from = self.line_start(line);
        let to = self.line_starts.get(line).map_or(self.text.len(), |next| *next as usize);
        self.text.get(from..to).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// A half-open range of bytes in a source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A place as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// 1-based line.
    pub line: usize,
    /// 1-based column in Unicode code points.
    pub column: usize,
}

/// A `${…}` reference that supplied a value. The value itself is not kept here.
#[derive(Debug, PartialEq, Eq)]
pub struct Via {
    /// The reference as written, for example `${env:TOKEN}`.
    pub reference: String,
    /// The reference is to an environment variable that is not set (the value is null, as upstream).
    pub unset: bool,
    /// The retrieved text is no valid YAML and was taken as a string; why.
    pub not_yaml: Option<String>,
}

/// Where a node was written, and through which reference its value came.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The text it was written in.
    pub source: Arc<Source>,
    /// The bytes of that text.
    pub span: Span,
    /// Set when the value came from a `${…}` at this place.
    pub via: Option<Arc<Via>>,
}

impl Origin {
    /// The place of `span` in `source`.
    pub fn new(source: Arc<Source>, span: Span) -> Self {
        Self { source, span, via: None }
    }

    /// The name of the source.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The first position of the span.
    pub fn start(&self) -> Position {
        self.source.position(self.span.start)
    }

    /// The position just after the span.
    pub fn end(&self) -> Position {
        self.source.position(self.span.end)
    }

    /// A narrower place inside this scalar: `offset` and `len` count bytes of its `value`. Follows quoted, escaped
    /// and folded spellings; falls back to the whole node where the value is not spelled out in the source.
    pub fn within(&self, value: &str, offset: usize, len: usize) -> Self {
        let found = self.via.is_none().then(|| self.align(value, offset, len)).flatten();
        Self { span: found.unwrap_or(self.span), ..self.clone() }
    }

    fn align(&self, value: &str, offset: usize, len: usize) -> Option<Span> {
        let from = self.span.start as usize;
        let spelled = self.source.text().get(from..self.span.end as usize)?;
        let (start, end) = crate::spelling::locate(spelled, value, offset, len)?;
        Some(Span { start: self.source.clamp(from + start), end: self.source.clamp(from + end) })
    }
}

impl fmt::Display for Origin {
    /// `file:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.start();
        write!(f, "{}:{}:{}", self.file(), at.line, at.column)
    }
}
