//! A small share of the simulation; `examples/simulate.rs` plays the rest.

use super::{Plan, run};
use crate::bugs::Bugs;

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    for seed in 0..40 {
        if let Err(error) = run(Plan { seed, steps: 150, explore: 300, bugs: Bugs::default() }) {
            panic!("{error}");
        }
    }
}
