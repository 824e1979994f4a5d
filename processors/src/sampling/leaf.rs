//! Conditions over one item: what an observer looks for in every span or log record.

use sluice_ottl::pattern::Pattern;
use sluice_pdata::view::AnyValueView;

/// A leaf condition as it was configured. Equal ones share a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LeafSource {
    /// A string attribute of a resource or span: one of the values, or one of the patterns.
    Text { key: String, values: Vec<String>, patterns: bool },
    /// An integer attribute of a resource or span, inclusive.
    Number { key: String, min: i64, max: i64 },
    /// A boolean attribute of a resource or span.
    Flag { key: String, value: bool },
    /// One of the status codes, as bits.
    Status(u8),
    /// A member of the trace state.
    TraceState { key: String, values: Vec<String> },
    /// The sampled flag.
    Sampled,
    /// OTTL over spans and events.
    Spans { span: Vec<String>, event: Vec<String>, mode: String },
    /// OTTL over log records.
    Logs(Vec<String>),
}

impl LeafSource {
    /// The attribute that it looks at.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            LeafSource::Text { key, .. } | LeafSource::Number { key, .. } | LeafSource::Flag { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether it can hold for log records only.
    pub(super) fn is_of_logs(&self) -> bool {
        matches!(self, LeafSource::Logs(_))
    }
}

/// What an attribute's value must be.
#[derive(Debug)]
pub(super) enum ValueMatch {
    /// Sorted.
    OneOf(Vec<Box<[u8]>>),
    Patterns(Vec<Pattern>),
    Range(i64, i64),
    Flag(bool),
}

impl ValueMatch {
    /// Whether it holds. Only a value of the right type can match; an empty text of a span does not, as upstream.
    pub(super) fn holds(&self, value: AnyValueView<'_>, on_span: bool) -> bool {
        match (self, value) {
            (ValueMatch::OneOf(_) | ValueMatch::Patterns(_), AnyValueView::Str(text)) if on_span && text.is_empty() => {
                false
            }
            (ValueMatch::OneOf(values), AnyValueView::Str(text)) => {
                values.binary_search_by(|known| known.as_ref().cmp(text)).is_ok()
            }
            (ValueMatch::Patterns(patterns), AnyValueView::Str(text)) => {
                patterns.iter().any(|pattern| pattern.is_match(text))
            }
            (ValueMatch::Range(min, max), AnyValueView::Int(value)) => (*min..=*max).contains(&value),
            (ValueMatch::Flag(wanted), AnyValueView::Bool(value)) => *wanted == value,
            _ => false,
        }
    }
}
