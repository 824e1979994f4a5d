//! The walk over one message: shows each leaf and each attribute to the engine.

use sluice_pdata::leaves::{Content, Leaf, LeafAction, PairAction, Place as LeafPlace, QUIET_LEN, Root, Visitor};
use sluice_pdata::tags::{entity_ref, log_record, metric, scope, span, span_event, span_link, status};
use sluice_pdata::view::AnyValueView;
use sluice_pipeline::taint::{LITERAL, Literal};

use super::config::Summary;
use super::engine::{Engine, Scratch};
use super::hash::STARS;
use super::leaf::{self, Dropped, KeyVerdict, LeafVerdict};
use super::number::go_float;
use super::place::Place;
use super::scan::Candidates;
use super::summary::{Kind, Notes};

/// Buffers of the walk, reused by a worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    replacement: Vec<u8>,
    value: Vec<u8>,
    text: Vec<u8>,
    summary: Vec<u8>,
    /// The attribute sets around the current leaf, outermost first; those behind `open` are spare.
    sets: Vec<Set>,
    open: usize,
}

/// What is remembered about one attribute set while its message is walked.
#[derive(Debug, Default)]
struct Set {
    /// Keys that were masked, to tell two of them apart.
    masked_keys: Vec<Vec<u8>>,
    /// Keys around the current value, outermost first.
    path: Vec<Vec<u8>>,
    notes: Notes,
    /// The current attribute was noted as masked.
    noted: bool,
}

impl Buffers {
    /// The innermost attribute set.
    fn set(&mut self) -> Option<&mut Set> {
        self.sets.get_mut(self.open.checked_sub(1)?)
    }
}

/// The visitor of one message.
pub(crate) struct Visit<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) candidates: &'a mut Candidates,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) root: Root,
    /// Set when the item is to go although the walk went on.
    pub(crate) dropped: Option<Dropped>,
    pub(crate) summarize: bool,
    pub(crate) every_value: bool,
    pub(crate) max_len: usize,
    /// Where values go that were masked for their key, if anybody wants to know.
    pub(crate) taints: Option<&'a mut Vec<Literal>>,
}

/// Where an attribute or a leaf of one stands.
fn attribute_place(place: LeafPlace) -> Place {
    match place {
        LeafPlace::Resource => Place::ResourceAttribute,
        LeafPlace::Scope => Place::ScopeAttribute,
        LeafPlace::Span => Place::SpanAttribute,
        LeafPlace::SpanEvent => Place::EventAttribute,
        LeafPlace::SpanLink => Place::LinkAttribute,
        LeafPlace::Log => Place::LogAttribute,
        LeafPlace::LogBody => Place::LogBody,
        LeafPlace::Metric => Place::MetricMetadata,
        LeafPlace::DataPoint => Place::DatapointAttribute,
        LeafPlace::Exemplar => Place::ExemplarAttribute,
        LeafPlace::Key => Place::Key,
    }
}

/// Where the string field `number` of a message stands.
fn field_place(root: Root, place: LeafPlace, number: u32) -> Place {
    match (place, number) {
        (LeafPlace::Resource, _) if root == Root::ResourceEnvelope => Place::ResourceSchemaUrl,
        (LeafPlace::Resource, entity_ref::SCHEMA_URL) => Place::ResourceSchemaUrl,
        // Names of attribute keys: masked exactly as the keys are.
        (LeafPlace::Resource, entity_ref::ID_KEYS | entity_ref::DESCRIPTION_KEYS) => Place::Key,
        (LeafPlace::Resource, _) => Place::ResourceEntity,
        (LeafPlace::Scope, _) if root == Root::ScopeEnvelope => Place::ScopeSchemaUrl,
        (LeafPlace::Scope, scope::NAME) => Place::ScopeName,
        (LeafPlace::Scope, _) => Place::ScopeVersion,
        (LeafPlace::Span, span::TRACE_STATE) => Place::SpanTraceState,
        (LeafPlace::Span, span::NAME) => Place::SpanName,
        (LeafPlace::Span, status::MESSAGE) => Place::SpanStatus,
        (LeafPlace::SpanEvent, span_event::NAME) => Place::EventName,
        (LeafPlace::SpanLink, span_link::TRACE_STATE) => Place::LinkTraceState,
        (LeafPlace::Log, log_record::SEVERITY_TEXT) => Place::LogSeverityText,
        (LeafPlace::Log, log_record::EVENT_NAME) => Place::LogEventName,
        (LeafPlace::Metric, metric::NAME) => Place::MetricName,
        (LeafPlace::Metric, metric::DESCRIPTION) => Place::MetricDescription,
        (LeafPlace::Metric, metric::UNIT) => Place::MetricUnit,
        // No other string field exists; if one is added it is scanned like an attribute.
        (place, _) => attribute_place(place),
    }
}

/// The key under which the log body is named in `url_sanitizer.attributes` and in summaries.
const BODY: &[u8] = b"body";

