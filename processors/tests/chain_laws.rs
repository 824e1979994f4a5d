//! Random chains of one to five processors give what their models give, one after another.

mod model;

use model::chain::{Made, agrees};
use sluice_pdata::testing::{Rng, laws};
use sluice_processors::{redaction, register};

#[test]
fn chain_law() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x6368_6169_6e21);
        let chain: Vec<Made> = (0..=rng.below(5)).map(|_| Made::random(&mut rng, signal)).collect();
        agrees(signal, seed, &mut rng, &chain);
    });
}
