//! Counts the items of a protobuf message by hopping from length to length: nothing is decoded and, in [`Counter`],
//! nothing is buffered, so that counting costs the sink a few nanoseconds an item.

use crate::signal::Signal;

/// What a message type holds that is worth counting or entering. Everything else is skipped.
#[derive(Debug)]
pub struct Node {
    fields: &'static [(u32, Field)],
}

/// What to do at one field.
#[derive(Debug, Clone, Copy)]
struct Field {
    count: Option<Counted>,
    enter: Option<&'static Node>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Spans, log records or data points.
    Item,
    /// Time series of a remote-write request.
    Series,
    /// Float samples of a remote-write request.
    Sample,
    /// Native histogram samples of a remote-write request.
    Histogram,
}

/// How many of each were seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub items: u64,
    pub series: u64,
    pub samples: u64,
    pub histograms: u64,
}

impl Counts {
    fn add(&mut self, what: Counted) {
        match what {
            Counted::Item => self.items += 1,
            Counted::Series => self.series += 1,
            Counted::Sample => self.samples += 1,
            Counted::Histogram => self.histograms += 1,
        }
    }
}

const fn enter(node: &'static Node) -> Field {
    Field { count: None, enter: Some(node) }
}
const fn count(what: Counted) -> Field {
    Field { count: Some(what), enter: None }
}
const fn both(what: Counted, node: &'static Node) -> Field {
    Field { count: Some(what), enter: Some(node) }
}

static SCOPE_ITEMS: Node = Node { fields: &[(2, count(Counted::Item))] };
static RESOURCE_ITEMS: Node = Node { fields: &[(2, enter(&SCOPE_ITEMS))] };
/// Spans of a trace request and records of a log request: the field numbers are the same.
static ITEMS: Node = Node { fields: &[(1, enter(&RESOURCE_ITEMS))] };

static POINTS: Node = Node { fields: &[(1, count(Counted::Item))] };
static METRIC: Node = Node {
    fields: &[
        (5, enter(&POINTS)),
        (7, enter(&POINTS)),
        (9, enter(&POINTS)),
        (10, enter(&POINTS)),
        (11, enter(&POINTS)),
    ],
};
static SCOPE_METRICS: Node = Node { fields: &[(2, enter(&METRIC))] };
static RESOURCE_METRICS: Node = Node { fields: &[(2, enter(&SCOPE_METRICS))] };
static METRICS: Node = Node { fields: &[(1, enter(&RESOURCE_METRICS))] };

static SERIES_V1: Node = Node { fields: &[(2, count(Counted::Sample)), (4, count(Counted::Histogram))] };
/// `prometheus.WriteRequest`.
pub static WRITE_V1: Node = Node { fields: &[(1, both(Counted::Series, &SERIES_V1))] };
static SERIES_V2: Node = Node { fields: &[(2, count(Counted::Sample)), (3, count(Counted::Histogram))] };
/// `io.prometheus.write.v2.Request`.
pub static WRITE_V2: Node = Node { fields: &[(5, both(Counted::Series, &SERIES_V2))] };

/// The Export request of a signal.
pub fn export_request(signal: Signal) -> &'static Node {
    match signal {
        Signal::Traces | Signal::Logs => &ITEMS,
        Signal::Metrics => &METRICS,
    }
}

/// The message is not well-formed protobuf down to its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub struct Malformed;

impl Node {
    fn field(&self, number: u32) -> Field {
        let none = Field { count: None, enter: None };
        self.fields.iter().find(|(field, _)| *field == number).map_or(none, |(_, field)| *field)
    }
}

/// Deepest nesting that the tables above enter.
const DEPTH: usize = 6;

