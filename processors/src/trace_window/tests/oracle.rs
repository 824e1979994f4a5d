//! The reference: plain maps, no bounds, every item by hand. What it says must come out of the engine for any history.

use std::collections::{BTreeMap, BTreeSet};

use super::kit::*;

/// Something that comes in.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A span: tenant, trace, id, parent, whether it failed.
    Span { tenant: u8, trace: u64, id: u64, parent: u64, failed: bool },
    /// A log: tenant, trace, span, severity.
    Log { tenant: u8, trace: u64, span: u64, severity: i32 },
}

/// A history: what comes at which time, each with a number.
pub(super) type History = Vec<(u64, usize, Event)>;

/// How the engine is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) hold_log: u64,
    pub(super) window: u64,
}

/// The engine's tick of 100 ms at which `ms` have passed.
fn tick(ms: u64) -> u64 {
    ms.div_ceil(100) * 100
}

/// `annotate`: for each item by its number, the span that it has met, if it is a log that has.
pub(super) fn annotate(history: &History, waits: Waits) -> BTreeMap<usize, Option<u64>> {
    // The first span of an id counts. A log meets it if it comes while the log is held, or was there within the window.
    let mut spans: BTreeMap<(u8, u64, u64), Vec<(u64, usize)>> = BTreeMap::new();
    for (at, number, event) in history {
        if let Event::Span { tenant, trace, id, .. } = event {
            let known = spans.entry((*tenant, *trace, *id)).or_default();
            if known.last().is_none_or(|(came, _)| *at >= tick(came + waits.window)) {
                known.push((*at, *number));
            }
        }
    }
    let mut fates = BTreeMap::new();
    for (at, number, event) in history {
        let fate = match event {
            Event::Log { tenant, trace, span, .. } => {
                let known = spans.get(&(*tenant, *trace, *span)).into_iter().flatten();
                let met = known.into_iter().any(|(came, order)| {
                    let before = (came, order) < (at, number);
                    if before { *at < tick(came + waits.window) } else { *came < tick(at + waits.hold_log) }
                });
                met.then_some(*span)
            }
            Event::Span { .. } => None,
        };
        fates.insert(*number, fate);
    }
    fates
}

/// `decide` by [`ErrorsAndHalf`], where no verdict is forgotten: a trace with a failed span before its time is kept; else its
/// randomness says. Its time is over so long after its root, or its first item.
pub(super) fn decide(history: &History, after_root: u64, wait: u64) -> BTreeSet<(u8, u64)> {
    let mut first: BTreeMap<(u8, u64), u64> = BTreeMap::new();
    let mut deadline: BTreeMap<(u8, u64), u64> = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (at, _, event) in history {
        let (Event::Span { tenant, trace, .. } | Event::Log { tenant, trace, .. }) = event;
        let key = (*tenant, *trace);
        first.entry(key).or_insert(*at);
        let end = deadline.entry(key).or_insert(tick(at + wait));
        if let Event::Span { parent, failed, .. } = event
            && *at < *end
        {
            if *failed {
                kept.insert(key);
            }
            if *parent == 0 {
                *end = (*end).min(tick(at + after_root));
            }
        }
    }
    kept.extend(first.into_keys().filter(|(_, trace)| randomness(*trace) >= HALF));
    kept
}
