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
    /// Any value.
    pub fn of(value: Value) -> Self {
        let value = AnyValue { value: Some(value) };
        let tree = tree_of(&value);
        New(value, tree)
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        New::of(Value::StringValue(text.into()))
    }
}

/// A value as a tag tree.
fn tree_of(value: &AnyValue) -> Meaning {
    let list = |nodes: Vec<Node>| Node::Message(Meaning([(1, nodes)].into()));
    let (number, node) = match &value.value {
        None => return Meaning::default(),
        Some(Value::StringValue(text)) => (1, Node::Bytes(real(text))),
        Some(Value::BoolValue(flag)) => (2, Node::Scalar(u64::from(*flag))),
        Some(Value::IntValue(number)) => (3, Node::Scalar(*number as u64)),
        Some(Value::DoubleValue(number)) => (4, Node::Scalar(number.to_bits())),
        Some(Value::ArrayValue(array)) => {
            (5, list(array.values.iter().map(|value| Node::Message(tree_of(value))).collect()))
        }
        Some(Value::KvlistValue(map)) => {
            let pair = |pair: &KeyValue| {
                let value = tree_of(&pair.value.clone().unwrap_or_default());
                Node::Message(Meaning(
                    [(1, vec![Node::Bytes(real(&pair.key))]), (2, vec![Node::Message(value)])].into(),
                ))
            };
            (6, list(map.values.iter().map(pair).collect()))
        }
        Some(other) => panic!("{other:?} is never written"),
    };
    Meaning([(number, vec![node])].into())
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
