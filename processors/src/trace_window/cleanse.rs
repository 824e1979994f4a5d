//! Removes literals from the texts of an item (correlation §9): log body, names, status message, and string attributes, whether they
//! came with it or were attached here.
//!
//! Literals are few and are searched one by one: an automaton would keep copies of them that nobody zeroises.

use std::sync::Arc;

use sluice_pdata::leaves::{self, Content, Leaf, LeafAction, Outcome, Root, Visitor};
use sluice_pdata::msg::{Buffers, Message};
use sluice_pdata::tags::{any_value, log_record, span, status};
use sluice_pdata::view::SpanView;
use sluice_pdata::wire::{put_len, put_varint_field};
use sluice_pdata::{Error, Signal, canonical};
use sluice_pipeline::taint::Literal;

/// What stands in place of a text of which nobody knows any more what had to be removed.
pub(crate) const LOST: &[u8] = b"[REDACTED:taint_lost]";

/// Levels of containers that are looked into.
const MAX_DEPTH: usize = 64;

struct Search<'a> {
    literals: &'a [Arc<Literal>],
    text: Vec<u8>,
    found: u64,
}

impl Search<'_> {
    /// Writes the text with every literal replaced by its token, the longest first where they begin at the same place. `false`
    /// if there is none.
    fn replace(&mut self, text: &[u8]) -> bool {
        self.text.clear();
        let mut rest = text;
        loop {
            let find = |literal: &&Arc<Literal>| memchr::memmem::find(rest, literal.text());
            let first = self
                .literals
                .iter()
                .filter_map(|literal| Some((find(&literal)?, literal)))
                .min_by_key(|(at, literal)| (*at, std::cmp::Reverse(literal.text().len())));
            let Some((at, literal)) = first else { break };
            self.text.extend_from_slice(&rest[..at]);
            self.text.extend_from_slice(literal.token());
            rest = &rest[at + literal.text().len()..];
            self.found += 1;
        }
        self.text.extend_from_slice(rest);
        rest.len() < text.len()
    }
}

impl Visitor for Search<'_> {
    fn may_match(&mut self, _at: usize, _len: usize) -> bool {
        true
    }

    fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction {
        let text = match leaf.content {
            // Keys and trace states are no free text.
            Content::Field(number, _) if leaf.place == leaves::Place::Span && number == span::TRACE_STATE => {
                return LeafAction::Keep;
            }
            Content::Text(text) | Content::Bytes(text) | Content::Field(_, text) => text,
            Content::Int(_) | Content::Double(_) | Content::Bool(_) | Content::Key(_) => return LeafAction::Keep,
        };
        if self.replace(text) { LeafAction::Replace } else { LeafAction::Keep }
    }

    fn replacement(&self) -> &[u8] {
        &self.text
    }

    fn max_depth(&self) -> usize {
        MAX_DEPTH
    }

    fn too_deep(&mut self) -> &[u8] {
        LOST
    }

    fn remove_unknown(&mut self) -> bool {
        false
    }
}

/// The item without the literals, and how many there were; `None` if there is none.
///
/// # Errors
/// Bytes that are no item.
pub(crate) fn cleanse(signal: Signal, item: &[u8], literals: &[Arc<Literal>]) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let root = if signal == Signal::Traces { Root::Span } else { Root::LogRecord };
    let mut search = Search { literals, text: Vec::new(), found: 0 };
    let mut out = Vec::new();
    let mut outcome = leaves::rewrite(root, item, 0, &mut search, &mut out)?;
    if outcome == Outcome::Odd {
        // What counts of a message that says something twice is its canonical form.
        let mut plain = Vec::new();
        let options = canonical::Options { drop_unknown: false, depth: MAX_DEPTH * 3 + 16 };
        canonical::message(root.message(), item, &options, &mut plain)?;
        search.found = 0;
        out.clear();
        outcome = leaves::rewrite(root, &plain, 0, &mut search, &mut out)?;
    }
    Ok((outcome == Outcome::Changed).then_some((out, search.found)))
}

/// The item without its free text: the body of a log, the status message of a span. `None` if it has none.
///
/// # Errors
/// Bytes that are no item.
pub(crate) fn blank(signal: Signal, item: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut buffers = Buffers::default();
    let mut message = Message::new(item, &mut buffers);
    let mut text = Vec::new();
    if signal == Signal::Traces {
        let Some(known) = SpanView::parse(item)?.status()?.filter(|status| !status.message.is_empty()) else {
            return Ok(None);
        };
        put_len(&mut text, status::MESSAGE, LOST);
        put_varint_field(&mut text, status::CODE, known.code as u64);
        message.clear(span::STATUS)?;
        message.set_len(span::STATUS, &text)?;
    } else {
        message.index()?;
        if message.len_field(log_record::BODY).is_none() {
            return Ok(None);
        }
        put_len(&mut text, any_value::STRING_VALUE, LOST);
        message.clear(log_record::BODY)?;
        message.set_len(log_record::BODY, &text)?;
    }
    let mut out = Vec::new();
    message.write(&mut out);
    Ok(Some(out))
}
