//! Conditions over a whole trace: `error_count > 0`, `duration_ms > 1000 and has_root` (correlation §2).
//!
//! All aggregates only grow while a trace is open, so some outcomes are certain before it is complete.

use sluice_ottl::LoadError;
use sluice_ottl::ast::{BoolExpr, CompareOp, Value, ValueKind};
use sluice_ottl::parser::parse_condition;

use super::facts::TraceFacts;

/// What is counted over a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Spans,
    Errors,
    /// Whole milliseconds.
    Duration,
    Logs,
    LogErrors,
    Services,
    Root,
}

const NAMES: [(&str, Aggregate); 7] = [
    ("span_count", Aggregate::Spans),
    ("error_count", Aggregate::Errors),
    ("duration_ms", Aggregate::Duration),
    ("log_count", Aggregate::Logs),
    ("log_error_count", Aggregate::LogErrors),
    ("service_count", Aggregate::Services),
    ("has_root", Aggregate::Root),
];

impl Aggregate {
    fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, aggregate)| *aggregate)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, aggregate)| *aggregate == self).map_or("", |(name, _)| name)
    }

    /// The value now; `None` if it is not known. True is 1.
    pub(super) fn value(self, facts: &TraceFacts) -> Option<f64> {
        Some(match self {
            Aggregate::Spans => f64::from(facts.spans),
            Aggregate::Errors => f64::from(facts.errors),
            Aggregate::Duration => facts.duration_ms()? as f64,
            Aggregate::Logs => f64::from(facts.logs),
            Aggregate::LogErrors => f64::from(facts.log_errors),
            Aggregate::Services => f64::from(facts.services),
            Aggregate::Root => f64::from(u8::from(facts.root)),
        })
    }

    fn most(self) -> f64 {
        if self == Aggregate::Root { 1.0 } else { f64::INFINITY }
    }
}

/// What is sure, whatever else comes of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Yes,
    No,
    Open,
}

impl Certainty {
    pub(super) fn not(self) -> Self {
        match self {
            Certainty::Yes => Certainty::No,
            Certainty::No => Certainty::Yes,
            Certainty::Open => Certainty::Open,
        }
    }

    /// Of things that must all hold.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Certainty::Yes;
        for part in parts {
            match part {
                Certainty::No => return Certainty::No,
                Certainty::Open => sum = Certainty::Open,
                Certainty::Yes => {}
            }
        }
        sum
    }

    /// Of things of which one must hold.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::all(parts.into_iter().map(Self::not)).not()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operand {
    Aggregate(Aggregate),
    Number(f64),
}

impl Operand {
    fn now(self, facts: &TraceFacts) -> Option<f64> {
        match self {
            Operand::Aggregate(aggregate) => aggregate.value(facts),
            Operand::Number(number) => Some(number),
        }
    }

    fn most(self, facts: &TraceFacts) -> Option<f64> {
        match self {
            Operand::Aggregate(aggregate) => aggregate.value(facts).map(|_| aggregate.most()),
            Operand::Number(number) => Some(number),
        }
    }
}

/// A compiled condition over a trace.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TraceCondition {
    Const(bool),
    Not(Box<TraceCondition>),
    All(Vec<TraceCondition>),
    Any(Vec<TraceCondition>),
    Compare(Compare),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compare {
    op: CompareOp,
    left: Operand,
    right: Operand,
}

/// What is wrong with a condition, and where in its text.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) text: String,
    pub(super) at: Option<(usize, usize)>,
}

impl From<LoadError> for Invalid {
    fn from(error: LoadError) -> Self {
        let at = error.span().map(|span| (span.start, span.end.saturating_sub(span.start).max(1)));
        Invalid { text: error.to_string(), at }
    }
}

