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
    ("E0110", "a component of upstream that Sluice does not have"),
    ("E0201", "undefined reference"),
    ("E0202", "a pipeline has no receiver or exporter"),
    ("E0203", "signal not supported"),
    ("E0204", "pipelines in a circle"),
    ("E0205", "a connector is used on one side only"),
    ("E0206", "ambiguous id"),
    ("E0207", "processor listed twice"),
    ("E0208", "no pipelines, or a whole section is missing"),
    ("E0209", "redaction behind a step that it would come too late for"),
    ("E0211", "an endpoint that no address can be made of"),
    ("E0212", "two listeners on one address"),
    ("E0213", "an insecure listener, and exposure is enforced"),
    ("E0301", "an OTTL expression does not compile"),
    ("E0302", "a regular expression does not compile"),
    ("E0402", "bad reference"),
    ("E0403", "expansion does not end"),
    ("W0401", "environment variable is unset"),
    ("W0405", "a reference after an escaped one is left as it is"),
    ("W0501", "a listener that anybody can reach"),
    ("W0502", "an exporter without retry or queue"),
    ("W0503", "traces are spread over replicas"),
    ("W0508", "certificate verification is off"),
    ("W0509", "component configured but unused"),
    ("W0510", "memory_limiter is not the first processor"),
    ("W0512", "text is added behind redaction"),
    ("W0513", "an exporter sends to the process itself"),
    ("W0514", "an attribute with endless values becomes a label"),
    ("W0515", "a null map in a later source erased an earlier one"),
    ("W0516", "an old spelling was accepted"),
    ("W0517", "a sampling rule is missing, or never reached"),
    ("W0518", "settings that have no effect together"),
    ("W0519", "processors in an order that makes one of them see less than there was"),
    ("N0601", "deprecated alias"),
    ("N0602", "field without effect"),
    ("N0603", "environment variable is empty"),
];

/// What to do where a finding does not say it itself.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "E0001" => "save the file as UTF-8",
        "E0002" => "look at the caret and the line above: a bracket, quote or `: ` is missing or too many",
        "E0004" => "mark the block with `&name` above, or quote a text that begins with `*`",
        "E0005" => "make the configuration smaller, or write it without anchors",
        "E0006" => "put each document into a file of its own, and pass all of them with -c",
        "E0008" => "pass the path of a file that this user may read; paths start at the working directory",
        "E0009" => "write file:…, env:… or yaml:…",
        "E0101" => "write a value of the type that is named",
        "E0103" => "`sluice components` lists the types of this build",
        "E0105" => "`sluice explain TYPE` and `sluice config schema` show what a field takes",
        "E0106" => "write one of the words that are named",
        "E0108" => "write type or type/name; a pipeline is traces, metrics or logs, with /name if there are several",
        "E0201" => "configure it under its section, or name one that is configured",
        "E0202" => "add the list: receivers: […], exporters: […]",
        "E0203" => "move it to a pipeline of a signal it does (`sluice components` lists them)",
        "E0204" => "take one connector out of the circle",
        "E0205" => "name it on the other side of another pipeline, too",
        "E0206" => "give one of them a name: type/name",
        "E0207" => "remove one of them",
        "E0208" => "write receivers, exporters and service::pipelines; `sluice config defaults` shows a whole one",
        "E0301" => "docs/ottl.md lists paths and functions of each context",
        "E0302" => "patterns are RE2: close brackets, no look-around; in single quotes, `$` written `$$`",
        "E0402" => "write ${env:NAME} with letters, digits and _; a `$` that is meant as it is, is `$$`",
        "E0403" => "give one of the variables a value without a reference",
        "W0517" => "correct the name, or move the rule that matches everything to the end",
        "W0518" => "add the other setting, or remove this one",
        "W0405" => "put the reference before the escaped one",
        _ => return None,
    })
}

/// Gives every finding that only says what is wrong a word on what to do.
pub fn advise(found: &mut [crate::Diagnostic]) {
    for finding in found.iter_mut().filter(|it| it.help.is_none() && it.label.is_none()) {
        finding.help = advice(finding.code).map(str::to_owned);
    }
}

/// The one-line meaning of a code, in any case of letters.
pub fn meaning(code: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}
