//! Random conditions, and how OTTL writes them.

use sluice_pdata::testing::Rng;

use super::operand::{Level, Operand, quoted};
use super::{KEYS, METRICS, NAMES, TEXTS};

/// A condition.
#[derive(Clone, Debug)]
pub enum Condition {
    Compare(&'static str, Operand, Literal),
    /// The literal stands on the left.
    Flipped(&'static str, Literal, Operand),
    Both(&'static str, Operand, Operand),
    IsMatch(Operand, &'static str),
    HasPrefix(Operand, &'static str),
    HasSuffix(Operand, &'static str),
    /// `IsString` and the like.
    Is(&'static str, Operand),
    IsRootSpan,
    HasAttrKeyOnDatapoint(&'static str),
    HasAttrOnDatapoint(&'static str, &'static str),
    Constant(bool),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

/// A value that is written out.
#[derive(Clone, Debug)]
pub enum Literal {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'static str),
    Bytes(&'static [u8]),
    /// A name for a number.
    Enum(&'static str, i64),
}

const OPERATORS: [&str; 8] = ["==", "==", "!=", "!=", "<", "<=", ">", ">="];
const PATTERNS: [&str; 14] = [
    "^GET",
    "e",
    "(?i)CHECK",
    "^$",
    "example\\.(com|org)",
    "^[a-z]+$",
    "\\d{4}",
    "/api/v1",
    ".*",
    "caf.",
    "\\x{FFFD}",
    "^-?1",
    "\"quoted\"",
    "healthz$",
];
const AFFIXES: [&str; 6] = ["", "GET", "ch", "out", "/", "🦀 Ω"];
const TYPES: [&str; 6] = ["IsString", "IsInt", "IsDouble", "IsBool", "IsMap", "IsList"];

impl Condition {
    /// A condition for a context, with at least one path.
    pub fn random(rng: &mut Rng, level: Level) -> Self {
        loop {
            let condition = Condition::nested(rng, level, 3);
            if !condition.levels().is_empty() {
                return condition;
            }
        }
    }

    fn nested(rng: &mut Rng, level: Level, depth: usize) -> Self {
        let children = |rng: &mut Rng| -> Vec<Condition> {
            (0..2 + rng.below(2)).map(|_| Condition::nested(rng, level, depth - 1)).collect()
        };
        match rng.below(if depth == 0 { 11 } else { 17 }) {
            0..5 => Condition::comparison(rng, level),
            5 => Condition::Both(rng.pick(&OPERATORS), Operand::random(rng, level), Operand::random(rng, level)),
            6 | 7 => Condition::IsMatch(Operand::random(rng, level), rng.pick(&PATTERNS)),
            8 => Condition::HasPrefix(Operand::random(rng, level), rng.pick(&AFFIXES)),
            9 => Condition::Is(rng.pick(&TYPES), Operand::random(rng, level)),
            10 => match (level, rng.below(3)) {
                (Level::Span, 0) => Condition::IsRootSpan,
                (Level::Metric, 0) => Condition::HasAttrKeyOnDatapoint(rng.pick(&KEYS)),
                (Level::Metric, 1) => Condition::HasAttrOnDatapoint(rng.pick(&KEYS), rng.pick(&TEXTS)),
                (_, 1) => Condition::Constant(rng.chance(50)),
                _ => Condition::HasSuffix(Operand::random(rng, level), rng.pick(&AFFIXES)),
            },
            11 | 12 => Condition::And(children(rng)),
            13 | 14 => Condition::Or(children(rng)),
            _ => Condition::Not(Box::new(Condition::nested(rng, level, depth - 1))),
        }
    }

    fn comparison(rng: &mut Rng, level: Level) -> Self {
        let (operator, operand) = (rng.pick(&OPERATORS), Operand::random(rng, level));
        let literal = Literal::random(rng, &operand);
        if rng.chance(20) {
            Condition::Flipped(operator, literal, operand)
        } else {
            Condition::Compare(operator, operand, literal)
        }
    }

    /// The levels that paths start from.
    pub fn levels(&self) -> Vec<Level> {
        match self {
            Condition::Compare(_, operand, _) | Condition::Flipped(_, _, operand) => vec![operand.level],
            Condition::Both(_, left, right) => vec![left.level, right.level],
            Condition::IsMatch(operand, _)
            | Condition::HasPrefix(operand, _)
            | Condition::HasSuffix(operand, _)
            | Condition::Is(_, operand) => vec![operand.level],
            Condition::Not(inner) => inner.levels(),
            Condition::And(all) | Condition::Or(all) => all.iter().flat_map(Condition::levels).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a function is used that only one context has.
    pub fn is_particular(&self) -> bool {
        match self {
            Condition::IsRootSpan | Condition::HasAttrKeyOnDatapoint(_) | Condition::HasAttrOnDatapoint(..) => true,
            Condition::Not(inner) => inner.is_particular(),
            Condition::And(all) | Condition::Or(all) => all.iter().any(Condition::is_particular),
            _ => false,
        }
    }

    /// The condition as OTTL. Paths of the context `bare` are written without its name.
    pub fn text(&self, bare: Option<Level>) -> String {
        let list = |word: &str, all: &[Condition]| {
            let all: Vec<_> = all.iter().map(|one| format!("({})", one.text(bare))).collect();
            all.join(&format!(" {word} "))
        };
        match self {
            Condition::Compare(operator, operand, literal) => {
                format!("{} {operator} {}", operand.text(bare), literal.text())
            }
            Condition::Flipped(operator, literal, operand) => {
                format!("{} {operator} {}", literal.text(), operand.text(bare))
            }
            Condition::Both(operator, left, right) => format!("{} {operator} {}", left.text(bare), right.text(bare)),
            Condition::IsMatch(operand, pattern) => format!("IsMatch({}, {})", operand.text(bare), quoted(pattern)),
            Condition::HasPrefix(operand, text) => format!("HasPrefix({}, {})", operand.text(bare), quoted(text)),
            Condition::HasSuffix(operand, text) => format!("HasSuffix({}, {})", operand.text(bare), quoted(text)),
            Condition::Is(function, operand) => format!("{function}({})", operand.text(bare)),
            Condition::IsRootSpan => "IsRootSpan()".to_owned(),
            Condition::HasAttrKeyOnDatapoint(key) => format!("HasAttrKeyOnDatapoint({})", quoted(key)),
            Condition::HasAttrOnDatapoint(key, value) => {
                format!("HasAttrOnDatapoint({}, {})", quoted(key), quoted(value))
            }
            Condition::Constant(holds) => holds.to_string(),
            Condition::Not(inner) => format!("not ({})", inner.text(bare)),
            Condition::And(all) => list("and", all),
            Condition::Or(all) => list("or", all),
        }
    }
}

impl Literal {
    /// A value that the path may have, more often than not.
    fn random(rng: &mut Rng, operand: &Operand) -> Self {
        if rng.chance(12) {
            return Literal::Nil;
        }
        match operand.field {
            "name" | "version" | "kind.string" | "schema_url" | "unit" | "description" | "trace_state"
            | "status.message" | "severity_text" | "event_name" => Literal::Str(match operand.level {
                Level::Metric => rng.pick(&METRICS),
                _ if rng.chance(40) => rng.pick(&TEXTS),
                _ => {
                    rng.pick(&["Server", "https://opentelemetry.io/schemas/1.37.0", NAMES[0], NAMES[1], NAMES[3], "s"])
                }
            }),
            "attributes" | "body" => match rng.below(10) {
                0 | 1 => Literal::Int(rng.below(4) as i64),
                2 => Literal::Float(rng.pick(&[0.0, 0.1, 1e30, 250.5])),
                3 => Literal::Bool(rng.chance(50)),
                4 => Literal::Bytes(b"\x01\xff"),
                _ => Literal::Str(rng.pick(&TEXTS)),
            },
            "is_monotonic" => Literal::Bool(rng.chance(50)),
            "kind" => rng.pick(&[("SPAN_KIND_SERVER", 2), ("SPAN_KIND_CLIENT", 3)]).into(),
            "status.code" => rng.pick(&[("STATUS_CODE_ERROR", 2), ("STATUS_CODE_UNSET", 0)]).into(),
            "type" => rng.pick(&[("METRIC_DATA_TYPE_SUM", 2), ("METRIC_DATA_TYPE_GAUGE", 1)]).into(),
            "aggregation_temporality" => rng.pick(&[("AGGREGATION_TEMPORALITY_DELTA", 1)]).into(),
            "severity_number" => rng.pick(&[("SEVERITY_NUMBER_WARN", 13), ("SEVERITY_NUMBER_INFO", 9)]).into(),
            "sum" | "value_double" | "min" | "max" => Literal::Float(rng.pick(&[0.0, 0.1, 250.0])),
            field if field.contains("time") => Literal::Int(rng.pick(&[0, 1_760_000_050_000_000_000])),
            _ => Literal::Int(rng.pick(&[0, 1, 10, 500])),
        }
    }

    fn text(&self) -> String {
        match self {
            Literal::Nil => "nil".to_owned(),
            Literal::Bool(flag) => flag.to_string(),
            Literal::Int(number) | Literal::Enum("", number) => number.to_string(),
            Literal::Float(number) => format!("{number:.1}"),
            Literal::Str(text) => quoted(text),
            Literal::Bytes(bytes) => format!("0x{}", super::value::hex(bytes)),
            Literal::Enum(name, _) => (*name).to_owned(),
        }
    }
}

impl From<(&'static str, i64)> for Literal {
    fn from((name, number): (&'static str, i64)) -> Self {
        Literal::Enum(name, number)
    }
}
