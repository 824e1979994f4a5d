//! Both processors do what their model does, on random requests and with random configs.

use sluice_pdata::testing::{Rng, laws};

use crate::model::chain::{Made, agrees};

#[test]
fn attributes_law() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x6174_7472);
        let made = Made::attributes(&mut rng);
        agrees(signal, seed, &mut rng, &[made]);
    });
}

#[test]
fn resource_law() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 0x7265_736f);
        let made = Made::resource(&mut rng);
        agrees(signal, seed, &mut rng, &[made]);
    });
}
