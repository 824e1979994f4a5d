//! The processor does what its model does, on random requests and with random conditions.

use sluice_pdata::testing::{Rng, laws};

use crate::model::chain::{Made, agrees};

#[test]
fn filter_law() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x6669_6c74);
        let made = Made::filter(&mut rng, signal, true);
        agrees(signal, seed, &mut rng, &[made]);
    });
}
