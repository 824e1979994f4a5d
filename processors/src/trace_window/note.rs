//! Verdicts as notes that survive a restart: a version, then for each verdict the tenant, the trace, and what was decided.

use crate::sampling::Weight;

use super::verdict_cache::{Known, pack, unpack};

const VERSION: u8 = 1;

/// Appends a verdict to a note.
pub(crate) fn write(note: &mut Vec<u8>, tenant: &str, trace: &[u8; 16], verdict: Known) {
    if note.is_empty() {
        note.push(VERSION);
    }
    // Tenants' names are short; what is longer is cut here and when it is read.
    let tenant = tenant.as_bytes();
    let len = tenant.len().min(u8::MAX.into());
    note.push(len as u8);
    note.extend_from_slice(&tenant[..len]);
    note.extend_from_slice(trace);
    match verdict {
        Known::Dropped => note.push(0),
        Known::Kept { weight, rule } => {
            note.push(1);
            note.extend_from_slice(&pack(weight).to_le_bytes());
            note.extend_from_slice(&rule.to_le_bytes());
        }
    }
}

/// Hands over the verdicts of a note. Ends at what it cannot read.
pub(crate) fn read(note: &[u8], mut each: impl FnMut(&str, [u8; 16], Known)) {
    let Some((&VERSION, mut rest)) = note.split_first() else { return };
    while let Some(((tenant, trace, verdict), behind)) = verdict(rest) {
        each(tenant, trace, verdict);
        rest = behind;
    }
}

type Read<'a> = ((&'a str, [u8; 16], Known), &'a [u8]);

fn verdict(bytes: &[u8]) -> Option<Read<'_>> {
    let (&len, rest) = bytes.split_first()?;
    let (tenant, rest) = rest.split_at_checked(len.into())?;
    let tenant = std::str::from_utf8(tenant).ok()?;
    let (trace, rest) = rest.split_first_chunk::<16>()?;
    let (&kept, rest) = rest.split_first()?;
    if kept == 0 {
        return Some(((tenant, *trace, Known::Dropped), rest));
    }
    let (threshold, rest) = rest.split_first_chunk::<8>()?;
    let (rule, rest) = rest.split_first_chunk::<2>()?;
    let weight: Weight = unpack(u64::from_le_bytes(*threshold));
    Some(((tenant, *trace, Known::Kept { weight, rule: u16::from_le_bytes(*rule) }), rest))
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
        let mut found = Vec::new();
        read(&note, |tenant, trace, verdict| found.push((tenant.to_owned(), trace, verdict)));
        assert_eq!(found.iter().map(|(tenant, trace, it)| (&**tenant, *trace, *it)).collect::<Vec<_>>(), all);
        for cut in 0..note.len() {
            let mut count = 0;
            read(&note[..cut], |_, _, _| count += 1);
            assert!(count < 3);
        }
        read(&[9, 9, 9], |_, _, _| panic!("an unknown version"));
    }
}
