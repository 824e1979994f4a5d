//! What can be wrong with a `redaction` block.

use thiserror::Error;

/// Why a `redaction` block cannot be built. A message never holds key material and never telemetry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RedactionError {
    /// A pattern that has no equivalent here, or that is larger than a rule may be.
    #[error("{field}[{index}]: pattern `{pattern}` at offset {offset}: {reason}")]
    Pattern { field: &'static str, index: usize, pattern: String, offset: usize, reason: String },
    /// A field whose value is not acceptable.
    #[error("{field}: {reason}")]
    Field { field: String, reason: String },
}

impl RedactionError {
    /// The path of the field, with `::` between its parts.
    pub fn path(&self) -> String {
        match self {
            RedactionError::Pattern { field, index, .. } => format!("{}::{index}", field.replace('.', "::")),
            RedactionError::Field { field, .. } => {
                field.replace(']', "").split(['.', '[']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("::")
            }
        }
    }

    pub(crate) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        RedactionError::Field { field: field.into(), reason: reason.into() }
    }
}
