//! A finding about the configuration, as data. Rendering is in [`crate::render`].

use std::fmt;

use crate::source::Origin;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot run.
    Error,
    /// It runs, but probably not as meant.
    Warning,
    /// Worth knowing; never counted by `--strict`.
    Note,
}

impl Severity {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A further place that explains a finding.
#[derive(Clone, Debug)]
pub struct Label {
    /// The place.
    pub origin: Origin,
    /// What is there.
    pub text: String,
}

/// What to write instead of what stands at a place.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The place.
    pub origin: Origin,
    /// The new text.
    pub text: String,
}

/// One finding: a stable code, what is wrong, where, and what to do.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Stable code, never reused ([`crate::codes`]).
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong. Where upstream has a fixed text, this contains it verbatim.
    pub message: String,
    /// Where. `None` when there is no text to point at.
    pub origin: Option<Origin>,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// Further places.
    pub labels: Vec<Label>,
    /// Further facts, one a line.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// The edits that do it, where they are certain enough to be offered by an editor.
    pub fix: Vec<Edit>,
}

impl Diagnostic {
    /// A finding with the severity its code stands for (`E…`, `W…`, `N…`).
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let severity = match code.as_bytes().first() {
            Some(b'W') => Severity::Warning,
            Some(b'N') => Severity::Note,
            _ => Severity::Error,
        };
        Self {
            code,
            severity,
            message: message.into(),
            origin: None,
            label: None,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: Vec::new(),
        }
    }

    /// Points at `origin`. If a `${…}` supplied the value there, a note names the reference.
    pub fn at(mut self, origin: &Origin) -> Self {
        if let Some(via) = &origin.via {
            self.notes.push(if via.unset {
                format!("W0401: the variable in {} is not set, so the value is null", via.reference)
            } else {
                format!("the value comes from {}", via.reference)
            });
            if let Some(reason) = &via.not_yaml {
                self.notes.push(format!("assuming string type since contents are not valid YAML: {reason}"));
            }
        }
        self.origin = Some(origin.clone());
        self
    }

    /// Sets the words beside the caret.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = Some(text.into());
        self
    }

    /// Adds a further place.
    pub fn also(mut self, origin: &Origin, text: impl Into<String>) -> Self {
        self.labels.push(Label { origin: origin.clone(), text: text.into() });
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Offers to write `text` where the finding points. Nothing is offered for a value that came through a reference.
    pub fn replace_with(mut self, text: impl Into<String>) -> Self {
        let origin = self.origin.clone().filter(|origin| origin.via.is_none());
        self.fix.extend(origin.map(|origin| Edit { origin, text: text.into() }));
        self
    }

    /// Offers the nearest of `candidates` to `written`, if there is exactly one.
    pub fn suggest<'c>(self, written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        match crate::suggest::nearest(written, candidates).as_slice() {
            [only] => self.replace_with(*only),
            _ => self,
        }
    }

    /// Whether this makes the configuration unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn sort_key(&self) -> (u32, u32) {
        self.origin.as_ref().map_or((u32::MAX, u32::MAX), |origin| (origin.source.order(), origin.span.start))
    }
}

impl fmt::Display for Diagnostic {
    /// One line: `file:line:col: message [code]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

/// Puts findings in the order people read them: sources as on the command line, then position. Findings without a
/// position come last.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(Diagnostic::sort_key);
}
