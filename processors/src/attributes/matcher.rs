//! `include` and `exclude`: which items the actions are for.

use sluice_config::Problems;
use sluice_ottl::pattern::{Pattern, refused_at};
use sluice_pdata::pass::Cx;
use sluice_pdata::tags::{log_record, metric, resource, scope, span};
use sluice_pdata::view::{LogRecordView, ResourceView, ScopeView, SpanView, attribute};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::Context;

use super::action::literal;
use super::config::{MatchAttribute, MatchProperties, MatchType, unrecognized};
use super::convert::{OwnedValue, match_text};

/// A text to compare with, strictly or by pattern.
#[derive(Debug)]
enum Text {
    Strict(Box<[u8]>),
    Regexp(Pattern),
}

impl Text {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Text::Strict(expected) => **expected == *text,
            Text::Regexp(pattern) => pattern.is_match(text),
        }
    }
}

#[derive(Debug)]
struct Attribute {
    key: Box<[u8]>,
    value: Option<Expected>,
}

#[derive(Debug)]
enum Expected {
    Equal(OwnedValue),
    Regexp(Pattern),
}

/// Compiled [`MatchProperties`].
#[derive(Debug)]
pub(super) struct Matcher {
    services: Vec<Text>,
    span_names: Vec<Text>,
    span_kinds: Vec<Text>,
    attributes: Vec<Attribute>,
    resources: Vec<Attribute>,
    libraries: Vec<(Text, Option<Text>)>,
    log_bodies: Vec<Text>,
    log_severity_texts: Vec<Text>,
    log_severity_number: Option<(i32, bool)>,
    metric_names: Vec<Text>,
}

impl Matcher {
    /// Compiles the properties that stand at `path`; what is wrong goes to `problems`.
    pub(super) fn new(properties: &MatchProperties, path: &str, problems: &mut Problems<'_>) -> Self {
        let mut compiler = Compiler { match_type: properties.match_type, path, problems };
        if properties.match_type == MatchType::Missing {
            compiler.problems.error(path, unrecognized(""));
        }
        let severity = properties.log_severity_number;
        Matcher {
            services: compiler.texts("services", &properties.services),
            span_names: compiler.texts("span_names", &properties.span_names),
            span_kinds: compiler.texts("span_kinds", &properties.span_kinds),
            attributes: compiler.attributes("attributes", &properties.attributes),
            resources: compiler.attributes("resources", &properties.resources),
            libraries: properties
                .libraries
                .iter()
                .enumerate()
                .filter_map(|(at, library)| {
                    let version = match &library.version {
                        Some(version) => Some(compiler.text("libraries", at, version)?),
                        None => None,
                    };
                    Some((compiler.text("libraries", at, &library.name)?, version))
                })
                .collect(),
            log_bodies: compiler.texts("log_bodies", &properties.log_bodies),
            log_severity_texts: compiler.texts("log_severity_texts", &properties.log_severity_texts),
            log_severity_number: severity.map(|number| (number.min, number.match_undefined)),
            metric_names: compiler.texts("metric_names", &properties.metric_names),
        }
    }

    /// Whether the item has all the properties.
    pub(super) fn matches(&self, cx: &Cx<'_, Context>, item: &[u8], attributes: u32) -> Result<bool, Error> {
        Ok(self.resource_matches(cx.resource)?
            && self.library_matches(cx.scope)?
            && match cx.signal {
                Signal::Traces => self.span_matches(item)?,
                Signal::Logs => self.log_matches(item)?,
                Signal::Metrics => self.metric_matches(cx)?,
            }
            && all_match(&self.attributes, item, attributes)?)
    }

    fn resource_matches(&self, bytes: &[u8]) -> Result<bool, Error> {
        if !self.services.is_empty() {
            let service = ResourceView(bytes).attributes().get(b"service.name")?;
            // Upstream compares with `<nil-service-name>` where there is none.
            let name = service.and_then(|value| value.as_str()).unwrap_or(b"<nil-service-name>");
            if !any(&self.services, name) {
                return Ok(false);
            }
        }
        all_match(&self.resources, bytes, resource::ATTRIBUTES)
    }

    fn library_matches(&self, bytes: &[u8]) -> Result<bool, Error> {
        if self.libraries.is_empty() {
            return Ok(true);
        }
        let view = ScopeView(bytes);
        let (name, version) = (view.name()?, view.version()?);
        let _ = scope::NAME;
        Ok(self.libraries.iter().any(|(expected_name, expected_version)| {
            expected_name.matches(name) && expected_version.as_ref().is_none_or(|expected| expected.matches(version))
        }))
    }

    fn span_matches(&self, item: &[u8]) -> Result<bool, Error> {
        if self.span_names.is_empty() && self.span_kinds.is_empty() {
            return Ok(true);
        }
        let view = SpanView::parse(item)?;
        let kind = sluice_pdata::schema::SPAN_KIND.iter().find(|(_, number)| *number == view.kind);
        Ok((self.span_names.is_empty() || any(&self.span_names, view.name))
            && (self.span_kinds.is_empty() || any(&self.span_kinds, kind.map_or(b"", |(name, _)| name.as_bytes()))))
    }

