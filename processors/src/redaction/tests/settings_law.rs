//! The processor does what its model does, on random requests and with random settings.

use sluice_pdata::testing::{Rng, laws};

use crate::model::chain::{Made, agrees};

#[test]
fn redaction_law() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x7265_6461);
        let made = Made::redaction(&mut rng, signal);
        agrees(signal, seed, &mut rng, &[made]);
    });
}
