//! Judging one value: findings → overlap → edit.

use super::config::{Action, AllowedScope, KeyAction, OnLimit};
use super::counts::{DRY_RUN, FailClosed};
use super::decide::{Finding, merge};
use super::detect::Hit;
use super::engine::{Engine, Scratch};
use super::hash::STARS;
use super::key_plan::KeyPlan;
use super::place::Place;
use super::replace::{Replacer, without_userinfo};
use super::scan::{Candidates, Taken};
use super::source::{BLOCKED_KEYS, SCHEMA_USERINFO};
use super::url;

/// Most findings of one value; with more the value is masked whole.
pub(super) const MAX_FINDINGS: usize = 4_096;

/// Looks at what a replacement has left.
const ROUNDS: usize = 4;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafVerdict {
    /// The value stays as it is.
    Keep,
    /// The value becomes the text that was written.
    Replace,
    /// The value becomes the empty value of its type.
    Empty,
    /// The attribute that holds the value is removed.
    DropAttribute,
    /// The span, record or data point that holds the value is dropped.
    DropItem(Dropped),
}

/// Why an item is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// An action asked for it.
    ByRule,
    /// A limit was passed and `on_limit` asks for it.
    OnLimit,
    /// It breaks a rule of OTLP, so that it cannot be vouched for.
    Invalid,
}

/// What a key says about its value, before the value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Look at the value.
    Scan,
    /// Leave key and value alone.
    Ignore,
    /// Remove the attribute.
    Remove,
    /// Mask the value whole: [`Engine::mask_by_key`].
    MaskValue,
}

/// A value: where it stands and what it says.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    pub place: Place,
    /// Key of the attribute or map entry that holds the value.
    pub key: Option<&'a [u8]>,
    pub text: &'a [u8],
    /// Offset of the text in the bytes that were scanned for candidates.
    pub at: usize,
}

impl Engine {
    /// What `key` decides about its attribute or map entry. `top` for an attribute and for an entry of a log body, to which
    /// the allow-list applies.
    pub fn key(&self, scratch: &mut Scratch, key: &[u8], top: bool) -> KeyVerdict {
        let plan = scratch.keys.plan(&self.keys, Some(key));
        let verdict = match plan {
            KeyPlan { ignored: true, .. } => {
                scratch.counts.tally.values_skipped += 1;
                KeyVerdict::Ignore
            }
            KeyPlan { allowed: false, .. } if top => {
                scratch.counts.tally.keys_removed += 1;
                KeyVerdict::Remove
            }
            KeyPlan { blocked: true, .. } | KeyPlan { whole: Some(_), .. } => KeyVerdict::MaskValue,
            _ => KeyVerdict::Scan,
        };
        if self.dry_run && verdict == KeyVerdict::Remove { KeyVerdict::Scan } else { verdict }
    }

    /// Masks a value whole because of its key. `text` is its string form.
    pub fn mask_by_key(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: &[u8],
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        scratch.was_allowed = false;
        let plan = scratch.keys.plan(&self.keys, Some(key));
        let number = match plan {
            KeyPlan { blocked: true, .. } => BLOCKED_KEYS,
            KeyPlan { whole: Some(source), .. } => usize::from(*source),
            _ => return LeafVerdict::Keep,
        };
        if number == BLOCKED_KEYS && self.allows_value(text) {
            scratch.was_allowed = true;
            return LeafVerdict::Keep;
        }
        let source = &self.sources[number];
        let hit = Hit { start: 0, end: text.len(), base: 1.0, with_context: 1.0 };
        let action = self.action(source, place, scratch.metrics);
        let mut finding = Finding::new(&hit, number as u16, source.priority, 1.0, action);
        scratch.counts.finding(number, if self.dry_run { DRY_RUN } else { action as usize }, place.group());
        if self.dry_run || action == Action::TagOnly || self.is_own_text(text, 0, text.len()) && !text.is_empty() {
            return LeafVerdict::Keep;
        }
        if let Some(verdict) = whole_verdict(action) {
            return verdict;
        }
        if finding.action == Action::Partial {
            finding.action = Action::Mask;
        }
        self.replacer().write(Place::LogBody, text, &[finding], &mut scratch.normalized, out);
        LeafVerdict::Replace
    }

    /// Judges a text. Values must come in the order in which they stand in the bytes that were scanned. On
    /// [`LeafVerdict::Replace`] the new text is appended to `out`; otherwise `out` is left as it was.
    #[inline]
    pub fn leaf(
        &self,
        scratch: &mut Scratch,
        leaf: &Leaf<'_>,
        candidates: &mut Candidates,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let end = leaf.at + leaf.text.len();
        let quiet = !candidates.any_before(end) && !self.needs_every_value();
        if quiet && leaf.text.len() <= self.max_value_bytes {
            return LeafVerdict::Keep;
        }
        let taken = candidates.take(leaf.at, end);
        let before = out.len();
        let verdict = self.judge(scratch, leaf, taken, out);
        self.settled(scratch, leaf, before, verdict, out)
    }

