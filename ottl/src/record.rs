//! What an expression runs on, seen through a trait, so that the evaluator knows nothing of how records are kept.

use crate::context::Context;
use crate::error::EvalError;
use crate::path::{Field, Path};
use crate::time::Time;
use crate::value::{Entry, Map, Value};

/// An attribute that an expression reads by a key known at load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributeKey {
    pub level: Context,
    pub key: Box<[u8]>,
    /// Its number among all attributes that one compiler met, from zero: lets a record keep the values of one walk in an
    /// array for all expressions compiled together.
    pub slot: usize,
}

/// One record (a span, a log record, a data point …) and the things around it.
pub trait Record {
    /// The value of a path without keys. A level the record does not have, and a field its kind lacks, read as nil.
    ///
    /// # Errors
    /// Malformed wire bytes.
    fn read(&self, path: Path) -> Result<Value<'_>, EvalError>;

    /// The value of a path that is an integer, where the record can tell it without making a [`Value`]; `None` to be asked
    /// by [`Record::read`].
    ///
    /// # Errors
    /// Malformed wire bytes.
    fn int(&self, path: Path) -> Result<Option<i64>, EvalError> {
        let _ = path;
        Ok(None)
    }

    /// The value of the first attribute with a key; `None` if there is none.
    ///
    /// # Errors
    /// Malformed wire bytes.
    fn attribute(&self, key: &AttributeKey) -> Result<Option<Value<'_>>, EvalError> {
        match self.read(Path { level: key.level, field: Field::Attributes })? {
            Value::Map(map) => map.get(&key.key),
            _ => Ok(None),
        }
    }

    /// Shows the attributes of each data point of the metric at hand, until `visit` returns false.
    ///
    /// # Errors
    /// A metric without a type; malformed wire bytes; what `visit` returns.
    fn each_data_point(&self, visit: &mut dyn FnMut(Map<'_>) -> Result<bool, EvalError>) -> Result<(), EvalError> {
        let _ = visit;
        Err(EvalError::Text("unknown metric type"))
    }
}

/// A record without anything: what constants are folded with.
pub(crate) struct NoRecord;

impl Record for NoRecord {
    fn read(&self, _: Path) -> Result<Value<'_>, EvalError> {
        Ok(Value::Nil)
    }
}

/// Where `Now` comes from.
pub trait Clock {
    /// The present.
    fn now(&self) -> Time;
}

impl<F: Fn() -> Time> Clock for F {
    fn now(&self) -> Time {
        self()
    }
}

/// Everything an expression may look at while it runs.
#[derive(Clone, Copy)]
pub struct Scope<'r> {
    pub record: &'r dyn Record,
    pub clock: &'r dyn Clock,
    /// The scratch map of the record and the group of statements.
    pub cache: &'r [Entry<'r>],
}

impl<'r> Scope<'r> {
    /// A scope with an empty cache.
    pub fn new(record: &'r dyn Record, clock: &'r dyn Clock) -> Self {
        Scope { record, clock, cache: &[] }
    }

    #[inline]
    pub(crate) fn read(&self, path: Path) -> Result<Value<'r>, EvalError> {
        match path.field {
            Field::Cache => Ok(Value::Map(Map::Borrowed(self.cache))),
            _ => self.record.read(path),
        }
    }
}
