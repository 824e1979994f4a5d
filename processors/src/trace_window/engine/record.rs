//! The policy that kept a trace, in the attributes of its scopes: with upstream's gate `recordpolicy`.

use sluice_pdata::Signal;
use sluice_pdata::msg::NewValue;
use sluice_pdata::tags::{scope, scope_spans};
use sluice_pdata::view::KeyValueView;
use sluice_pdata::wire::{Field, Value, fields, put_len, put_message};

use super::Engine;
use super::absorb::Item;
use crate::sampling::RuleIndex;
use crate::trace_window::entry::Held;
use crate::trace_window::origin::Envelopes;
use crate::trace_window::verdict_cache::NO_RULE;

const POLICY: &[u8] = b"tailsampling.policy";
const COMPOSITE: &[u8] = b"tailsampling.composite_policy";
const CACHED: &[u8] = b"tailsampling.cached_decision";

impl Engine {
    /// A held span as it leaves: in a scope that names its policy, where that is asked for.
    pub(super) fn recorded_held(&mut self, held: &Held, rule: u16, sub: Option<u16>) -> Held {
        let mut held = held.clone();
        if self.settings.record_policy
            && let Some(origin) = self.recorded(held.origin, rule, sub, false)
        {
            self.origins.hold(origin);
            self.origins.release(held.origin);
            held.origin = origin;
        }
        held
    }

    /// As [`Engine::recorded_held`], of a span that leaves as it comes. `cached`: its trace was decided before.
    pub(super) fn recorded_item<'a>(&mut self, item: &Item<'a>, rule: u16, sub: Option<u16>, cached: bool) -> Item<'a> {
        let mut item = *item;
        if self.settings.record_policy
            && let Some(origin) = self.recorded(item.origin, rule, sub, cached)
        {
            item.origin = origin;
            self.outbox.is_edited();
        }
        item
    }

    /// The origin that differs from another in what its scope says of the policy. `None` for logs, and where none decided.
    #[cold]
    fn recorded(&mut self, origin: u32, rule: u16, sub: Option<u16>, cached: bool) -> Option<u32> {
        let judge = self.judge.as_ref()?;
        let of = self.origins.get(origin);
        if of.signal != Signal::Traces || rule == NO_RULE {
            return None;
        }
        let name = judge.rule_name(RuleIndex(rule)).as_bytes();
        let sub = sub.map(|sub| judge.rule_name(RuleIndex(sub)).as_bytes());
        let mut written = vec![(POLICY, NewValue::Str(name))];
        written.extend(sub.map(|sub| (COMPOSITE, NewValue::Str(sub))));
        written.extend(cached.then_some((CACHED, NewValue::Bool(true))));
        let (context, port, source) = (of.context, of.port, of.source);
        let Envelopes { request, resource, scope } = of.envelopes();
        let (request, resource) = (request.to_vec(), resource.to_vec());
        let scope = with_attributes(scope, &written).ok()?;
        let envelopes = Envelopes { request: &request, resource: &resource, scope: &scope };
        Some(self.origins.intern(context, port, Signal::Traces, envelopes, source))
    }
}

/// What stands around the spans of a scope, with attributes of the scope in place of others of their names.
fn with_attributes(around: &[u8], written: &[(&[u8], NewValue<'_>)]) -> Result<Vec<u8>, sluice_pdata::Error> {
    let (mut out, mut inner) = (Vec::new(), Vec::new());
    for field in fields(around) {
        let field = field?;
        let Field { number: scope_spans::SCOPE, value: Value::Len(message), .. } = field else {
            out.extend_from_slice(&around[field.start..field.end]);
            continue;
        };
        // Occurrences of a message merge.
        for field in fields(message) {
            let field = field?;
            let replaced = match field.value {
                Value::Len(pair) if field.number == scope::ATTRIBUTES => {
                    let pair = KeyValueView::parse(pair)?;
                    written.iter().any(|(key, _)| *key == pair.key())
                }
                _ => false,
            };
            if !replaced {
                inner.extend_from_slice(&message[field.start..field.end]);
            }
        }
    }
    for (key, value) in written {
        put_message(&mut inner, scope::ATTRIBUTES, |out| value.write_pair(key, out));
    }
    put_len(&mut out, scope_spans::SCOPE, &inner);
    Ok(out)
}