    /// Judges a text that was not part of the scan.
    pub fn leaf_alone(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let before = out.len();
        let verdict = self.leaf_once(scratch, place, key, text, out);
        self.settled(scratch, &Leaf { place, key, text, at: 0 }, before, verdict, out)
    }

    /// Judges what a replacement has left, until that is nothing more: beside a letter that is not ASCII, a finding can hide
    /// another one, which shows only once the first is masked. Plain ASCII never needs it; and what a user's pattern writes may be
    /// matched by that pattern again, a hash above all, so that only detectors are asked twice.
    fn settled(
        &self,
        scratch: &mut Scratch,
        leaf: &Leaf<'_>,
        before: usize,
        verdict: LeafVerdict,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        if verdict != LeafVerdict::Replace || !self.patterns.is_empty() || leaf.text.is_ascii() {
            return verdict;
        }
        let was_allowed = scratch.was_allowed;
        let verdict = self.until_settled(scratch, leaf, before, out);
        scratch.was_allowed = was_allowed;
        verdict
    }

    fn until_settled(&self, scratch: &mut Scratch, leaf: &Leaf<'_>, before: usize, out: &mut Vec<u8>) -> LeafVerdict {
        for _ in 0..ROUNDS {
            let left = out.split_off(before.min(out.len()));
            let again = self.leaf_once(scratch, leaf.place, leaf.key, &left, out);
            match again {
                LeafVerdict::Replace if out[before..] != left[..] => {}
                LeafVerdict::Replace | LeafVerdict::Keep => {
                    out.truncate(before);
                    out.extend_from_slice(&left);
                    return LeafVerdict::Replace;
                }
                other => return other,
            }
        }
        LeafVerdict::Replace
    }

    fn leaf_once(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let leaf = Leaf { place, key, text, at: 0 };
        if text.len() > self.max_value_bytes {
            return self.over_limit(scratch, place, FailClosed::Size, out);
        }
        let mut own = std::mem::take(&mut scratch.own);
        self.scan_batch(text, &mut own);
        let verdict = self.judge(scratch, &leaf, own.take(0, text.len()), out);
        scratch.own = own;
        verdict
    }

    /// A value that is nested deeper than `max_depth`.
    pub fn too_deep(&self, scratch: &mut Scratch, place: Place, out: &mut Vec<u8>) -> LeafVerdict {
        self.over_limit(scratch, place, FailClosed::Depth, out)
    }

    fn over_limit(&self, scratch: &mut Scratch, place: Place, reason: FailClosed, out: &mut Vec<u8>) -> LeafVerdict {
        scratch.counts.fail_closed(reason);
        if self.dry_run {
            return LeafVerdict::Keep;
        }
        if self.on_limit == OnLimit::DropItem {
            return LeafVerdict::DropItem(Dropped::OnLimit);
        }
        if place.is_trace_state() || place.is_schema_url() {
            return LeafVerdict::Empty;
        }
        out.extend_from_slice(STARS);
        LeafVerdict::Replace
    }

    /// Whether detectors and rules look at `place`.
    pub(super) fn scans(&self, place: Place) -> bool {
        self.scanned >> place as u8 & 1 == 1
    }

    pub(super) fn in_scope(&self, plan: &KeyPlan, source: usize, place: Place) -> bool {
        plan.in_scope(source) && self.keys.source_place_in_scope(source, place)
    }