impl TraceCondition {
    /// Compiles a condition. `has_root` may stand alone.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        match text.trim() {
            "has_root" => return Self::parse("has_root == true"),
            "not has_root" => return Self::parse("has_root == false"),
            _ => {}
        }
        Self::compile(&parse_condition(text)?)
    }

    fn compile(tree: &BoolExpr) -> Result<Self, Invalid> {
        let each = |parts: &[BoolExpr]| parts.iter().map(Self::compile).collect::<Result<Vec<_>, _>>();
        Ok(match tree {
            BoolExpr::Literal(holds) => TraceCondition::Const(*holds),
            BoolExpr::Not(inner) => TraceCondition::Not(Box::new(Self::compile(inner)?)),
            BoolExpr::And(parts) => TraceCondition::All(each(parts)?),
            BoolExpr::Or(parts) => TraceCondition::Any(each(parts)?),
            BoolExpr::Compare { op, left, right } => {
                TraceCondition::Compare(Compare { op: *op, left: operand(left)?, right: operand(right)? })
            }
            BoolExpr::Converter(call) => {
                let text = format!("{} cannot be used here: a trace condition compares counts", call.name);
                return Err(Invalid {
                    text,
                    at: Some((call.span.start, call.span.end.saturating_sub(call.span.start).max(1))),
                });
            }
        })
    }

    /// Whether it holds for what is known. What is not known compares as false.
    pub(super) fn holds(&self, facts: &TraceFacts) -> bool {
        match self {
            TraceCondition::Const(holds) => *holds,
            TraceCondition::Not(inner) => !inner.holds(facts),
            TraceCondition::All(parts) => parts.iter().all(|part| part.holds(facts)),
            TraceCondition::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            TraceCondition::Compare(compare) => compare.holds(facts),
        }
    }

    /// What is sure for every way the trace may go on.
    pub(super) fn certainty(&self, facts: &TraceFacts) -> Certainty {
        match self {
            TraceCondition::Const(true) => Certainty::Yes,
            TraceCondition::Const(false) => Certainty::No,
            TraceCondition::Not(inner) => inner.certainty(facts).not(),
            TraceCondition::All(parts) => Certainty::all(parts.iter().map(|part| part.certainty(facts))),
            TraceCondition::Any(parts) => Certainty::any(parts.iter().map(|part| part.certainty(facts))),
            TraceCondition::Compare(compare) => compare.certainty(facts),
        }
    }

    /// The aggregates it looks at.
    pub(super) fn aggregates(&self, into: &mut Vec<Aggregate>) {
        match self {
            TraceCondition::Const(_) => {}
            TraceCondition::Not(inner) => inner.aggregates(into),
            TraceCondition::All(parts) | TraceCondition::Any(parts) => {
                parts.iter().for_each(|part| part.aggregates(into));
            }
            TraceCondition::Compare(compare) => {
                for operand in [compare.left, compare.right] {
                    if let Operand::Aggregate(aggregate) = operand
                        && !into.contains(&aggregate)
                    {
                        into.push(aggregate);
                    }
                }
            }
        }
    }
}

impl Compare {
    fn holds(self, facts: &TraceFacts) -> bool {
        let (Some(left), Some(right)) = (self.left.now(facts), self.right.now(facts)) else { return false };
        match self.op {
            CompareOp::Eq => left == right,
            CompareOp::Ne => left != right,
            CompareOp::Lt => left < right,
            CompareOp::Le => left <= right,
            CompareOp::Gt => left > right,
            CompareOp::Ge => left >= right,
        }
    }

    fn certainty(self, facts: &TraceFacts) -> Certainty {
        let (Some(left), Some(right)) = (self.left.now(facts), self.right.now(facts)) else { return Certainty::Open };
        let (Some(left_most), Some(right_most)) = (self.left.most(facts), self.right.most(facts)) else {
            return Certainty::Open;
        };
        // Each side is between its value now and its most.
        let sure = |yes: bool, no: bool| match (yes, no) {
            (true, _) => Certainty::Yes,
            (_, true) => Certainty::No,
            _ => Certainty::Open,
        };
        let equal =
            sure(left == left_most && right == right_most && left == right, left > right_most || right > left_most);
        match self.op {
            CompareOp::Eq => equal,
            CompareOp::Ne => equal.not(),
            CompareOp::Lt => sure(left_most < right, left >= right_most),
            CompareOp::Le => sure(left_most <= right, left > right_most),
            CompareOp::Gt => sure(left > right_most, left_most <= right),
            CompareOp::Ge => sure(left >= right_most, left_most < right),
        }
    }
}

fn operand(value: &Value) -> Result<Operand, Invalid> {
    let invalid = |text: String| Invalid {
        text,
        at: Some((value.span.start, value.span.end.saturating_sub(value.span.start).max(1))),
    };
    let known = || NAMES.map(|(name, _)| name).join(", ");
    match &value.kind {
        ValueKind::Int(number) => Ok(Operand::Number(*number as f64)),
        ValueKind::Float(number) => Ok(Operand::Number(*number)),
        ValueKind::Bool(yes) => Ok(Operand::Number(f64::from(u8::from(*yes)))),
        ValueKind::Neg(inner) => match operand(inner)? {
            Operand::Number(number) => Ok(Operand::Number(-number)),
            Operand::Aggregate(_) => Err(invalid("a count cannot be negated".to_owned())),
        },
        ValueKind::Path(path) => {
            let text = path.text();
            let name = text.strip_prefix("trace.").unwrap_or(&text);
            Aggregate::from_name(name)
                .map(Operand::Aggregate)
                .ok_or_else(|| invalid(format!("unknown aggregate {name:?}: there are {}", known())))
        }
        _ => Err(invalid(format!("a trace condition compares numbers with {}", known()))),
    }
}