/// A counter that is fed a message in pieces of any size.
#[derive(Debug)]
pub struct Counter {
    open: [(&'static Node, u64); DEPTH],
    depth: usize,
    /// Bytes consumed so far.
    at: u64,
    state: State,
    /// The varint being read, and its next bit.
    varint: u64,
    shift: u32,
    counts: Counts,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Tag,
    Length(Field),
    Varint,
    SkipTo(u64),
}

impl Counter {
    pub fn new(root: &'static Node) -> Self {
        Self {
            open: [(root, u64::MAX); DEPTH],
            depth: 0,
            at: 0,
            state: State::Tag,
            varint: 0,
            shift: 0,
            counts: Counts::default(),
        }
    }

    /// Counts what the next piece completes.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        let base = self.at;
        let mut rest = piece;
        while !rest.is_empty() {
            if let State::SkipTo(target) = self.state {
                let step = usize::try_from(target - self.at).unwrap_or(usize::MAX).min(rest.len());
                rest = rest.get(step..).ok_or(Malformed)?;
                self.at += step as u64;
                if self.at < target {
                    break;
                }
                self.state = State::Tag;
                self.close();
                continue;
            }
            let (byte, tail) = rest.split_first().ok_or(Malformed)?;
            rest = tail;
            self.at += 1;
            if self.shift > 63 {
                return Err(Malformed);
            }
            self.varint |= u64::from(byte & 0x7f) << self.shift;
            self.shift += 7;
            if byte & 0x80 == 0 {
                let value = std::mem::take(&mut self.varint);
                self.shift = 0;
                self.token(value)?;
            }
        }
        debug_assert_eq!(self.at, base + piece.len() as u64);
        Ok(())
    }

    /// What was counted, if the message ended where a field ends.
    pub fn finish(mut self) -> Result<Counts, Malformed> {
        self.close();
        let whole = self.depth == 0 && self.shift == 0 && matches!(self.state, State::Tag);
        if whole { Ok(self.counts) } else { Err(Malformed) }
    }

    fn node(&self) -> (&'static Node, u64) {
        self.open.get(self.depth).copied().unwrap_or((&ITEMS, 0))
    }

    /// Leaves the messages that end here.
    fn close(&mut self) {
        while self.depth > 0 && self.node().1 == self.at {
            self.depth -= 1;
        }
    }

    fn skip(&mut self, length: u64) -> Result<(), Malformed> {
        let target = self.at.checked_add(length).ok_or(Malformed)?;
        if target > self.node().1 {
            return Err(Malformed);
        }
        if length == 0 {
            self.state = State::Tag;
            self.close();
        } else {
            self.state = State::SkipTo(target);
        }
        Ok(())
    }

    fn token(&mut self, value: u64) -> Result<(), Malformed> {
        match self.state {
            State::Tag => {
                let number = u32::try_from(value >> 3).map_err(|_| Malformed)?;
                match value & 7 {
                    0 => self.state = State::Varint,
                    1 => self.skip(8)?,
                    2 => self.state = State::Length(self.node().0.field(number)),
                    5 => self.skip(4)?,
                    _ => return Err(Malformed),
                }
            }
            State::Varint => self.skip(0)?,
            State::Length(field) => {
                if let Some(what) = field.count {
                    self.counts.add(what);
                }
                match field.enter {
                    Some(node) if value > 0 => {
                        let end = self.at.checked_add(value).ok_or(Malformed)?;
                        if end > self.node().1 {
                            return Err(Malformed);
                        }
                        self.depth += 1;
                        *self.open.get_mut(self.depth).ok_or(Malformed)? = (node, end);
                        self.state = State::Tag;
                    }
                    _ => self.skip(value)?,
                }
            }
            State::SkipTo(_) => return Err(Malformed),
        }
        Ok(())
    }
}

/// Reads the fields of one whole message.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// One field's value.
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// The next field's number and value; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Malformed)?;
                self.0 = rest;
                Value::Fixed64(*bytes)
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => {
                let (_, rest) = self.0.split_first_chunk::<4>().ok_or(Malformed)?;
                self.0 = rest;
                Value::Fixed32
            }
            _ => return Err(Malformed),
        };
        Ok(Some((number, value)))
    }
}

/// Shows `visit` every counted message below `root` in a whole message.
pub fn visit(root: &'static Node, message: &[u8], visit_item: &mut dyn FnMut(Counted, &[u8])) -> Result<(), Malformed> {
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        let Value::Bytes(bytes) = value else { continue };
        let field = root.field(number);
        if let Some(what) = field.count {
            visit_item(what, bytes);
        }
        if let Some(node) = field.enter {
            visit(node, bytes, visit_item)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