    fn replacer(&self) -> Replacer<'_> {
        Replacer { sources: &self.sources, masker: &self.masker, signer: self.signer.as_ref() }
    }

    /// `allowed_values` with upstream's scope.
    pub(super) fn allows_value(&self, text: &[u8]) -> bool {
        self.allowed_scope == AllowedScope::Value && self.allowed_values.iter().any(|allowed| allowed.is_match(text))
    }

    fn judge(&self, scratch: &mut Scratch, leaf: &Leaf<'_>, taken: Taken<'_>, out: &mut Vec<u8>) -> LeafVerdict {
        scratch.was_allowed = false;
        if leaf.text.len() > self.max_value_bytes {
            return self.over_limit(scratch, leaf.place, FailClosed::Size, out);
        }
        if leaf.place.is_schema_url() && !taken.at.is_empty() {
            return self.schema_url(scratch, leaf, out);
        }
        let is_url = self.any_url && leaf.key.is_some_and(|key| scratch.keys.plan(&self.keys, Some(key)).url);
        if taken.is_empty() && !self.every_value && !is_url {
            return LeafVerdict::Keep;
        }
        self.collect(scratch, leaf, taken);
        let before = out.len();
        let verdict = self.conclude(scratch, leaf.place, leaf.text, out);
        if is_url && !scratch.was_allowed && !self.dry_run {
            return self.sanitize_url(scratch, leaf.text, before, verdict, out);
        }
        verdict
    }

    /// Counts the findings and writes the edited text.
    pub(super) fn conclude(&self, scratch: &mut Scratch, place: Place, text: &[u8], out: &mut Vec<u8>) -> LeafVerdict {
        let Scratch { findings, normalized, counts, .. } = scratch;
        if findings.is_empty() {
            return LeafVerdict::Keep;
        }
        let mut strictest = None;
        for finding in findings.iter() {
            let column = if self.dry_run { DRY_RUN } else { finding.action as usize };
            counts.finding(usize::from(finding.source), column, place.group());
            if finding.action == Action::DropRecord || strictest.is_none() && whole_verdict(finding.action).is_some() {
                strictest = Some(finding.action);
            }
        }
        if self.dry_run {
            return LeafVerdict::Keep;
        }
        if findings.len() > MAX_FINDINGS {
            return self.over_limit(scratch, place, FailClosed::Findings, out);
        }
        if let Some(verdict) = strictest.and_then(whole_verdict) {
            return verdict;
        }
        findings.retain(|finding| finding.action != Action::TagOnly);
        if findings.is_empty() {
            return LeafVerdict::Keep;
        }
        if place == Place::Key && self.key_action == KeyAction::DropAttribute {
            return LeafVerdict::DropAttribute;
        }
        merge(findings);
        self.replacer().write(place, text, findings, normalized, out);
        LeafVerdict::Replace
    }

    /// Collapses the path of a URL, after its findings were replaced.
    fn sanitize_url(
        &self,
        scratch: &mut Scratch,
        text: &[u8],
        before: usize,
        verdict: LeafVerdict,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let replaced = match verdict {
            LeafVerdict::Keep => false,
            LeafVerdict::Replace => true,
            other => return other,
        };
        scratch.text.clear();
        scratch.text.extend_from_slice(if replaced { &out[before..] } else { text });
        out.truncate(before);
        url::sanitize(&scratch.text, out);
        if out[before..] == *text {
            out.truncate(before);
            return LeafVerdict::Keep;
        }
        LeafVerdict::Replace
    }

    /// The name of a client or server span, sanitized as a URL. `false` if it stays as it is.
    pub fn sanitize_span_name(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if !self.url_span_name || self.dry_run || self.allowed_values.iter().any(|allowed| allowed.is_match(name)) {
            return false;
        }
        url::sanitize(name, out);
        let changed = out[before..] != *name && !url::is_all_stars(&out[before..]);
        if !changed {
            out.truncate(before);
        }
        changed
    }

    /// A schema URL: its user information is removed, then the rest is judged like any text.
    #[cold]
    fn schema_url(&self, scratch: &mut Scratch, leaf: &Leaf<'_>, out: &mut Vec<u8>) -> LeafVerdict {
        let mut bare = std::mem::take(&mut scratch.text);
        bare.clear();
        let removed = without_userinfo(leaf.text, &mut bare);
        if removed {
            let column = if self.dry_run { DRY_RUN } else { Action::Mask as usize };
            scratch.counts.finding(SCHEMA_USERINFO, column, leaf.place.group());
        }
        let text = if removed && !self.dry_run { &bare[..] } else { leaf.text };
        let mut own = std::mem::take(&mut scratch.own);
        self.scan_batch(text, &mut own);
        self.collect(scratch, &Leaf { text, at: 0, ..*leaf }, own.take(0, text.len()));
        scratch.own = own;
        let mut verdict = self.conclude(scratch, leaf.place, text, out);
        if verdict == LeafVerdict::Keep && removed && !self.dry_run {
            out.extend_from_slice(text);
            verdict = LeafVerdict::Replace;
        }
        scratch.text = bare;
        verdict
    }
}

/// The verdict of an action that does not edit text.
fn whole_verdict(action: Action) -> Option<LeafVerdict> {
    match action {
        Action::DropValue => Some(LeafVerdict::Empty),
        Action::DropAttribute => Some(LeafVerdict::DropAttribute),
        Action::DropRecord => Some(LeafVerdict::DropItem(Dropped::ByRule)),
        _ => None,
    }
}
