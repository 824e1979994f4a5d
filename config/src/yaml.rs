//! YAML text to the spanned tree. The parser below is hidden here: nothing else in the crate names its types.
//!
//! Accepts what the Go YAML parser accepts of one document (anchors, merge keys, `!!binary`, the Go scalar rules) and
//! refuses, with a position, what would be ambiguous or unbounded: duplicate keys, tabs as indentation, several
//! documents, and anything over the budgets of security §6.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use crate::diagnostic::Diagnostic;
use crate::scalar;
use crate::source::{Origin, Source, Span};
use crate::tree::{Entry, Map, Node, Size, Value};

/// Longest source text.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of lists and maps.
pub const MAX_DEPTH: usize = 64;
/// Most aliases (`*x`) in one source.
pub const MAX_ALIASES: usize = 1_000;
/// Most bytes that aliases, or references, may repeat.
pub(crate) const MAX_REPEATED_BYTES: usize = 16 * MAX_BYTES;
/// Most nodes of one document, aliases expanded.
pub const MAX_NODES: usize = 100_000;

/// Parses bytes from anywhere: never panics, and every span lies within the text. The entry for fuzzing.
///
/// # Errors
/// One diagnostic (E0001 to E0007) with the position of the first problem.
pub fn parse(bytes: &[u8]) -> Result<Node, Box<Diagnostic>> {
    let source = decode_utf8("<input>", bytes, 0)?;
    parse_source(&source)
}

/// Checks size and encoding, and registers the text.
pub(crate) fn decode_utf8(name: &str, bytes: &[u8], order: u32) -> Result<Arc<Source>, Box<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        let text = format!("{name} has {} bytes; the limit is {MAX_BYTES}", bytes.len());
        let source = Source::new(name, "", order);
        return Err(Box::new(Diagnostic::new("E0005", text).at(&Origin::new(source, Span::default()))));
    }
    std::str::from_utf8(bytes).map(|text| Source::new(name, text, order)).map_err(|error| {
        let source = Source::new(name, String::from_utf8_lossy(bytes), order);
        let start = source.clamp(error.valid_up_to());
        let end = source.clamp(error.valid_up_to() + '\u{fffd}'.len_utf8());
        let place = Origin::new(source, Span { start, end });
        let text = format!("{name} is not UTF-8 (first bad byte at offset {})", error.valid_up_to());
        Box::new(Diagnostic::new("E0001", text).at(&place).label("not UTF-8"))
    })
}

/// Parses one registered text.
pub(crate) fn parse_source(source: &Arc<Source>) -> Result<Node, Box<Diagnostic>> {
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::new(source);
    let text = source.text().strip_prefix('\u{feff}').unwrap_or(source.text());
    builder.shift = source.text().len() - text.len();
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => {
                let span = builder.span(span);
                builder.event(event, span)?;
            }
            Err(error) => return Err(Box::new(builder.syntax_error(&error))),
        }
    }
    Ok(builder.root.unwrap_or_else(|| Node::new(Value::Null, Origin::new(source.clone(), Span::default()))))
}

/// A collection whose end has not been seen.
enum Open {
    Seq { items: Vec<Node>, span: Span, anchor: usize },
    Map { map: Map, merges: Option<Box<Node>>, key: Option<Key>, span: Span, anchor: usize },
}

enum Key {
    Text(String, Span),
    Merge,
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    /// Bytes of a byte-order mark that the parser did not see.
    shift: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    root: Option<Node>,
    documents: usize,
    aliases: usize,
    nodes: usize,
    repeated: usize,
}

