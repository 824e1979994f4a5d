//! Enum names: constants of the context an expression runs on (ottl.md §3.3).

use crate::context::Context;

const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

const SPAN: &[(&str, i64)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
    ("STATUS_CODE_UNSET", 0),
    ("STATUS_CODE_OK", 1),
    ("STATUS_CODE_ERROR", 2),
];

const METRIC: &[(&str, i64)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
    ("METRIC_DATA_TYPE_NONE", 0),
    ("METRIC_DATA_TYPE_GAUGE", 1),
    ("METRIC_DATA_TYPE_SUM", 2),
    ("METRIC_DATA_TYPE_HISTOGRAM", 3),
    ("METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM", 4),
    ("METRIC_DATA_TYPE_SUMMARY", 5),
];

const FLAGS: &[(&str, i64)] = &[("FLAG_NONE", 0), ("FLAG_NO_RECORDED_VALUE", 1)];

/// The value of an enum name in a context.
pub fn enum_value(context: Context, name: &str) -> Option<i64> {
    let find = |table: &[(&str, i64)]| table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    match context {
        Context::Log => severity(name),
        Context::Span | Context::SpanEvent => find(SPAN),
        Context::Metric => find(METRIC),
        Context::DataPoint => find(METRIC).or_else(|| find(FLAGS)),
        Context::Scope | Context::Resource | Context::Otelcol => None,
    }
}

/// `SEVERITY_NUMBER_UNSPECIFIED` is 0; each of the six names stands for four numbers: `INFO`, `INFO2`, `INFO3`, `INFO4`.
fn severity(name: &str) -> Option<i64> {
    let name = name.strip_prefix("SEVERITY_NUMBER_")?;
    if name == "UNSPECIFIED" {
        return Some(0);
    }
    SEVERITIES.iter().zip(0i64..).find_map(|(word, index)| {
        let step = match name.strip_prefix(word)? {
            "" => 0,
            "2" => 1,
            "3" => 2,
            "4" => 3,
            _ => return None,
        };
        Some(index * 4 + 1 + step)
    })
}

/// The enum names of a context, for suggestions.
pub(crate) fn enum_names(context: Context) -> Vec<String> {
    let table = match context {
        Context::Log => {
            let numbered = SEVERITIES
                .iter()
                .flat_map(|word| ["", "2", "3", "4"].map(|step| format!("SEVERITY_NUMBER_{word}{step}")));
            return std::iter::once("SEVERITY_NUMBER_UNSPECIFIED".to_owned()).chain(numbered).collect();
        }
        Context::Span | Context::SpanEvent => [SPAN, &[]],
        Context::Metric => [METRIC, &[]],
        Context::DataPoint => [METRIC, FLAGS],
        Context::Scope | Context::Resource | Context::Otelcol => [&[][..], &[]],
    };
    table.concat().into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_belong_to_contexts() {
        for (context, name, value) in [
            (Context::Log, "SEVERITY_NUMBER_UNSPECIFIED", Some(0)),
            (Context::Log, "SEVERITY_NUMBER_TRACE", Some(1)),
            (Context::Log, "SEVERITY_NUMBER_INFO", Some(9)),
            (Context::Log, "SEVERITY_NUMBER_WARN2", Some(14)),
            (Context::Log, "SEVERITY_NUMBER_FATAL4", Some(24)),
            (Context::Log, "SEVERITY_NUMBER_FATAL5", None),
            (Context::Log, "SPAN_KIND_SERVER", None),
            (Context::Span, "SPAN_KIND_SERVER", Some(2)),
            (Context::SpanEvent, "STATUS_CODE_ERROR", Some(2)),
            (Context::Span, "FLAG_NONE", None),
            (Context::Metric, "METRIC_DATA_TYPE_SUMMARY", Some(5)),
            (Context::DataPoint, "AGGREGATION_TEMPORALITY_CUMULATIVE", Some(2)),
            (Context::Metric, "FLAG_NO_RECORDED_VALUE", None),
            (Context::DataPoint, "FLAG_NO_RECORDED_VALUE", Some(1)),
            (Context::Resource, "STATUS_CODE_OK", None),
        ] {
            assert_eq!(enum_value(context, name), value, "{name}");
        }
        for context in Context::ALL {
            for name in enum_names(context) {
                assert!(enum_value(context, &name).is_some(), "{name}");
            }
        }
    }
}
