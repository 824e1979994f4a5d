//! A walk over every string-bearing leaf of a message that may rewrite leaves in place.
//!
//! Made for redaction: the walk knows the place of every string, byte and number that OTLP can carry text in, removes fields
//! that the schema does not know (nobody can judge them), and insists on a form in which nothing hides: a singular field
//! that occurs twice is reported as [`Outcome::Odd`], and the caller puts the message
//! into canonical form before it tries again.

mod pair;
mod rewrite;
mod table;
mod value;

pub use rewrite::{Outcome, rewrite};
pub use table::Root;

/// Where a leaf stands, by the names that redaction's configuration and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Resource,
    Scope,
    Span,
    SpanEvent,
    SpanLink,
    Log,
    /// The body of a log record and what it holds.
    LogBody,
    Metric,
    DataPoint,
    Exemplar,
    /// An attribute or map key, at any depth.
    Key,
}

impl Place {
    /// The name in configuration and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Resource => "resource",
            Place::Scope => "scope",
            Place::Span => "span",
            Place::SpanEvent => "span.event",
            Place::SpanLink => "span.link",
            Place::Log | Place::LogBody => "log",
            Place::Metric => "metric",
            Place::DataPoint => "datapoint",
            Place::Exemplar => "exemplar",
            Place::Key => "key",
        }
    }
}

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// A string of an `AnyValue`; not necessarily UTF-8.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// A string field of the message itself, such as a span's name. The number is the field's.
    Field(u32, &'a [u8]),
    /// An attribute or map key.
    Key(&'a [u8]),
}

/// One leaf as the visitor sees it.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    pub place: Place,
    /// The innermost key above an attribute's or map's value; empty for other leaves.
    pub key: &'a [u8],
    pub content: Content<'a>,
    /// Offset of the text in the buffer that the visitor's candidates refer to.
    pub at: usize,
    /// Levels of AnyValue containers around the leaf.
    pub depth: usize,
}

/// What becomes of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafAction {
    Keep,
    /// [`Visitor::replacement`] holds the new text. Numbers become strings, bytes stay bytes.
    Replace,
    /// The attribute or map entry goes. Means the same as `Replace` where there is none.
    RemoveAttribute,
    /// The whole item goes.
    DropItem,
}

/// What becomes of an attribute or map entry before its value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairAction {
    /// Look at the leaves of the value, and at the key.
    Descend,
    /// Leave key and value as they are.
    Keep,
    /// The value becomes the string in [`Visitor::value_replacement`]; the key is still looked at.
    ReplaceValue,
    Remove,
}

/// Texts of this length and more are always asked for: [`Visitor::quiet_until`] does not speak of them.
pub const QUIET_LEN: usize = 1 << 14;

/// Decides about leaves.
pub trait Visitor {
    /// Whether anything in `len` bytes of text at `at` may need a look: the prefilter. Called for texts in ascending order of
    /// `at` within a message.
    fn may_match(&mut self, at: usize, len: usize) -> bool;

    /// No text that ends at or before this offset and is shorter than [`QUIET_LEN`] needs a look: spares the walk the question.
    /// Changes only with [`Visitor::may_match`] and [`Visitor::leaf`].
    fn quiet_until(&self) -> usize {
        0
    }

    /// Whether [`Visitor::pair`] is to be called for attributes and map entries.
    fn wants_pairs(&self) -> bool {
        false
    }

    /// Whether integers, doubles and booleans are to be offered whatever their size. Integers of twelve digits and more
    /// always are.
    fn wants_scalars(&self) -> bool {
        false
    }

    /// An attribute (`depth` 0) or map entry. `value` is the payload of its `AnyValue`.
    fn pair(&mut self, _place: Place, _depth: usize, _key: &[u8], _value: &[u8]) -> PairAction {
        PairAction::Descend
    }

    /// A leaf that [`Visitor::may_match`] has let through.
    fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction;

    /// The text that the last `Replace` asked for.
    fn replacement(&self) -> &[u8];

    /// The text that the last `ReplaceValue` asked for. The key of the pair may have been replaced since.
    fn value_replacement(&self) -> &[u8] {
        self.replacement()
    }

    /// A message that holds attributes begins.
    fn enter(&mut self, _place: Place) {}

    /// The message that was entered last ends: whole records to append to it. `attributes` is the number of the field that
    /// holds its attributes.
    fn leave(&mut self, _place: Place, _attributes: u32) -> &[u8] {
        &[]
    }

    /// Containers nested deeper than this are replaced by [`Visitor::too_deep`].
    fn max_depth(&self) -> usize;

    /// A container is nested too deep: the text that takes its place.
    fn too_deep(&mut self) -> &[u8];

    /// A trace or span id that is neither empty nor 16 or 8 bytes long: whether the message may keep it. If not, the whole item
    /// goes.
    fn odd_id(&mut self) -> bool {
        true
    }

    /// Whether fields that the schema does not know are removed; counts them.
    fn remove_unknown(&mut self) -> bool;
}
