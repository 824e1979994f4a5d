//! Segments that should be there and are not: every header says how many items came before it (delivery §3.8).

use super::Findings;
use super::tail::Walked;
use crate::format::meta::Clean;
use crate::format::{Chain, SegNo};
use crate::reclaim::original_items;
use crate::tally::{Items, SIGNALS, add_items, less};

/// Counts what is lost with missing segments; gives the items of each chain since the journal began.
pub(super) fn count(findings: &mut Findings, segments: &[Vec<Walked>; 2], clean: Option<&Clean>) -> [Items; 2] {
    Chain::BOTH.map(|chain| count_chain(findings, chain, &segments[chain as usize], clean))
}

fn count_chain(findings: &mut Findings, chain: Chain, segments: &[Walked], clean: Option<&Clean>) -> Items {
    let mut total: Items = [0; SIGNALS];
    let mut next = 1;
    for walked in segments {
        let ordinal = walked.segment.no().ordinal();
        let before = walked.before;
        total = pass(findings, chain, next..ordinal, total, before);
        add_items(&mut total, &original_items(&walked.segment));
        next = ordinal + 1;
    }
    let newest = findings.meta.newest(chain).max(next - 1);
    let end = clean.map(|clean| clean.items[chain as usize]);
    total = pass(findings, chain, next..newest + 1, total, end);
    findings.meta.last[chain as usize] = newest;
    total
}

/// Passes a run of numbers without segments. `upto`: the items up to its end, if that is known.
fn pass(
    findings: &mut Findings,
    chain: Chain,
    run: std::ops::Range<u64>,
    mut total: Items,
    upto: Option<Items>,
) -> Items {
    let numbers = SegNo::new(chain, run.start)..SegNo::new(chain, run.end);
    for gap in findings.meta.gaps.iter().filter(|gap| numbers.contains(&gap.first) || numbers.contains(&gap.last)) {
        add_items(&mut total, &gap.items);
    }
    let lost = upto.map_or([0; SIGNALS], |upto| less(&upto, &total));
    if run.is_empty() {
        // Nothing is missing: what the header says is what the records before it were.
        return upto.unwrap_or(total);
    }
    let absent: Vec<SegNo> =
        run.map(|ordinal| SegNo::new(chain, ordinal)).filter(|no| !findings.meta.is_deleted(*no)).collect();
    if let Some(first) = absent.first()
        && findings.meta_known
        && lost != [0; SIGNALS]
    {
        let what = format!("{} segments from number {} are missing", absent.len(), first.ordinal());
        findings.lose(what, lost, 1);
    }
    // Counted once.
    for (at, no) in absent.into_iter().enumerate() {
        findings.meta.delete(no, if at == 0 { &lost } else { &[0; SIGNALS] });
    }
    upto.unwrap_or(total)
}
