//! The shapes of the standard editors: what they take. What they change is applied by the component that edits.

use crate::function::{Function, Kind, Param, optional, required};

const PATTERN: Param = required("pattern", Kind::String);
const REPLACEMENT: Param = required("replacement", Kind::String);
const FUNCTION: Param = optional("function", Kind::Function);
const FORMAT: Param = optional("replacementFormat", Kind::String);
const TARGET: Param = required("target", Kind::Path);
const REGEX: Param = required("regex", Kind::String);

pub(crate) const FAMILY: &[Function] = &[
    Function::editor("set", &[TARGET, required("value", Kind::Any)]),
    Function::editor("append", &[TARGET, optional("value", Kind::Any), optional("values", Kind::Items(&Kind::Any))]),
    Function::editor("delete_index", &[TARGET, required("startIndex", Kind::Int), optional("endIndex", Kind::Int)]),
    Function::editor("delete_key", &[TARGET, required("key", Kind::String)]),
    Function::editor("delete_matching_keys", &[TARGET, PATTERN]),
    Function::editor("keep_matching_keys", &[TARGET, PATTERN]),
    Function::editor("keep_keys", &[TARGET, required("keys", Kind::Items(&Kind::String))]),
    Function::editor(
        "limit",
        &[TARGET, required("limit", Kind::LiteralInt), required("priority_keys", Kind::Items(&Kind::LiteralString))],
    ),
    Function::editor("merge_maps", &[TARGET, required("source", Kind::Map), required("strategy", Kind::LiteralString)]),
    Function::editor(
        "flatten",
        &[
            TARGET,
            optional("prefix", Kind::LiteralString),
            optional("depth", Kind::LiteralInt),
            optional("resolveConflicts", Kind::LiteralBool),
        ],
    ),
    Function::editor("replace_match", &[TARGET, PATTERN, REPLACEMENT, FUNCTION, FORMAT]),
    Function::editor("replace_all_matches", &[TARGET, PATTERN, REPLACEMENT, FUNCTION, FORMAT]),
    Function::editor("replace_pattern", &[TARGET, REGEX, REPLACEMENT, FUNCTION, FORMAT]),
    Function::editor(
        "replace_all_patterns",
        &[TARGET, required("mode", Kind::LiteralString), REGEX, REPLACEMENT, FUNCTION, FORMAT],
    ),
    Function::editor(
        "truncate_all",
        &[TARGET, required("limit", Kind::LiteralInt), optional("utf8_safe", Kind::LiteralBool)],
    ),
];