    fn log_matches(&self, item: &[u8]) -> Result<bool, Error> {
        if self.log_bodies.is_empty() && self.log_severity_texts.is_empty() && self.log_severity_number.is_none() {
            return Ok(true);
        }
        let view = LogRecordView::parse(item)?;
        if !self.log_bodies.is_empty() && !view.body()?.as_str().is_some_and(|body| any(&self.log_bodies, body)) {
            return Ok(false);
        }
        if !self.log_severity_texts.is_empty() && !any(&self.log_severity_texts, view.severity_text) {
            return Ok(false);
        }
        Ok(self.log_severity_number.is_none_or(|(min, match_undefined)| match view.severity_number {
            0 => match_undefined,
            number => number >= min,
        }))
    }

    fn metric_matches(&self, cx: &Cx<'_, Context>) -> Result<bool, Error> {
        if self.metric_names.is_empty() {
            return Ok(true);
        }
        let fields = cx.metric.map_or(&[][..], |head| head.fields);
        let name = sluice_pdata::view::Messages::new(fields, metric::NAME).last().transpose()?.unwrap_or(b"");
        Ok(any(&self.metric_names, name))
    }
}

fn any(texts: &[Text], text: &[u8]) -> bool {
    texts.iter().any(|expected| expected.matches(text))
}

fn all_match(expected: &[Attribute], message: &[u8], number: u32) -> Result<bool, Error> {
    for attribute_match in expected {
        let Some(found) = attribute(message, number, &attribute_match.key)? else { return Ok(false) };
        let matches = match &attribute_match.value {
            None => true,
            Some(Expected::Regexp(pattern)) => match_text(found).is_some_and(|text| pattern.is_match(&text)),
            Some(Expected::Equal(expected)) => equals(found, expected),
        };
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equals(found: sluice_pdata::view::AnyValueView<'_>, expected: &OwnedValue) -> bool {
    use sluice_pdata::view::AnyValueView as View;
    match (found, expected) {
        (View::Str(found), OwnedValue::Str(expected)) => found == expected.as_slice(),
        (View::Bool(found), OwnedValue::Bool(expected)) => found == *expected,
        (View::Int(found), OwnedValue::Int(expected)) => found == *expected,
        (View::Double(found), OwnedValue::Double(expected)) => found == *expected,
        _ => false,
    }
}

/// Field number of the attributes of an item.
pub(super) fn item_attributes(signal: Signal, kind: Option<u32>) -> u32 {
    use sluice_pdata::tags::{
        exponential_histogram_data_point, histogram_data_point, number_data_point, summary_data_point,
    };
    match (signal, kind) {
        (Signal::Traces, _) => span::ATTRIBUTES,
        (Signal::Logs, _) => log_record::ATTRIBUTES,
        (Signal::Metrics, Some(metric::HISTOGRAM)) => histogram_data_point::ATTRIBUTES,
        (Signal::Metrics, Some(metric::EXPONENTIAL_HISTOGRAM)) => exponential_histogram_data_point::ATTRIBUTES,
        (Signal::Metrics, Some(metric::SUMMARY)) => summary_data_point::ATTRIBUTES,
        (Signal::Metrics, _) => number_data_point::ATTRIBUTES,
    }
}

struct Compiler<'a, 'p> {
    match_type: MatchType,
    path: &'a str,
    problems: &'a mut Problems<'p>,
}

impl Compiler<'_, '_> {
    fn text(&mut self, field: &str, at: usize, text: &str) -> Option<Text> {
        if self.match_type != MatchType::Regexp {
            return Some(Text::Strict(text.as_bytes().into()));
        }
        match Pattern::new(text) {
            Ok(pattern) => Some(Text::Regexp(pattern)),
            Err(error) => {
                let path = format!("{}::{field}::{at}", self.path);
                let said = format!("error parsing regexp {text:?}: {error}");
                self.refused(&path, text, &said);
                None
            }
        }
    }

    fn refused(&mut self, path: &str, pattern: &str, said: &str) {
        match refused_at(pattern) {
            Some(offset) => self.problems.error_within("E0302", path, offset, 1, said),
            None => self.problems.add("E0302", path, said),
        };
    }

    fn texts(&mut self, field: &str, texts: &[String]) -> Vec<Text> {
        texts.iter().enumerate().filter_map(|(at, text)| self.text(field, at, text)).collect()
    }

    fn attributes(&mut self, field: &str, attributes: &[MatchAttribute]) -> Vec<Attribute> {
        let mut compiled = Vec::with_capacity(attributes.len());
        for (at, attribute) in attributes.iter().enumerate() {
            let path = format!("{}::{field}::{at}", self.path);
            if attribute.key.is_empty() {
                self.problems
                    .error(&path, "error creating attribute filters: can't have empty key in the list of attributes");
                continue;
            }
            let value = match &attribute.value {
                None => None,
                Some(node) if self.match_type == MatchType::Regexp => match node.text().map(Pattern::new) {
                    Some(Ok(pattern)) => Some(Expected::Regexp(pattern)),
                    Some(Err(error)) => {
                        let said = format!("error parsing regexp: {error}");
                        self.refused(&format!("{path}::value"), node.text().unwrap_or_default(), &said);
                        continue;
                    }
                    None => {
                        self.problems.error(&path, "match_type=regexp for \"attributes\" only supports scalar values");
                        continue;
                    }
                },
                Some(node) => match literal(node) {
                    Some(value) if !matches!(value, OwnedValue::Encoded(_)) => Some(Expected::Equal(value)),
                    _ => {
                        self.problems.error(&path, "error unsupported value type");
                        continue;
                    }
                },
            };
            compiled.push(Attribute { key: attribute.key.as_bytes().into(), value });
        }
        compiled
    }
}