type Step<T = ()> = Result<T, Box<Diagnostic>>;

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>) -> Self {
        let (stack, anchors) = (Vec::new(), HashMap::new());
        Self { source, shift: 0, stack, anchors, root: None, documents: 0, aliases: 0, nodes: 0, repeated: 0 }
    }

    fn span(&self, span: granit_parser::Span) -> Span {
        let offset = |byte: Option<usize>| self.source.clamp(byte.unwrap_or(0).saturating_add(self.shift));
        let start = offset(span.start.byte_offset());
        Span { start, end: offset(span.end.byte_offset()).max(start) }
    }

    fn origin(&self, span: Span) -> Origin {
        Origin::new(self.source.clone(), span)
    }

    fn fail<T>(&self, code: &'static str, span: Span, text: impl Into<String>) -> Step<T> {
        Err(Box::new(Diagnostic::new(code, text).at(&self.origin(span))))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.fail("E0006", span, "several YAML documents in one source; one is allowed");
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, span)?;
                let node = self.scalar(&text, style, tag.as_deref(), span)?;
                self.anchored(anchor, &node);
                return self.push(node, matches!(style, ScalarStyle::Plain));
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(Open::Seq { items: Vec::new(), span, anchor }, span)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(Open::Map { map: Map::new(), merges: None, key: None, span, anchor }, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(span),
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                return self.fail("E0004", span, format!("unknown anchor '{name}' referenced"));
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Step {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return self.fail("E0005", span, format!("more than {MAX_NODES} nodes"));
        }
        Ok(())
    }

    fn open(&mut self, open: Open, span: Span) -> Step {
        self.count(1, span)?;
        if self.stack.len() >= MAX_DEPTH {
            return self.fail("E0005", span, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.stack.push(open);
        Ok(())
    }

    fn anchored(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), node.size()));
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return self.fail("E0005", span, format!("more than {MAX_ALIASES} aliases"));
        }
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return self.fail("E0004", span, "anchor value contains itself");
        };
        let (node, size) = (node.clone(), *size);
        self.count(size.nodes, span)?;
        self.repeated = self.repeated.saturating_add(size.bytes);
        if self.repeated > MAX_REPEATED_BYTES {
            return self.fail("E0005", span, format!("aliases repeat more than {MAX_REPEATED_BYTES} bytes"));
        }
        if self.stack.len() + size.depth > MAX_DEPTH {
            return self.fail("E0005", span, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.push(node, false)
    }

    fn close(&mut self, end: Span) -> Step {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let (value, span, anchor) = match open {
            Open::Seq { items, span, anchor } => (Value::Seq(items), span, anchor),
            Open::Map { mut map, merges, span, anchor, .. } => {
                if let Some(merge) = merges {
                    self.merge(&mut map, *merge)?;
                }
                (Value::Map(map), span, anchor)
            }
        };
        let node = Node::new(value, self.origin(Span { start: span.start, end: end.end.max(span.start) }));
        self.anchored(anchor, &node);
        self.push(node, false)
    }

    /// Puts a finished node where it belongs. `plain` marks an unquoted scalar, which may be the merge key.
    fn push(&mut self, node: Node, plain: bool) -> Step {
        let span = node.origin.span;
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::Seq { items, .. }) => items.push(node),
            Some(Open::Map { map, merges, key, .. }) => match key.take() {
                None => {
                    let first = match (&node.value, &*merges) {
                        (Value::String(text), Some(first)) if plain && text == "<<" => Some(first.origin.clone()),
                        _ => None,
                    };
                    *key = Some(match node.value {
                        Value::String(text) if plain && text == "<<" => Key::Merge,
                        Value::String(text) => Key::Text(text, span),
                        Value::Int(value) => Key::Text(value.to_string(), span),
                        Value::Float(value) => Key::Text(value.to_string(), span),
                        Value::Bool(value) => Key::Text(value.to_string(), span),
                        Value::Null | Value::Seq(_) | Value::Map(_) => {
                            return self.fail("E0002", span, "a mapping key must be a string");
                        }
                    });
                    return self.unique(span, first);
                }
                Some(Key::Merge) => *merges = Some(Box::new(node)),
                Some(Key::Text(text, key_span)) => {
                    let key = Origin::new(self.source.clone(), key_span);
                    map.insert(text, Entry { key, value: node });
                }
            },
        }
        Ok(())
    }

    /// Refuses a key that its map already has.
    fn unique(&self, span: Span, first_merge: Option<Origin>) -> Step {
        let Some(Open::Map { map, key: Some(key), .. }) = self.stack.last() else { return Ok(()) };
        let (name, first) = match key {
            Key::Merge => ("<<", first_merge),
            Key::Text(name, _) => (name.as_str(), map.get(name).map(|entry| entry.key.clone())),
        };
        let Some(first) = first else { return Ok(()) };
        let text = format!("mapping key {} already defined at line {}", crate::quote(name), first.start().line);
        Err(Box::new(
            Diagnostic::new("E0003", text)
                .at(&self.origin(span))
                .label("duplicate key")
                .also(&first, "first defined at")
                .help("keep one of them, or merge their contents"),
        ))
    }

    /// `<<`: keys of the map itself win; of several merged maps the earlier wins.
    fn merge(&mut self, map: &mut Map, merge: Node) -> Step {
        let place = merge.origin.clone();
        let sources: Option<Vec<Map>> = match merge.value {
            Value::Map(source) => Some(vec![source]),
            Value::Seq(items) => {
                let maps = items.into_iter().map(|item| match item.value {
                    Value::Map(source) => Some(source),
                    _ => None,
                });
                maps.collect()
            }
            _ => None,
        };
        let Some(sources) = sources else {
            let text = "map merge requires map or sequence of maps as the value";
            return Err(Box::new(Diagnostic::new("E0002", text).at(&place)));
        };
        for (key, entry) in sources.into_iter().flatten() {
            map.entry(key).or_insert(entry);
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Step<Node> {
        let plain = matches!(style, ScalarStyle::Plain);
        let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
        let value = match core.as_deref() {
            None if tag.is_none() && plain => scalar::resolve(text),
            None | Some("str") => Value::String(text.to_owned()),
            Some("binary") => Value::String(self.binary(text, span)?),
            Some(wanted @ ("int" | "float" | "bool" | "null")) => match (wanted, scalar::resolve(text)) {
                ("int", value @ Value::Int(_))
                | ("float", value @ Value::Float(_))
                | ("bool", value @ Value::Bool(_))
                | ("null", value @ Value::Null) => value,
                #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
                ("float", Value::Int(value)) => Value::Float(value as f64),
                (_, value) => {
                    let text = format!("cannot decode !!{} `{text}` as a !!{wanted}", yaml_type(&value));
                    return self.fail("E0101", span, text);
                }
            },
            Some(_) => Value::String(text.to_owned()),
        };
        let written = plain && !matches!(value, Value::String(_) | Value::Null);
        let node = Node::new(value, self.origin(span));
        Ok(if written { node.with_text(text) } else { node })
    }

    fn binary(&self, text: &str, span: Span) -> Step<String> {
        let packed: String = text.split_whitespace().collect();
        let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(packed) else {
            return self.fail("E0101", span, "!!binary value contains invalid base64 data");
        };
        String::from_utf8(bytes).or_else(|_| self.fail("E0101", span, "!!binary value is not UTF-8 text"))
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let text = self.source.text();
        let offset = error.marker().byte_offset().unwrap_or(text.len()).saturating_add(self.shift);
        let start = self.source.clamp(offset);
        let next = text[start as usize..].chars().next().map_or(0, char::len_utf8);
        let end = self.source.clamp(start as usize + next);
        let place = self.origin(Span { start, end });
        // The parser may stop at the end of the line before.
        let tab = [0, 1].into_iter().find_map(|further| {
            let line = place.start().line + further;
            let indent = self.source.line(line).bytes().take_while(|byte| matches!(byte, b' ' | b'\t'));
            let at = self.source.line_start(line) + indent.into_iter().position(|byte| byte == b'\t')?;
            Some(Span { start: self.source.clamp(at), end: self.source.clamp(at + 1) })
        });
        match error.kind() {
            ErrorKind::UnknownAnchor => Diagnostic::new("E0004", "unknown anchor referenced").at(&place),
            ErrorKind::RecursionLimitExceeded => {
                Diagnostic::new("E0005", format!("nested deeper than {MAX_DEPTH} levels")).at(&place)
            }
            kind if is_tab(kind) || tab.is_some() => {
                Diagnostic::new("E0007", "found character that cannot start any token: a tab used as indentation")
                    .at(&self.origin(tab.unwrap_or(place.span)))
                    .label("tab")
                    .help("indent with spaces")
            }
            kind => Diagnostic::new("E0002", kind.to_string()).at(&place),
        }
    }
}

fn is_tab(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
    )
}

fn yaml_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::String(_) => "str",
        Value::Seq(_) => "seq",
        Value::Map(_) => "map",
    }
}
