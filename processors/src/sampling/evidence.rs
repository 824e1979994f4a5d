//! The values that leaf conditions look at in a span, for explanations.

use std::collections::BTreeSet;

use sluice_ottl::trace_state;
use sluice_ottl::value::Value;
use sluice_pdata::view::{AnyValueView, ResourceView};

use super::facts::SpanItem;
use super::leaf::LeafSource;
use super::observe::Observer;

/// Characters of a value that are shown.
const MAX_LEN: usize = 80;

impl Observer {
    /// Adds, by leaf, the values that a span has.
    pub(super) fn evidence_of_span(&self, item: &SpanItem<'_>, values: &mut [BTreeSet<String>]) {
        for (source, values) in self.sources().iter().zip(values) {
            if let Some(key) = source.key() {
                let found = [ResourceView(item.resource).attributes(), item.view.attributes()];
                let found = found.into_iter().filter_map(|attributes| attributes.get(key.as_bytes()).ok().flatten());
                values.extend(found.map(shown));
                continue;
            }
            match source {
                LeafSource::Status(_) => {
                    let code = item.view.status().ok().flatten().map_or(0, |status| status.code);
                    values.insert(match code {
                        0 => "UNSET".to_owned(),
                        1 => "OK".to_owned(),
                        2 => "ERROR".to_owned(),
                        other => other.to_string(),
                    });
                }
                LeafSource::TraceState { key, .. } => {
                    if let Value::Str(text) = trace_state::member(item.view.trace_state, key.as_bytes())
                        && !text.is_empty()
                    {
                        values.insert(cut(&text));
                    }
                }
                LeafSource::Sampled => {
                    values.insert(if item.view.flags & 1 == 0 { "not set" } else { "set" }.to_owned());
                }
                _ => {}
            }
        }
    }
}

fn shown(value: AnyValueView<'_>) -> String {
    match value {
        AnyValueView::Str(text) => format!("{:?}", cut(text)),
        AnyValueView::Bool(value) => value.to_string(),
        AnyValueView::Int(value) => value.to_string(),
        AnyValueView::Double(value) => value.to_string(),
        AnyValueView::Empty => "empty".to_owned(),
        AnyValueView::Array(_) => "a list".to_owned(),
        AnyValueView::KvList(_) => "a map".to_owned(),
        AnyValueView::Bytes(_) | AnyValueView::StrIndex(_) => "bytes".to_owned(),
    }
}

fn cut(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MAX_LEN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
