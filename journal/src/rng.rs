//! Randomness as an argument. The journal draws once in its life: its id, which is a secret (security §2, A18).

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// A source of random bytes.
pub trait Rng: Send + Sync {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()>;
}

/// The kernel's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            filled += getrandom(&mut buf[filled..], GetRandomFlags::empty())?;
        }
        Ok(())
    }
}
