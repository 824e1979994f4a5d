//! The stable codes of diagnostics this crate reports (experience §4.2). A code is never reused.

/// Every code of this crate with a one-line meaning.
pub const ALL: &[(&str, &str)] = &[
    ("E0001", "the source is not UTF-8"),
    ("E0002", "YAML syntax"),
    ("E0003", "duplicate key"),
    ("E0004", "unknown anchor"),
    ("E0005", "a size, depth, alias or node budget is exceeded"),
    ("E0006", "several documents in one source"),
    ("E0007", "a tab is used for indentation"),
    ("E0008", "the source cannot be read"),
    ("E0009", "unknown or malformed scheme"),
    ("E0101", "wrong type"),
    ("E0102", "unknown field"),
    ("E0103", "unknown component"),
    ("E0104", "required field missing"),
    ("E0105", "out of range or not valid"),
    ("E0106", "not one of the allowed values"),
    ("E0107", "bad duration or size"),
    ("E0108", "bad id"),
    ("E0201", "undefined reference"),
    ("E0202", "a pipeline has no receiver or exporter"),
    ("E0203", "signal not supported"),
    ("E0205", "a connector is used on one side only"),
    ("E0206", "ambiguous id"),
    ("E0207", "processor listed twice"),
    ("E0208", "no pipelines, or a whole section is missing"),
    ("E0402", "bad reference"),
    ("E0403", "expansion does not end"),
    ("W0401", "environment variable is unset"),
    ("W0404", "the retrieved text is not valid YAML and was taken as a string"),
    ("W0405", "a reference after an escaped one is left as it is"),
    ("W0508", "processors in an order that makes one of them see less than there was"),
    ("W0509", "component configured but unused"),
    ("W0515", "a null map in a later source erased an earlier one"),
    ("W0516", "an old spelling was accepted"),
    ("W0517", "a sampling rule is missing, or never reached"),
    ("N0601", "deprecated alias"),
    ("N0602", "field without effect"),
    ("N0603", "environment variable is empty"),
];

/// The one-line meaning of a code.
pub fn meaning(code: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}