impl Visit<'_> {
    fn verdict(&mut self, verdict: LeafVerdict) -> LeafAction {
        match verdict {
            LeafVerdict::Keep => LeafAction::Keep,
            LeafVerdict::Replace => LeafAction::Replace,
            LeafVerdict::Empty => {
                self.buffers.replacement.clear();
                LeafAction::Replace
            }
            LeafVerdict::DropAttribute => {
                self.buffers.replacement.clear();
                LeafAction::RemoveAttribute
            }
            LeafVerdict::DropItem(why) => {
                self.dropped = Some(why);
                LeafAction::DropItem
            }
        }
    }

    /// Whether a summary is written for the attributes at `place`.
    fn summarizes(&self, place: LeafPlace) -> bool {
        self.summarize
            && match place {
                LeafPlace::Span | LeafPlace::SpanEvent | LeafPlace::Log | LeafPlace::LogBody => true,
                LeafPlace::Resource | LeafPlace::Scope | LeafPlace::DataPoint => self.engine.summary_on_identity(),
                _ => false,
            }
    }

    fn note(&mut self, place: LeafPlace, kind: Kind) {
        if !self.summarizes(place) {
            return;
        }
        let body = place == LeafPlace::LogBody;
        let Buffers { sets, open, text, .. } = &mut *self.buffers;
        let Some(set) = open.checked_sub(1).and_then(|at| sets.get_mut(at)) else { return };
        if kind == Kind::Masked && std::mem::replace(&mut set.noted, true) {
            return;
        }
        let raw = match set.path.as_slice() {
            [] if body => BODY.to_vec(),
            [] => return,
            keys if body => keys.join(&b'.'),
            [first, ..] => first.clone(),
        };
        text.clear();
        self.engine.clean_key(self.scratch, &raw, text);
        set.notes.note(body, kind, text);
    }

    /// Gives a masked key a suffix if another key of this attribute set was masked alike.
    fn tell_apart(&mut self) {
        let Buffers { replacement, sets, open, .. } = &mut *self.buffers;
        let Some(set) = open.checked_sub(1).and_then(|at| sets.get_mut(at)) else { return };
        let length = replacement.len();
        let mut number = 2;
        while set.masked_keys.iter().any(|key| key == replacement) {
            replacement.truncate(length);
            replacement.extend_from_slice(format!("_{number}").as_bytes());
            number += 1;
        }
        if set.masked_keys.len() < MAX_MASKED_KEYS {
            set.masked_keys.push(replacement.clone());
        }
    }

    /// The string form of a value, for rules that mask it whole.
    fn string_form(value: &[u8], out: &mut Vec<u8>) {
        out.clear();
        match AnyValueView::parse(value) {
            Ok(AnyValueView::Str(text) | AnyValueView::Bytes(text)) => out.extend_from_slice(text),
            Ok(AnyValueView::Int(number)) => out.extend_from_slice(number.to_string().as_bytes()),
            Ok(AnyValueView::Double(number)) => out.extend_from_slice(go_float(number).as_bytes()),
            Ok(AnyValueView::Bool(value)) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            // Containers have no string form of their own: as upstream, their hash is that of nothing.
            _ => {}
        }
    }

    fn mask_value(&mut self, place: LeafPlace, key: &[u8], value: &[u8]) -> PairAction {
        let Buffers { value: replacement, text, .. } = &mut *self.buffers;
        Self::string_form(value, text);
        replacement.clear();
        let at = attribute_place(place);
        match self.engine.mask_by_key(self.scratch, at, key, text, replacement) {
            LeafVerdict::Keep => {
                if self.scratch.was_allowed {
                    self.note(place, Kind::Allowed);
                }
                PairAction::Descend
            }
            LeafVerdict::Replace | LeafVerdict::Empty => {
                if let Some(taints) = &mut self.taints
                    && LITERAL.contains(&self.buffers.text.len())
                {
                    taints.push(Literal::new(&self.buffers.text, &self.buffers.value));
                }
                self.note(place, Kind::Masked);
                PairAction::ReplaceValue
            }
            LeafVerdict::DropAttribute => PairAction::Remove,
            LeafVerdict::DropItem(why) => {
                self.dropped = Some(why);
                PairAction::Keep
            }
        }
    }
}

/// More masked keys in one attribute set than this are no longer told apart.
const MAX_MASKED_KEYS: usize = 256;

