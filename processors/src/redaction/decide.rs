//! Which findings of a value act: overlapping ones become one, and the strictest action wins where it drops something.

use super::config::Action;
use super::detect::Hit;

/// A finding that passed validator, score and allow lists. Offsets are those of its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Finding {
    /// What is replaced: the union of all findings that overlap.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The winner's own range.
    pub(crate) own: (usize, usize),
    pub(crate) source: u16,
    pub(crate) priority: u8,
    pub(crate) score: f32,
    pub(crate) action: Action,
}

impl Finding {
    pub(crate) fn new(hit: &Hit, source: u16, priority: u8, score: f32, action: Action) -> Self {
        Finding { start: hit.start, end: hit.end, own: (hit.start, hit.end), source, priority, score, action }
    }

    fn length(&self) -> usize {
        self.own.1 - self.own.0
    }

    /// Longest, then highest score, then fixed priority, then first.
    fn beats(&self, other: &Finding) -> bool {
        (self.length(), self.score, self.priority) > (other.length(), other.score, other.priority)
    }
}

/// Sorts `findings` and merges those that overlap. The winner names type and action; the whole union is replaced, so that
/// no part of a loser stays.
pub(crate) fn merge(findings: &mut Vec<Finding>) {
    if findings.len() < 2 {
        return;
    }
    findings.sort_by_key(|finding| (finding.start, finding.end, finding.source));
    let mut kept = 0;
    for index in 1..findings.len() {
        let next = findings[index];
        let last = &mut findings[kept];
        if next.start < last.end {
            let (start, end) = (last.start, last.end.max(next.end));
            if next.beats(last) {
                *last = next;
            }
            (last.start, last.end) = (start, end);
        } else {
            kept += 1;
            findings[kept] = next;
        }
    }
    findings.truncate(kept + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(start: usize, end: usize, score: f32, priority: u8) -> Finding {
        Finding::new(
            &Hit { start, end, base: score, with_context: score },
            u16::from(priority),
            priority,
            score,
            Action::Mask,
        )
    }

    fn merged(findings: &[Finding]) -> Vec<(usize, usize, u8)> {
        let mut findings = findings.to_vec();
        merge(&mut findings);
        findings.iter().map(|finding| (finding.start, finding.end, finding.priority)).collect()
    }

    #[test]
    fn the_longest_wins_and_the_union_is_replaced() {
        assert_eq!(merged(&[finding(5, 9, 1.0, 9), finding(0, 6, 0.7, 1)]), [(0, 9, 1)]);
        assert_eq!(merged(&[finding(0, 4, 0.7, 1), finding(2, 6, 0.9, 2)]), [(0, 6, 2)], "then the score");
        assert_eq!(merged(&[finding(0, 4, 0.9, 1), finding(0, 4, 0.9, 2)]), [(0, 4, 2)], "then the priority");
        assert_eq!(merged(&[finding(0, 4, 0.9, 1), finding(4, 8, 0.9, 2)]), [(0, 4, 1), (4, 8, 2)]);
    }

    #[test]
    fn chains_of_overlaps_become_one_in_any_order() {
        let chain = [finding(0, 4, 0.9, 1), finding(3, 8, 0.9, 2), finding(7, 9, 0.9, 3), finding(20, 22, 0.9, 4)];
        let expected = [(0, 9, 2), (20, 22, 4)];
        assert_eq!(merged(&chain), expected);
        let mut reversed = chain;
        reversed.reverse();
        assert_eq!(merged(&reversed), expected);
    }
}
