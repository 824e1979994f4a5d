//! A small share of the simulation, and the proof that it notices what it is there for. `examples/simulate.rs` plays the
//! rest.

use super::{Plan, mutations, run};
use crate::bugs::{Bug, Bugs};

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    for seed in 0..100 {
        if let Err(error) = run(Plan { seed, steps: 150, explore: 300, bugs: Bugs::default() }) {
            panic!("{error}");
        }
    }
}

#[test]
fn a_damaged_journal_opens_and_counts_exactly_what_it_lost() {
    for seed in 0..4 {
        if let Err(error) = mutations(seed, 400) {
            panic!("{error}");
        }
    }
}

#[test]
fn a_seed_plays_the_same_way_again() {
    let plan = Plan { seed: 9, steps: 200, explore: 200, bugs: Bugs::default() };
    let (one, other) = (run(plan), run(plan));
    assert!(one.is_ok(), "{one:?}");
    assert_eq!(one, other);
}

/// What seeds are about, by their remainder.
const POWER: u64 = 0;
const ERRORS: u64 = 1;
const DAMAGE: u64 = 3;

/// The first seed that notices a bug.
fn caught(bug: Bug, theme: u64, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).map(|index| index * 4 + theme).find_map(|seed| {
        let error = run(Plan { seed, steps: 200, explore: 300, bugs: Bugs::planted(bug) }).err()?;
        Some((seed, error))
    })
}

macro_rules! planted {
    ($($name:ident: $bug:ident in $theme:ident within $seeds:literal,)*) => {$(
        #[test]
        fn $name() {
            let caught = caught(Bug::$bug, $theme, $seeds);
            println!("{caught:?}");
            assert!(caught.is_some(), "{:?} was not noticed", Bug::$bug);
        }
    )*};
}

planted! {
    an_ack_before_the_sync_is_noticed: AckBeforeSync in POWER within 20,
    an_unlink_before_the_cursor_sync_is_noticed: UnlinkBeforeCursorSync in POWER within 60,
    a_cursor_written_over_the_synced_one_is_noticed: UnsyncedOverSynced in POWER within 200,
    a_length_believed_before_its_checksum_is_noticed: TrustLengthBeforeChecksum in DAMAGE within 60,
    a_sequence_given_out_twice_is_noticed: ReuseSequence in POWER within 60,
    a_failed_sync_tried_again_is_noticed: RetryFailedSync in ERRORS within 60,
    a_cursor_past_an_undelivered_record_is_noticed: CursorPassesUndelivered in POWER within 20,
    a_directory_that_was_not_synced_is_noticed: NoDirectorySync in POWER within 20,
}
