//! Sequences of conditions, and what becomes of errors (ottl.md §4).

use std::str::FromStr;

use crate::compile::Condition;
use crate::error::EvalError;
use crate::record::{Clock, Record};

/// What happens when a statement or condition fails on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMode {
    /// Go on with the next; counted and logged.
    Ignore,
    /// Go on with the next; counted.
    Silent,
    /// Stop; the payload is refused.
    Propagate,
}

impl FromStr for ErrorMode {
    type Err = String;

    /// Case does not count. The error is the text for the user.
    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_lowercase().as_str() {
            "ignore" => Ok(ErrorMode::Ignore),
            "silent" => Ok(ErrorMode::Silent),
            "propagate" => Ok(ErrorMode::Propagate),
            other => Err(format!("unknown error mode {other}")),
        }
    }
}

/// How the results of a sequence are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicOperation {
    Or,
    And,
}

/// A condition failed and the error mode is to propagate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to eval condition: {condition}, {error}")]
pub struct FailedCondition {
    pub index: usize,
    /// The condition's text.
    pub condition: String,
    pub error: EvalError,
}

/// Conditions that together say yes or no.
#[derive(Debug)]
pub struct Conditions {
    conditions: Vec<Condition>,
    mode: ErrorMode,
    logic: LogicOperation,
}

impl Conditions {
    /// Conditions of which one must hold.
    pub fn any(conditions: Vec<Condition>, mode: ErrorMode) -> Self {
        Conditions { conditions, mode, logic: LogicOperation::Or }
    }

    /// Conditions that must all hold.
    pub fn all(conditions: Vec<Condition>, mode: ErrorMode) -> Self {
        Conditions { conditions, mode, logic: LogicOperation::And }
    }

    /// The conditions in order.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.iter()
    }

    /// What happens to errors.
    pub fn error_mode(&self) -> ErrorMode {
        self.mode
    }

    /// `or`: the first that holds decides, failed ones are passed over, none means no. `and`: the first that does not
    /// hold decides, failed ones are passed over, all failed means no. `failed` is told of each error that is passed
    /// over, with the condition's index.
    ///
    /// # Errors
    /// The first failure, if the mode is to propagate.
    pub fn eval(
        &self,
        record: &dyn Record,
        clock: &dyn Clock,
        failed: &mut dyn FnMut(usize, &EvalError),
    ) -> Result<bool, FailedCondition> {
        let mut some_held = false;
        for (index, condition) in self.conditions.iter().enumerate() {
            match (condition.eval(record, clock), self.logic) {
                (Ok(true), LogicOperation::Or) => return Ok(true),
                (Ok(false), LogicOperation::And) => return Ok(false),
                (Ok(held), _) => some_held |= held,
                (Err(error), _) if self.mode == ErrorMode::Propagate => {
                    let condition = condition.source().to_owned();
                    return Err(FailedCondition { index, condition, error });
                }
                (Err(error), _) => failed(index, &error),
            }
        }
        Ok(some_held && self.logic == LogicOperation::And)
    }
}
