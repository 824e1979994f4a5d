//! What `validate()` of a config reports, mapped back to the lines it is about.

use super::prefixed;
use crate::diagnostic::{Diagnostic, sort};
use crate::tree::Node;

/// Collects the problems of one component.
///
/// Paths use `::` between fields and list indexes, from the component down (`sending_queue::queue_size`,
/// `actions::0::key`). The place is the deepest part of the path that is written in the configuration. The message
/// begins with the component's label and the path **without its last part**, as upstream prints the struct and not
/// the field: ``exporters::otlp_grpc/2::sending_queue: `queue_size` must be positive``.
#[derive(Debug)]
pub struct Problems<'n> {
    node: &'n Node,
    found: Vec<Diagnostic>,
}

impl<'n> Problems<'n> {
    /// Problems of the component that `node` configures.
    pub fn new(node: &'n Node) -> Self {
        Self { node, found: Vec::new() }
    }

    /// An error about the field at `path`.
    pub fn error(&mut self, path: &str, text: impl AsRef<str>) -> &mut Diagnostic {
        self.add("E0105", path, text.as_ref())
    }

    /// A finding of another code (a `W…` code is a warning) about the field at `path`. The returned diagnostic can be
    /// given a label, notes and help.
    pub fn add(&mut self, code: &'static str, path: &str, text: &str) -> &mut Diagnostic {
        let block = path.rsplit_once("::").map_or("", |(block, _)| block);
        let label = match (self.node.label(), block) {
            (None, "") => None,
            (None, block) => Some(block.to_owned()),
            (Some(label), "") => Some(label.to_owned()),
            (Some(label), block) => Some(format!("{label}::{block}")),
        };
        let place = self.node.locate(path);
        let mut found = Diagnostic::new(code, prefixed(label.as_deref(), text)).at(&place);
        if code == "E0105" {
            found.help = self.node.label().and_then(fields_of);
        }
        self.found.push(found);
        // Just pushed, so index 0 exists.
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// An error inside the text of the field at `path`, such as in an expression: `offset` and `len` count bytes of
    /// its value.
    pub fn error_within(
        &mut self,
        code: &'static str,
        path: &str,
        offset: usize,
        len: usize,
        text: &str,
    ) -> &mut Diagnostic {
        let inside = self.node.find(path).and_then(|node| Some(node.origin.within(node.text()?, offset, len)));
        let diagnostic = self.add(code, path, text);
        if inside.is_some() {
            diagnostic.origin = inside;
        }
        diagnostic
    }

    /// Whether an error was reported.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// Everything reported, in reading order.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        sort(&mut self.found);
        self.found
    }

    /// The warnings, if there are no errors.
    ///
    /// # Errors
    /// Everything reported, if there is an error among it.
    pub fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        if self.has_errors() { Err(self.into_diagnostics()) } else { Ok(self.into_diagnostics()) }
    }
}

/// Where the fields of a component are listed.
pub(super) fn fields_of(label: &str) -> Option<String> {
    let (section, id) = label.split_once("::")?;
    let kind = crate::Kind::ALL.into_iter().find(|kind| kind.section() == section)?;
    let written = id.split('/').next()?;
    Some(format!("fields of this {} and their types: sluice explain {written}", kind.name()))
}