impl Visitor for Visit<'_> {
    #[inline]
    fn may_match(&mut self, at: usize, len: usize) -> bool {
        self.every_value || len > self.max_len || self.candidates.any_in(at, at + len)
    }

    #[inline]
    fn quiet_until(&self) -> usize {
        if self.every_value || self.max_len < QUIET_LEN { 0 } else { self.candidates.next() }
    }

    fn wants_pairs(&self) -> bool {
        self.engine.decides_by_key() || self.summarize
    }

    fn wants_scalars(&self) -> bool {
        self.engine.redacts_all_types()
    }

    fn pair(&mut self, place: LeafPlace, depth: usize, key: &[u8], value: &[u8]) -> PairAction {
        let body = place == LeafPlace::LogBody;
        let own = self.summarizes(place);
        if let Some(set) = self.buffers.set().filter(|_| own) {
            if depth == 0 && set.notes.take_over(key, value) {
                return PairAction::Remove;
            }
            set.path.truncate(if body { depth.saturating_sub(1) } else { depth });
            set.path.push(key.to_vec());
            set.noted &= depth > 0 && !body;
        }
        match self.engine.key(self.scratch, key, depth == 0 || body) {
            KeyVerdict::Scan => PairAction::Descend,
            KeyVerdict::Ignore => {
                self.note(place, Kind::Ignored);
                PairAction::Keep
            }
            KeyVerdict::Remove => {
                self.note(place, Kind::Redacted);
                PairAction::Remove
            }
            KeyVerdict::MaskValue => self.mask_value(place, key, value),
        }
    }

    fn leaf(&mut self, leaf: Leaf<'_>) -> LeafAction {
        let Visit { engine, scratch, candidates, buffers, .. } = self;
        let out = &mut buffers.replacement;
        out.clear();
        scratch.was_allowed = false;
        let place = attribute_place(leaf.place);
        let key = match leaf.key {
            b"" if leaf.place == LeafPlace::LogBody => Some(BODY),
            key => Some(key),
        };
        let verdict = match leaf.content {
            Content::Text(text) | Content::Bytes(text) => {
                engine.leaf(scratch, &leaf::Leaf { place, key, text, at: leaf.at }, candidates, out)
            }
            Content::Field(number, text) => {
                let place = field_place(self.root, leaf.place, number);
                engine.leaf(scratch, &leaf::Leaf { place, key: None, text, at: leaf.at }, candidates, out)
            }
            Content::Key(text) => {
                engine.leaf(scratch, &leaf::Leaf { place: Place::Key, key: None, text, at: leaf.at }, candidates, out)
            }
            Content::Int(value) => engine.int(scratch, place, key, value, out),
            Content::Double(value) => engine.double(scratch, place, key, value, out),
            Content::Bool(value) => engine.bool(scratch, place, key, value, out),
        };
        if let Content::Key(_) = leaf.content {
            if verdict == LeafVerdict::Replace {
                self.tell_apart();
            }
        } else if self.summarize && !matches!(leaf.content, Content::Field(..)) {
            match verdict {
                LeafVerdict::Replace | LeafVerdict::Empty => self.note(leaf.place, Kind::Masked),
                LeafVerdict::Keep if self.scratch.was_allowed => self.note(leaf.place, Kind::Allowed),
                _ => {}
            }
        }
        self.verdict(verdict)
    }

    fn replacement(&self) -> &[u8] {
        &self.buffers.replacement
    }

    fn value_replacement(&self) -> &[u8] {
        &self.buffers.value
    }

    #[inline]
    fn enter(&mut self, _place: LeafPlace) {
        let summarize = self.summarize;
        let buffers = &mut *self.buffers;
        buffers.open += 1;
        if buffers.sets.len() < buffers.open {
            buffers.sets.push(Set::default());
        }
        if let Some(set) = buffers.set() {
            set.masked_keys.clear();
            if summarize {
                set.notes.clear();
                set.path.clear();
                set.noted = false;
            }
        }
    }

    #[inline]
    fn leave(&mut self, place: LeafPlace, attributes: u32) -> &[u8] {
        let own = self.summarizes(place);
        let Buffers { summary, sets, open, .. } = &mut *self.buffers;
        *open = open.saturating_sub(1);
        summary.clear();
        if let Some(set) = sets.get_mut(*open).filter(|_| own) {
            set.notes.write(self.engine.summary(), attributes, summary);
        }
        summary
    }

    fn max_depth(&self) -> usize {
        self.engine.max_depth()
    }

    fn too_deep(&mut self) -> &[u8] {
        self.buffers.replacement.clear();
        let place = Place::LogBody; // the counter has no place, and every place that nests is masked alike
        match self.engine.too_deep(self.scratch, place, &mut self.buffers.replacement) {
            LeafVerdict::DropItem(why) => self.dropped = Some(why),
            LeafVerdict::Keep => self.buffers.replacement.extend_from_slice(STARS),
            _ => {}
        }
        &self.buffers.replacement
    }

    #[cold]
    fn odd_id(&mut self) -> bool {
        self.dropped = Some(Dropped::Invalid);
        false
    }

    fn remove_unknown(&mut self) -> bool {
        if self.engine.keeps_unknown_fields() {
            return false;
        }
        self.scratch.counts.tally.unknown_fields += 1;
        true
    }
}

impl Buffers {
    /// Forgets sets that a walk did not leave because it ended early.
    pub(crate) fn start(&mut self) {
        self.open = 0;
    }
}

/// Whether summaries are written at all.
pub(crate) fn summarizes(engine: &Engine) -> bool {
    engine.summary() != Summary::Silent && !engine.is_dry_run()
}
