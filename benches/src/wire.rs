//! A protobuf writer for building request bodies once, at start. It remembers where the bytes are that change from send
//! to send (timestamps, tracking keys), so that they can be patched in place later and nothing is encoded twice.

/// Eight or sixteen bytes of fixed width inside an encoded body that are rewritten before a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Offset of the first byte.
    pub at: u32,
    pub content: Content,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// `fixed64` nanoseconds since the epoch: the time of the send less `age` nanoseconds.
    Time { age: u64 },
    /// A 16-byte trace id, which in tracked runs is the key of the item with this index in the request.
    TraceId { item: u32 },
    /// An eight-byte span id, which in tracked runs is the time of the send in nanoseconds since the epoch.
    Sent,
    /// A `double`, which in tracked runs is the key of the data point with this index in the request.
    Value { item: u32 },
}

/// A message under construction.
#[derive(Debug, Default, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    /// The encoded bytes and the slots in them, in ascending order.
    pub fn into_parts(self) -> (Vec<u8>, Vec<Slot>) {
        (self.bytes, self.slots)
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire_type: u8) {
        self.raw_varint(u64::from(field) << 3 | u64::from(wire_type));
    }

    fn slot(&mut self, content: Content) {
        self.slots.push(Slot { at: self.bytes.len() as u32, content });
    }

    pub fn varint(&mut self, field: u32, value: u64) -> &mut Self {
        self.tag(field, 0);
        self.raw_varint(value);
        self
    }

    pub fn fixed64(&mut self, field: u32, value: u64) -> &mut Self {
        self.tag(field, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn fixed32(&mut self, field: u32, value: u32) -> &mut Self {
        self.tag(field, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn double(&mut self, field: u32, value: f64) -> &mut Self {
        self.fixed64(field, value.to_bits())
    }

    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.tag(field, 2);
        self.raw_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn string(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    /// A timestamp that is patched at each send to be `age` nanoseconds old.
    pub fn time(&mut self, field: u32, age: u64) -> &mut Self {
        self.tag(field, 1);
        self.slot(Content::Time { age });
        self.bytes.extend_from_slice(&[0; 8]);
        self
    }

    /// A trace id; tracked runs write the key of `item` over it.
    pub fn trace_id(&mut self, field: u32, value: &[u8; 16], item: u32) -> &mut Self {
        self.tag(field, 2);
        self.raw_varint(16);
        self.slot(Content::TraceId { item });
        self.bytes.extend_from_slice(value);
        self
    }

    /// A span id; tracked runs write the time of the send over it.
    pub fn span_id(&mut self, field: u32, value: &[u8; 8]) -> &mut Self {
        self.tag(field, 2);
        self.raw_varint(8);
        self.slot(Content::Sent);
        self.bytes.extend_from_slice(value);
        self
    }

    /// A data point's `double` value; tracked runs write the key of `item` over it.
    pub fn value(&mut self, field: u32, value: f64, item: u32) -> &mut Self {
        self.tag(field, 1);
        self.slot(Content::Value { item });
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        self
    }

    /// A nested message.
    pub fn message(&mut self, field: u32, inner: Message) -> &mut Self {
        self.tag(field, 2);
        self.raw_varint(inner.bytes.len() as u64);
        let start = self.bytes.len() as u32;
        self.slots.extend(inner.slots.iter().map(|slot| Slot { at: slot.at + start, ..*slot }));
        self.bytes.extend_from_slice(&inner.bytes);
        self
    }

    /// An attribute (`KeyValue`) with a string value.
    pub fn attribute(&mut self, field: u32, key: &str, value: &str) -> &mut Self {
        let mut any = Message::new();
        any.string(1, value);
        self.key_value(field, key, any)
    }

    /// An attribute with an integer value.
    pub fn attribute_int(&mut self, field: u32, key: &str, value: u64) -> &mut Self {
        let mut any = Message::new();
        any.varint(3, value);
        self.key_value(field, key, any)
    }

    fn key_value(&mut self, field: u32, key: &str, any: Message) -> &mut Self {
        let mut pair = Message::new();
        pair.string(1, key).message(2, any);
        self.message(field, pair)
    }
}
