//! What survives a restart, as notes: verdicts, each with its tenant and trace; that verdicts were forgotten; and checkpoints.

use sluice_pipeline::spine::Seq;

use crate::sampling::Weight;

use super::verdict_cache::{Known, pack, unpack};

/// What a note begins with: a list of verdicts, or a checkpoint.
const VERDICTS: u8 = 1;
const CHECKPOINT: u8 = 2;

/// What a record of the list says.
const DROPPED: u8 = 0;
const KEPT: u8 = 1;
const TURN: u8 = 2;

/// What is said in a note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Noted<'a> {
    Verdict {
        tenant: &'a str,
        trace: [u8; 16],
        verdict: Known,
    },
    /// The older generation of verdicts was forgotten.
    Turn,
    Checkpoint(Checkpoint),
}

/// How far the output in the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every entry before this one was absorbed.
    pub(crate) through: Seq,
    /// Items that are held although their trace has a verdict: entry and ordinal.
    pub(crate) listed: Vec<(Seq, u32)>,
}

fn begin(note: &mut Vec<u8>) {
    if note.is_empty() {
        note.push(VERDICTS);
    }
}

/// Appends a verdict to a note.
pub(crate) fn write(note: &mut Vec<u8>, tenant: &str, trace: &[u8; 16], verdict: Known) {
    begin(note);
    // Tenants' names are short; what is longer is cut here and when it is read.
    let tenant = tenant.as_bytes();
    let len = tenant.len().min(u8::MAX.into());
    note.push(len as u8);
    note.extend_from_slice(&tenant[..len]);
    note.extend_from_slice(trace);
    match verdict {
        Known::Dropped => note.push(DROPPED),
        Known::Kept { weight, rule } => {
            note.push(KEPT);
            note.extend_from_slice(&pack(weight).to_le_bytes());
            note.extend_from_slice(&rule.to_le_bytes());
        }
    }
}

/// Appends to a note that the older generation of verdicts was forgotten.
pub(crate) fn write_turn(note: &mut Vec<u8>) {
    begin(note);
    note.push(0);
    note.extend_from_slice(&[0; 16]);
    note.push(TURN);
}

/// Writes a checkpoint, a note of its own.
pub(crate) fn write_checkpoint(note: &mut Vec<u8>, checkpoint: &Checkpoint) {
    note.push(CHECKPOINT);
    note.extend_from_slice(&checkpoint.through.0.to_le_bytes());
    for (seq, ordinal) in &checkpoint.listed {
        note.extend_from_slice(&seq.0.to_le_bytes());
        note.extend_from_slice(&ordinal.to_le_bytes());
    }
}

/// Hands over what a note says. Ends at what it cannot read.
pub(crate) fn read(note: &[u8], mut each: impl FnMut(Noted<'_>)) {
    match note.split_first() {
        Some((&VERDICTS, mut rest)) => {
            while let Some((noted, behind)) = record(rest) {
                each(noted);
                rest = behind;
            }
        }
        Some((&CHECKPOINT, rest)) => {
            if let Some(checkpoint) = checkpoint(rest) {
                each(Noted::Checkpoint(checkpoint));
            }
        }
        _ => {}
    }
}

fn record(bytes: &[u8]) -> Option<(Noted<'_>, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (tenant, rest) = rest.split_at_checked(len.into())?;
    let tenant = std::str::from_utf8(tenant).ok()?;
    let (trace, rest) = rest.split_first_chunk::<16>()?;
    let (&kind, rest) = rest.split_first()?;
    let verdict = |verdict| Noted::Verdict { tenant, trace: *trace, verdict };
    match kind {
        DROPPED => Some((verdict(Known::Dropped), rest)),
        KEPT => {
            let (threshold, rest) = rest.split_first_chunk::<8>()?;
            let (rule, rest) = rest.split_first_chunk::<2>()?;
            let weight: Weight = unpack(u64::from_le_bytes(*threshold));
            Some((verdict(Known::Kept { weight, rule: u16::from_le_bytes(*rule) }), rest))
        }
        TURN => Some((Noted::Turn, rest)),
        _ => None,
    }
}

/// One that was cut short is none: what it does not list would be taken for emitted.
fn checkpoint(bytes: &[u8]) -> Option<Checkpoint> {
    let (through, listed) = bytes.split_first_chunk::<8>()?;
    let (listed, rest) = listed.as_chunks::<12>();
    let item = |bytes: &[u8; 12]| {
        let (seq, ordinal) = bytes.split_first_chunk::<8>()?;
        Some((Seq(u64::from_le_bytes(*seq)), u32::from_le_bytes(ordinal.try_into().ok()?)))
    };
    let listed = listed.iter().map(item).collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(Checkpoint { through: Seq(u64::from_le_bytes(*through)), listed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let all = [
            ("", [1; 16], Known::Dropped),
            ("acme", [2; 16], Known::Kept { weight: Weight::Threshold(77), rule: 3 }),
            ("acme", [3; 16], Known::Kept { weight: Weight::Unknown, rule: u16::MAX }),
        ];
        let mut note = Vec::new();
        all.iter().for_each(|(tenant, trace, verdict)| write(&mut note, tenant, trace, *verdict));
        write_turn(&mut note);
        let mut found = Vec::new();
        let mut turns = 0;
        read(&note, |noted| match noted {
            Noted::Verdict { tenant, trace, verdict } => found.push((tenant.to_owned(), trace, verdict)),
            Noted::Turn => turns += 1,
            Noted::Checkpoint(_) => panic!("there is none"),
        });
        assert_eq!(found.iter().map(|(tenant, trace, it)| (&**tenant, *trace, *it)).collect::<Vec<_>>(), all);
        assert_eq!(turns, 1);
        for cut in 0..note.len() {
            let mut count = 0;
            read(&note[..cut], |_| count += 1);
            assert!(count < 4);
        }
        read(&[9, 9, 9], |_| panic!("an unknown kind"));
    }

    #[test]
    fn a_checkpoint_is_read_whole_or_not_at_all() {
        let checkpoint = Checkpoint { through: Seq(77), listed: vec![(Seq(5), 1), (Seq(u64::MAX), 0)] };
        let mut note = Vec::new();
        write_checkpoint(&mut note, &checkpoint);
        let found = |note: &[u8]| {
            let mut found = Vec::new();
            read(note, |noted| match noted {
                Noted::Checkpoint(it) => found.push(it),
                other => panic!("{other:?}"),
            });
            found
        };
        assert_eq!(found(&note), [checkpoint]);
        // A list that ends early has another length, but where an item ends; records of the log are never cut.
        assert!(
            (0..note.len())
                .filter(|cut| (cut - 9.min(*cut)) % 12 != 0 || *cut < 9)
                .all(|cut| found(&note[..cut]).is_empty())
        );
    }
}
