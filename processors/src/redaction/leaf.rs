//! Judging one value: candidates → validator → score → allow lists → overlap → edit.

use regex_automata::Input;

use super::confidence::{self, Score};
use super::config::{Action, AllowedScope, KeyAction, OnLimit};
use super::counts::{DRY_RUN, FailClosed, Suppressed};
use super::decide::{Finding, merge};
use super::detect::{Detector, Hit, luhn_text};
use super::engine::{Engine, Scratch, words};
use super::hash::STARS;
use super::key_plan::KeyPlan;
use super::pattern::each_match;
use super::place::Place;
use super::replace::{Replacer, without_userinfo};
use super::scan::{Candidates, Taken};
use super::source::{BLOCKED_KEYS, BLOCKED_VALUES, SCHEMA_USERINFO, SourcePattern};
use super::url;

/// Most findings of one value; with more the value is masked whole.
const MAX_FINDINGS: usize = 4_096;

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

    /// Judges a whole number. Only numbers of at least twelve digits can be a finding of a detector.
    #[inline]
    pub fn int(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: i64,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        if value < 100_000_000_000 && !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        let mut text = [0u8; 20];
        self.number(scratch, place, key, decimal(value, &mut text), value >= 0, out)
    }

    /// Judges a floating-point number: as a whole number where it is one.
    #[inline]
    pub fn double(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: f64,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        let integral = (1e11..9.2e18).contains(&value) && value.trunc() == value;
        if !integral && !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        if integral {
            let mut text = [0u8; 20];
            return self.number(scratch, place, key, decimal(value as i64, &mut text), true, out);
        }
        let text = go_float(value);
        self.number(scratch, place, key, text.as_bytes(), false, out)
    }

    /// Judges a boolean; only under `redact_all_types`.
    pub fn bool(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        value: bool,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        if !self.redact_all_types {
            return LeafVerdict::Keep;
        }
        self.number(scratch, place, key, if value { b"true" } else { b"false" }, false, out)
    }

    #[cold]
    fn number(
        &self,
        scratch: &mut Scratch,
        place: Place,
        key: Option<&[u8]>,
        text: &[u8],
        digits: bool,
        out: &mut Vec<u8>,
    ) -> LeafVerdict {
        scratch.was_allowed = false;
        if self.redact_all_types {
            return self.leaf_alone(scratch, place, key, text, out);
        }
        let Scratch { keys, findings, normalized, counts, .. } = scratch;
        let plan = keys.plan(&self.keys, key);
        findings.clear();
        if digits && self.scans(place) {
            for (number, source) in self.sources.iter().enumerate() {
                let hit = source.detector.and_then(|detector| detector.verify_number(text));
                if let Some(hit) = hit.filter(|_| self.in_scope(plan, number, place)) {
                    let judge = Judge { engine: self, text, place, plan, metrics: scratch.metrics };
                    judge.admit(number, &hit, normalized, counts, findings);
                }
            }
        }
        self.conclude(scratch, place, text, out)
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
    fn scans(&self, place: Place) -> bool {
        self.scanned >> place as u8 & 1 == 1
    }

    fn in_scope(&self, plan: &KeyPlan, source: usize, place: Place) -> bool {
        plan.in_scope(source) && self.keys.source_place_in_scope(source, place)
    }

    fn replacer(&self) -> Replacer<'_> {
        Replacer { sources: &self.sources, masker: &self.masker, signer: self.signer.as_ref() }
    }

    /// `allowed_values` with upstream's scope.
    fn allows_value(&self, text: &[u8]) -> bool {
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

    /// Collects the findings of a text in `scratch.findings`.
    fn collect(&self, scratch: &mut Scratch, leaf: &Leaf<'_>, taken: Taken<'_>) {
        let Scratch { keys, caches, any_slow, findings, hits, normalized, wanted, counts, allowed, .. } = scratch;
        let (text, place) = (leaf.text, leaf.place);
        findings.clear();
        let by_detectors = !(taken.at.is_empty() && taken.digits.is_empty())
            || !self.literal_sources.is_empty() && !taken.literals.is_empty();
        let keyless = if by_detectors || self.rules { self.at_needs_no_key && taken.only_at() } else { true };
        let plan = if keyless && self.slow.is_empty() { keys.keyless() } else { keys.plan(&self.keys, leaf.key) };
        let judge = Judge { engine: self, text, place, plan, metrics: scratch.metrics };
        if by_detectors && self.scans(place) {
            let anchored = [(taken.at, &self.at_sources), (taken.digits, &self.digit_sources)];
            for (positions, sources) in anchored {
                for &number in sources.iter() {
                    let number = usize::from(number);
                    if let Some(detector) = self.sources[number].detector
                        && self.in_scope(plan, number, place)
                    {
                        run(detector, text, positions.iter().map(|at| *at as usize - leaf.at), hits);
                        hits.drain(..).for_each(|hit| judge.admit(number, &hit, normalized, counts, findings));
                    }
                }
            }
            for (index, &number) in self.literal_sources.iter().enumerate() {
                let id = self.patterns.len() + index;
                let number = usize::from(number);
                let mut positions = taken.literals.iter().filter(|entry| usize::from(entry.1) == id).peekable();
                if positions.peek().is_some()
                    && let Some(detector) = self.sources[number].detector
                    && self.in_scope(plan, number, place)
                {
                    run(detector, text, positions.map(|entry| entry.0 as usize - leaf.at), hits);
                    hits.drain(..).for_each(|hit| judge.admit(number, &hit, normalized, counts, findings));
                }
            }
        }
        if self.patterns.is_empty() && self.allowed_values.is_empty() {
            return;
        }
        scratch.was_allowed = !place.is_identity() && self.allows_value(text);
        wanted.clear();
        wanted.extend(taken.literals.iter().map(|entry| entry.1).filter(|id| usize::from(*id) < self.patterns.len()));
        if !taken.digits.is_empty() {
            wanted.extend_from_slice(&self.digit_patterns);
        }
        if !self.slow.is_empty() {
            counts.tally.slow_lane_bytes += text.len() as u64;
            let any = match (&self.any_slow, any_slow) {
                (Some(regex), Some(cache)) => regex.search_half_with(cache, &Input::new(text).earliest(true)).is_some(),
                _ => true,
            };
            wanted.extend_from_slice(if any { &self.slow } else { &[] });
        }
        if wanted.len() > 1 {
            wanted.sort_unstable();
            wanted.dedup();
        }
        for &id in wanted.iter() {
            let SourcePattern { pattern, source, .. } = &self.patterns[usize::from(id)];
            let applies = match *source {
                BLOCKED_VALUES => !place.is_identity() && !scratch.was_allowed,
                source => self.scans(place) && self.in_scope(plan, source, place),
            };
            if applies {
                let found = |start, end| {
                    judge.admit_match(*source, start, end, normalized, counts, findings);
                    findings.len() <= MAX_FINDINGS
                };
                if let Some(split) = pattern.split() {
                    let places = taken.literals.iter().filter(|entry| entry.1 == id);
                    split.each_match(text, places.map(|entry| entry.0 as usize - leaf.at), found);
                } else {
                    let cache = caches[usize::from(id)].get_or_insert_with(|| pattern.regex().create_cache());
                    each_match(pattern.regex(), cache, text, found);
                }
            }
        }
        self.apply_allowed(allowed, text, findings, counts);
    }

    /// Removes the findings that lie wholly inside a match of `allowed_values`: all under the scope `match`, those of
    /// detectors and rules always.
    fn apply_allowed(
        &self,
        allowed: &mut Vec<(usize, usize)>,
        text: &[u8],
        findings: &mut Vec<Finding>,
        counts: &mut super::counts::Counts,
    ) {
        if findings.is_empty() || self.allowed_values.is_empty() {
            return;
        }
        allowed.clear();
        for pattern in &self.allowed_values {
            let mut from = 0;
            while let Some(found) = pattern.regex().search(&Input::new(text).range(from..)) {
                allowed.push((found.start(), found.end()));
                from = found.end() + usize::from(found.is_empty());
                if from > text.len() || allowed.len() > MAX_FINDINGS {
                    break;
                }
            }
        }
        findings.retain(|finding| {
            let inside = allowed.iter().any(|range| range.0 <= finding.start && finding.end <= range.1);
            if inside {
                counts.suppressed(usize::from(finding.source), Suppressed::Allow);
            }
            !inside
        });
    }

    /// Counts the findings and writes the edited text.
    fn conclude(&self, scratch: &mut Scratch, place: Place, text: &[u8], out: &mut Vec<u8>) -> LeafVerdict {
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

    /// Whether `start..end` lies inside text that a mask has written.
    fn is_own_text(&self, text: &[u8], start: usize, end: usize) -> bool {
        if end - start > self.longest_mask {
            return false;
        }
        std::iter::once(STARS).chain(self.sources.iter().filter_map(|source| source.mask.as_deref())).any(|mask| {
            let length = end - start;
            if mask.is_empty() || length > mask.len() {
                return false;
            }
            let from = end.saturating_sub(mask.len());
            (from..=start).any(|at| text.get(at..at + mask.len()) == Some(mask))
        })
    }
}

/// Shows `detector` its anchors.
fn run(detector: &dyn Detector, text: &[u8], anchors: impl Iterator<Item = usize>, hits: &mut Vec<Hit>) {
    hits.clear();
    let mut from = 0;
    for at in anchors {
        if at >= from {
            from = detector.verify(text, at, hits);
        }
        if hits.len() > MAX_FINDINGS {
            return;
        }
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

/// Score and allow lists for the findings of one value.
struct Judge<'a> {
    engine: &'a Engine,
    text: &'a [u8],
    place: Place,
    plan: &'a KeyPlan,
    metrics: bool,
}

impl Judge<'_> {
    /// Adds a match of a pattern.
    fn admit_match(
        &self,
        number: usize,
        start: usize,
        end: usize,
        normalized: &mut Vec<u8>,
        counts: &mut super::counts::Counts,
        findings: &mut Vec<Finding>,
    ) {
        let source = &self.engine.sources[number];
        if self.engine.is_own_text(self.text, start, end) || source.luhn && !luhn_text(&self.text[start..end]) {
            return;
        }
        let hit = Hit { start, end, base: source.scores.0, with_context: source.scores.1 };
        if number == BLOCKED_VALUES {
            findings.push(Finding::new(&hit, number as u16, source.priority, 1.0, Action::Mask));
        } else {
            self.admit(number, &hit, normalized, counts, findings);
        }
    }

    /// Adds a hit if its score reaches the threshold and no allow list knows it.
    fn admit(
        &self,
        number: usize,
        hit: &Hit,
        normalized: &mut Vec<u8>,
        counts: &mut super::counts::Counts,
        findings: &mut Vec<Finding>,
    ) {
        let source = &self.engine.sources[number];
        let (context, excluded) = words(source);
        let score = if source.certain || hit.base >= source.threshold && excluded.is_empty() {
            Score { value: hit.base, context: false, excluded: false }
        } else {
            let words = (context, excluded);
            let mut key = self.plan.context(number);
            key.excluded &= !excluded.is_empty();
            confidence::score((hit.base, hit.with_context), words, key, self.text, (hit.start, hit.end))
        };
        if score.value < source.threshold {
            let why = if score.excluded { Suppressed::Context } else { Suppressed::Threshold };
            return counts.suppressed(number, why);
        }
        let found = &self.text[hit.start..hit.end];
        let allowed = self.plan.findings_allowed
            || self.engine.allow.as_ref().is_some_and(|allow| allow.allows(found, source.detector, normalized));
        if allowed {
            return counts.suppressed(number, Suppressed::Allow);
        }
        let action = self.engine.action(source, self.place, self.metrics);
        findings.push(Finding::new(hit, number as u16, source.priority, score.value, action));
    }
}

/// Writes `value` in decimal at the end of `buffer`.
fn decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// A float as the Go Collector writes it: no exponent between 1e-6 and 1e21.
pub(crate) fn go_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) && value.is_finite() {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{value}")
}
