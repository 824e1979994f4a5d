//! The findings of one value: candidates → validator → score → allow lists.

use regex_automata::Input;

use super::confidence::{self, Score};
use super::config::Action;
use super::counts::Suppressed;
use super::decide::Finding;
use super::detect::{Detector, Hit, luhn_text};
use super::engine::{Engine, Scratch, words};
use super::hash::STARS;
use super::key_plan::KeyPlan;
use super::leaf::{Leaf, MAX_FINDINGS};
use super::pattern::each_match;
use super::place::Place;
use super::scan::Taken;
use super::source::{BLOCKED_VALUES, SourcePattern};

impl Engine {
    /// Collects the findings of a text in `scratch.findings`.
    pub(super) fn collect(&self, scratch: &mut Scratch, leaf: &Leaf<'_>, taken: Taken<'_>) {
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

    /// Whether `start..end` lies inside text that a mask has written.
    pub(super) fn is_own_text(&self, text: &[u8], start: usize, end: usize) -> bool {
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

/// Score and allow lists for the findings of one value.
pub(super) struct Judge<'a> {
    pub(super) engine: &'a Engine,
    pub(super) text: &'a [u8],
    pub(super) place: Place,
    pub(super) plan: &'a KeyPlan,
    pub(super) metrics: bool,
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
    pub(super) fn admit(
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
