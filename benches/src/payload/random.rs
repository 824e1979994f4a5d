//! A small seeded generator (splitmix64): the same body every time, without a dependency.

pub(super) struct Random(u64);

const NAMES: [&str; 8] = ["anna", "bela", "carla", "dmitri", "elena", "farid", "grace", "henrik"];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64) as usize;
        choices.get(index).copied().unwrap_or_default()
    }

    pub(super) fn id8(&mut self) -> [u8; 8] {
        self.next().to_be_bytes()
    }

    pub(super) fn id16(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }

    pub(super) fn email(&mut self) -> String {
        format!("{}.{}@example.com", self.pick(&NAMES), 100 + self.below(900))
    }

    pub(super) fn address(&mut self) -> String {
        format!("10.{}.{}.{}", self.below(256), self.below(256), self.below(256))
    }
}
