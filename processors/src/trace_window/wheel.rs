//! The time wheel: 512 slots of 100 ms, and 64 coarse ones of 51.2 s behind them.
//!
//! Deletion is lazy: who is woken looks whether something is due, and being woken in vain harms nothing.

/// Nanoseconds of a tick.
pub(crate) const TICK_NS: u64 = 100_000_000;

const FINE: u32 = 512;
const COARSE: u32 = 64;

/// Who is woken: a span slot, or a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Span(u32),
    Trace(u32),
}

/// The bit that tells the two kinds apart: handles stay below it.
const TRACE: u32 = 1 << 31;

impl Alarm {
    fn pack(self) -> u32 {
        match self {
            Alarm::Span(handle) => handle,
            Alarm::Trace(handle) => handle | TRACE,
        }
    }

    fn unpack(packed: u32) -> Self {
        if packed & TRACE != 0 { Alarm::Trace(packed & !TRACE) } else { Alarm::Span(packed) }
    }
}

pub(crate) struct Wheel {
    fine: Box<[Vec<u32>]>,
    /// One bit for each fine slot that is not empty.
    busy: [u64; FINE as usize / 64],
    coarse: Box<[Vec<(u32, u32)>]>,
    /// The tick up to which everything has been woken.
    now: u32,
    len: usize,
    coarse_len: usize,
    /// Alarms that the fine slots have room for, and the coarse ones.
    room: [usize; 2],
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel {
            fine: (0..FINE).map(|_| Vec::new()).collect(),
            busy: [0; FINE as usize / 64],
            coarse: (0..COARSE).map(|_| Vec::new()).collect(),
            now: 0,
            len: 0,
            coarse_len: 0,
            room: [0; 2],
        }
    }
}

impl Wheel {
    /// Wakes `alarm` at `tick`, at the next one at the soonest.
    pub(crate) fn set(&mut self, tick: u32, alarm: Alarm) {
        self.len += 1;
        self.place(tick.max(self.now + 1), alarm.pack());
    }

    fn place(&mut self, tick: u32, packed: u32) {
        if tick - self.now < FINE {
            let slot = tick % FINE;
            push(&mut self.fine[slot as usize], packed, &mut self.room[0]);
            self.busy[slot as usize / 64] |= 1 << (slot % 64);
            return;
        }
        // What lies behind the last coarse slot waits in it, and is placed again.
        let reach = (self.now / FINE + COARSE - 1) * FINE;
        push(&mut self.coarse[(tick.min(reach) / FINE % COARSE) as usize], (tick, packed), &mut self.room[1]);
        self.coarse_len += 1;
    }

    /// Brings the wheel to `tick` and hands over who is due, tick by tick.
    pub(crate) fn advance(&mut self, tick: u32, due: &mut Vec<Alarm>) {
        while self.now < tick {
            if self.len == 0 {
                self.now = tick;
                return;
            }
            self.now += 1;
            if self.now.is_multiple_of(FINE) {
                let slot = std::mem::take(&mut self.coarse[(self.now / FINE % COARSE) as usize]);
                self.coarse_len -= slot.len();
                self.room[1] -= slot.capacity();
                for (at, packed) in slot {
                    self.place(at.max(self.now), packed);
                }
            }
            let slot = (self.now % FINE) as usize;
            if self.busy[slot / 64] & (1 << (slot % 64)) != 0 {
                self.busy[slot / 64] &= !(1 << (slot % 64));
                let mut woken = std::mem::take(&mut self.fine[slot]);
                self.len -= woken.len();
                due.extend(woken.drain(..).map(Alarm::unpack));
                // 512 of them are a mebibyte.
                match woken.capacity() {
                    ..=512 => self.fine[slot] = woken,
                    gone => self.room[0] -= gone,
                }
                return;
            }
        }
    }

    /// The tick up to which everything has been woken.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// When somebody may be due next; `None` if nobody waits.
    pub(crate) fn next(&self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let from = self.now + 1;
        let fine =
            (0..FINE).step_by(64).find_map(|ahead| self.next_busy(from + ahead)).filter(|&at| at - self.now < FINE);
        let coarse = (self.coarse_len > 0).then(|| (self.now / FINE + 1) * FINE);
        match (fine, coarse) {
            (Some(fine), Some(coarse)) => Some(fine.min(coarse)),
            (fine, coarse) => fine.or(coarse),
        }
    }

    /// The first busy slot among the 64 from `tick` on.
    fn next_busy(&self, tick: u32) -> Option<u32> {
        let slot = (tick % FINE) as usize;
        let (word, bit) = (slot / 64, slot % 64);
        let low = self.busy[word] >> bit;
        let high = if bit == 0 { 0 } else { self.busy[(word + 1) % self.busy.len()] << (64 - bit) };
        let bits = low | high;
        (bits != 0).then(|| tick + bits.trailing_zeros())
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> usize {
        let [fine, coarse] = self.room;
        fine * size_of::<u32>() + coarse * size_of::<(u32, u32)>()
    }
}

/// Adds an alarm to a slot; `room` counts what slots have room for.
fn push<T>(slot: &mut Vec<T>, alarm: T, room: &mut usize) {
    let before = slot.capacity();
    slot.push(alarm);
    *room += slot.capacity() - before;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wheel: &mut Wheel, to: u32) -> Vec<(u32, Alarm)> {
        let mut all = Vec::new();
        while wheel.now() < to {
            let mut due = Vec::new();
            wheel.advance(to, &mut due);
            all.extend(due.into_iter().map(|alarm| (wheel.now(), alarm)));
        }
        all
    }

    #[test]
    fn everybody_is_woken_at_the_tick_asked_for_however_far_ahead() {
        let mut wheel = Wheel::default();
        let mut wanted: Vec<_> = [1, 2, 511, 512, 513, 5_000, 32_767, 32_768, 40_000, 100_001]
            .into_iter()
            .enumerate()
            .map(|(handle, tick)| (tick, if handle % 2 == 0 { Alarm::Span(handle as u32) } else { Alarm::Trace(9) }))
            .collect();
        wanted.iter().for_each(|&(tick, alarm)| wheel.set(tick, alarm));
        assert_eq!(run(&mut wheel, 100), wanted[..2]);
        wheel.set(100 + 511, Alarm::Span(77));
        wanted.insert(5, (611, Alarm::Span(77)));
        assert_eq!(run(&mut wheel, 200_000), wanted[2..]);
        let allocated = wheel.fine.iter().map(|slot| slot.capacity() * 4).sum::<usize>();
        assert_eq!((wheel.bytes(), wheel.coarse.iter().map(Vec::capacity).sum::<usize>()), (allocated, 0));
        // Small slots keep their room.
        assert!(wheel.next().is_none() && wheel.len == 0 && wheel.bytes() <= 1 << 10, "{}", wheel.bytes());
    }

    #[test]
    fn the_next_alarm_is_never_announced_too_late() {
        let mut wheel = Wheel::default();
        for tick in [3u32, 70, 130, 511, 600, 20_000] {
            wheel.set(tick, Alarm::Span(tick));
        }
        let mut woken = Vec::new();
        while let Some(next) = wheel.next() {
            let mut due = Vec::new();
            while wheel.now() < next {
                wheel.advance(next, &mut due);
            }
            woken.extend(due.into_iter().map(|alarm| (wheel.now(), alarm)));
        }
        assert_eq!(woken.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 70, 130, 511, 600, 20_000]);
    }
}
