//! What is read of a span, in one walk over its bytes.

use sluice_pdata::Error;
use sluice_pdata::tags::{span, status};
use sluice_pdata::view::KeyValueView;
use sluice_pdata::wire::{Value, fields};
use smallvec::SmallVec;

use super::dimension::{Found, Seen, Slots};

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// The facts of a span, borrowed from its bytes.
#[derive(Clone, Debug, Default)]
pub struct SpanFacts<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub status: i32,
    pub start: u64,
    pub end: u64,
    /// The attributes that dimensions ask for.
    pub found: Found<'a>,
    /// All attributes, if globs want them.
    pub seen: Seen<'a>,
    /// The events, if they are counted.
    pub events: SmallVec<[&'a [u8]; 4]>,
}

impl<'a> SpanFacts<'a> {
    /// Reads a span. The last occurrence of a scalar counts, as everywhere; the first of an attribute.
    ///
    /// # Errors
    /// Malformed bytes.
    pub fn read(bytes: &'a [u8], slots: &Slots, events: bool) -> Result<Self, Error> {
        let mut facts = SpanFacts { found: slots.empty(), ..SpanFacts::default() };
        let wanted = slots.globs || !facts.found.is_empty();
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (span::TRACE_ID, Value::Len(id)) => facts.trace_id = id,
                (span::SPAN_ID, Value::Len(id)) => facts.span_id = id,
                (span::TRACE_STATE, Value::Len(state)) => facts.trace_state = state,
                (span::NAME, Value::Len(name)) => facts.name = name,
                (span::KIND, Value::Varint(kind)) => facts.kind = kind as i32,
                (span::START_TIME_UNIX_NANO, Value::Fixed64(time)) => facts.start = time,
                (span::END_TIME_UNIX_NANO, Value::Fixed64(time)) => facts.end = time,
                (span::ATTRIBUTES, Value::Len(pair)) if wanted => {
                    slots.offer(KeyValueView::parse(pair)?, &mut facts.found, &mut facts.seen);
                }
                (span::EVENTS, Value::Len(event)) if events => facts.events.push(event),
                (span::STATUS, Value::Len(message)) => {
                    for field in fields(message) {
                        let field = field?;
                        if let (status::CODE, Value::Varint(code)) = (field.number, field.value) {
                            facts.status = code as i32;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Nanoseconds from start to end; `None` if it ended before it started.
    pub fn nanos(&self) -> Option<u64> {
        self.end.checked_sub(self.start)
    }

    pub fn is_error(&self) -> bool {
        self.status == ERROR
    }

    /// Trace and span id, if an exemplar can refer to them.
    pub fn ids(&self) -> Option<([u8; 16], [u8; 8])> {
        let trace: [u8; 16] = self.trace_id.try_into().ok()?;
        let span: [u8; 8] = self.span_id.try_into().ok()?;
        (trace != [0; 16] && span != [0; 8]).then_some((trace, span))
    }
}
