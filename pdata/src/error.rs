//! What can be wrong with wire bytes.

use std::fmt;

/// Why bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The message ends inside a field, or a length points behind its end.
    Truncated,
    /// A varint of more than ten bytes or more than 64 bits.
    Varint,
    /// A field number of zero or out of range, or an undefined wire type.
    Tag,
    /// A group end without its start, or with another number.
    Group,
    /// A field that must be length-delimited is not.
    WireType,
    /// Messages or groups nest deeper than the limit.
    Depth,
    /// A singular message is written in more pieces than are merged.
    Pieces,
    /// The whole is larger than 2 GiB, the largest protobuf message.
    TooLarge,
    /// Well-formed, but a step was told to refuse a batch in which it fails.
    Rejected,
}

/// Malformed wire bytes: what is wrong and at which offset, counted from the start of the slice that was read.
/// [`Error::at`] turns that into an offset in an enclosing message; [`crate::schema::locate`] names the field path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub fault: Fault,
    pub offset: u32,
}

impl Error {
    #[cold]
    pub(crate) fn new(fault: Fault, offset: usize) -> Self {
        Error { fault, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    /// A step refuses the batch (`error_mode: propagate`).
    #[must_use]
    pub fn rejected() -> Self {
        Self::new(Fault::Rejected, 0)
    }

    /// The same error seen from a message that holds the slice at `base`.
    #[must_use]
    pub fn at(self, base: usize) -> Self {
        let base = u32::try_from(base).unwrap_or(u32::MAX);
        Error { offset: self.offset.saturating_add(base), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Truncated => "truncated field",
            Fault::Varint => "varint longer than 64 bits",
            Fault::Tag => "invalid field tag",
            Fault::Group => "unbalanced group",
            Fault::WireType => "wrong wire type",
            Fault::Depth => "nested too deep",
            Fault::Pieces => "message written in too many pieces",
            Fault::TooLarge => "message over 2 GiB",
            Fault::Rejected => return f.write_str("refused by a processor"),
        };
        write!(f, "malformed protobuf at offset {}: {what}", self.offset)
    }
}

impl std::error::Error for Error {}
