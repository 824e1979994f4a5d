//! An attribute list, in both forms.

use std::cell::Cell;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use sluice_pdata::testing::{Meaning, Node};

use super::tree::real;

/// The attributes of one message.
pub struct Pairs<'a> {
    pub list: &'a mut Vec<KeyValue>,
    pub nodes: &'a mut Vec<Node>,
    /// Whether something was added, so that a message that was not there is now.
    pub added: bool,
    /// Set by every edit, also by one that another takes back.
    pub touched: &'a Cell<bool>,
}

/// A value to be written, in both forms.
pub struct New(pub AnyValue, pub Meaning);

impl New {
    /// A scalar.
    pub fn scalar(value: Value) -> Self {
        let (number, node) = match &value {
            Value::StringValue(text) => (1, Node::Bytes(real(text))),
            Value::BoolValue(flag) => (2, Node::Scalar(u64::from(*flag))),
            Value::IntValue(number) => (3, Node::Scalar(*number as u64)),
            Value::DoubleValue(number) => (4, Node::Scalar(number.to_bits())),
            other => panic!("{other:?} is no scalar"),
        };
        New(AnyValue { value: Some(value) }, Meaning([(number, vec![node])].into()))
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        New::scalar(Value::StringValue(text.into()))
    }
}

impl Pairs<'_> {
    fn find(&self, key: &str) -> Option<usize> {
        self.list.iter().position(|pair| pair.key == key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of the first attribute with this key; `Some(None)` for an empty one.
    pub fn get(&self, key: &str) -> Option<Option<&Value>> {
        value_of(self.list, key)
    }

    /// The first value of a key, to be written elsewhere.
    pub fn copy(&self, key: &str) -> Option<New> {
        let at = self.find(key)?;
        let Node::Message(pair) = &self.nodes[at] else { panic!("a pair is a message") };
        let content = match pair.0.get(&2).map(Vec::as_slice) {
            Some([Node::Message(content)]) => content.clone(),
            _ => Meaning::default(),
        };
        Some(New(self.list[at].value.clone().unwrap_or_default(), content))
    }

    /// Sets the first attribute with this key, or adds one.
    pub fn set(&mut self, key: &str, New(value, content): New) {
        self.touched.set(true);
        let pair = KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() };
        let node =
            Node::Message(Meaning([(1, vec![Node::Bytes(real(key))]), (2, vec![Node::Message(content)])].into()));
        match self.find(key) {
            Some(at) => (self.list[at], self.nodes[at]) = (pair, node),
            None => {
                self.list.push(pair);
                self.nodes.push(node);
                self.added = true;
            }
        }
    }

    /// Removes every attribute whose key is unwanted.
    pub fn remove(&mut self, unwanted: impl Fn(&str) -> bool) {
        let keep: Vec<bool> = self.list.iter().map(|pair| !unwanted(&pair.key)).collect();
        if keep.contains(&false) {
            self.touched.set(true);
        }
        let mut kept = keep.iter();
        self.list.retain(|_| *kept.next().unwrap());
        let mut kept = keep.iter();
        self.nodes.retain(|_| *kept.next().unwrap());
    }
}

/// The value of the first attribute with this key; `Some(None)` for an empty one.
pub fn value_of<'a>(pairs: &'a [KeyValue], key: &str) -> Option<Option<&'a Value>> {
    let pair = pairs.iter().find(|pair| pair.key == key)?;
    Some(pair.value.as_ref().and_then(|value| value.value.as_ref()))
}
