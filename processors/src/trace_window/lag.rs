//! How long spans come behind their logs, for each source, and how long to hold logs for them (correlation §6).

/// Buckets: eight to an octave, from 10 ms on; the last one holds what is longer than 70 s.
const BUCKETS: usize = 104;
const LOWEST_MS: u32 = 10;
const STEPS: u32 = 8;

/// Samples from which on a source's own figures count.
const ENOUGH: u32 = 200;

/// Samples that must be left of them as they age.
const FEW: u32 = 20;

/// Halved every minute, in ticks.
const HALF_LIFE: u32 = 600;

/// Logs after which the share of those that found a span is judged.
const TRIAL: u32 = 10_000;

/// One request in so many of a source without hope has its logs held all the same: all of them, so that the others pass as
/// they came.
const PROBE: u8 = 64;

/// For how many ticks a sampled log proves that a source fills in the flags.
const PROOF: u32 = 6_000;

/// Lags of one source. Log-linear counts of the wait that a log would have needed; 0 if its span was there first.
#[derive(Clone, Debug)]
pub(crate) struct Lag {
    counts: [u16; BUCKETS],
    /// There is nothing in the buckets above this one.
    top: u8,
    /// Samples in `counts`, and all there ever were.
    samples: u32,
    seen: u32,
    logs: u32,
    hits: u32,
    halved: u32,
    /// When a log with the sampled flag came last, in ticks; 0 for never.
    sampled_at: u32,
    probes: u8,
    /// The entry that was counted last among the probes.
    probed: u32,
    hopeless: bool,
    unsampled_span: bool,
}

impl Default for Lag {
    fn default() -> Self {
        Lag {
            counts: [0; BUCKETS],
            top: 0,
            samples: 0,
            seen: 0,
            logs: 0,
            hits: 0,
            halved: 0,
            sampled_at: 0,
            probes: 0,
            probed: u32::MAX,
            hopeless: false,
            unsampled_span: false,
        }
    }
}

fn bucket(ms: u32) -> usize {
    if ms < LOWEST_MS {
        return 0;
    }
    let ratio = ms / LOWEST_MS;
    let octave = ratio.ilog2();
    // Where in the octave, in eighths.
    let low = u64::from(LOWEST_MS) << octave;
    let step = (u64::from(ms) - low) * u64::from(STEPS) / low;
    (1 + (octave * STEPS) as usize + step as usize).min(BUCKETS - 1)
}

/// Upper end of a bucket, ms.
fn upper(bucket: usize) -> u32 {
    if bucket == 0 {
        return LOWEST_MS;
    }
    let (octave, step) = ((bucket as u32 - 1) / STEPS, (bucket as u32 - 1) % STEPS);
    let low = LOWEST_MS << octave;
    low + low * (step + 1) / STEPS
}

impl Lag {
    /// A log came; `sampled`: bit 0 of its flags.
    pub(crate) fn log(&mut self, sampled: bool, now: u32) {
        if sampled {
            self.sampled_at = now.max(1);
        }
        self.logs += 1;
        if self.logs >= TRIAL {
            self.hopeless = self.hits * 100 < self.logs;
            (self.logs, self.hits) = (0, 0);
        }
    }

    /// A span came; `sampled`: bit 0 of its flags.
    pub(crate) fn span(&mut self, sampled: bool) {
        self.unsampled_span |= !sampled;
    }

    /// A log's span came `ms` behind it; negative if before.
    pub(crate) fn record(&mut self, ms: i32, now: u32) {
        if now.saturating_sub(self.halved) >= HALF_LIFE {
            self.halved = now;
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.samples = self.counts.iter().map(|&count| u32::from(count)).sum();
        }
        let at = bucket(ms.max(0) as u32);
        let count = &mut self.counts[at];
        if *count == u16::MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.samples = self.counts.iter().map(|&count| u32::from(count)).sum();
            return self.record(ms, now);
        }
        *count += 1;
        self.top = self.top.max(at as u8);
        self.samples += 1;
        self.seen = self.seen.saturating_add(1);
        self.hits += 1;
        self.hopeless = self.hopeless && self.hits * 100 < self.logs.max(1);
    }

    /// Ms within which this share of the logs (in thousandths) has its span; `None` while too few were seen.
    pub(crate) fn quantile(&self, thousandths: u32) -> Option<u32> {
        if self.seen < ENOUGH || self.samples < FEW {
            return None;
        }
        let wanted = (u64::from(self.samples) * u64::from(thousandths)).div_ceil(1000);
        // From above: the share is nearly all of them.
        let mut above = u64::from(self.samples) - wanted.min(self.samples.into());
        let found = (0..=usize::from(self.top)).rev().find(|&at| {
            let count = u64::from(self.counts[at]);
            let is_it = count > above;
            above = above.saturating_sub(count);
            is_it
        });
        Some(upper(found.unwrap_or(0)))
    }

    /// How long to hold a log, in ms: the quantile and a little more, at most `max`. Nothing where spans never come, but for
    /// the logs of one entry in 64.
    pub(crate) fn hold(&mut self, max: u32, thousandths: u32, entry: u32) -> u32 {
        if self.hopeless {
            return if self.is_probe(entry) { max } else { 0 };
        }
        self.quantile(thousandths).map_or(max, |ms| (ms + ms / 10 + 50).min(max))
    }

    /// Whether a log without the sampled flag will never see its span: the source fills in flags, and has never sent an
    /// unsampled span. Those of one entry in 64 are held all the same.
    pub(crate) fn never_sampled(&mut self, now: u32, entry: u32) -> bool {
        let proven = self.sampled_at != 0 && now.saturating_sub(self.sampled_at) <= PROOF && !self.unsampled_span;
        proven && !self.is_probe(entry)
    }

    fn is_probe(&mut self, entry: u32) -> bool {
        if self.probed != entry {
            self.probed = entry;
            self.probes = (self.probes + 1) % PROBE;
        }
        self.probes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_budget() {
        assert!(size_of::<Lag>() <= 256, "{}", size_of::<Lag>());
    }

    #[test]
    fn buckets_hold_what_they_say() {
        for ms in (0..70_000).step_by(7) {
            let at = bucket(ms);
            assert!(ms < upper(at) || at == BUCKETS - 1, "{ms} in {at}");
            assert!(at == 0 || ms >= upper(at - 1), "{ms} in {at}");
        }
    }

    #[test]
    fn the_hold_follows_the_lag_and_forgets_the_past() {
        let mut lag = Lag::default();
        assert_eq!(lag.hold(5_000, 995, 0), 5_000, "nothing is known");
        (0..1000).for_each(|n| lag.record(if n < 996 { 700 } else { 3_000 }, 10));
        let hold = lag.hold(5_000, 995, 0);
        assert!((770..=960).contains(&hold), "{hold}");
        for minute in 1..12 {
            (0..300).for_each(|_| lag.record(2_000, 10 + minute * HALF_LIFE));
        }
        assert!(lag.hold(5_000, 995, 0) > 2_000);
        assert_eq!(lag.hold(1_000, 995, 0), 1_000);
        assert!(lag.hold(5_000, 100, 0) > 500, "spans that come first need no hold");
    }

    #[test]
    fn a_quantile_is_where_counting_from_below_ends() {
        let (mut lag, mut dice) = (Lag::default(), 7u64);
        for n in 0..20_000u32 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let ms = (dice >> 40) % (1 << ((dice >> 33) % 17));
            lag.record(ms as i32, n / 8);
            for thousandths in [1, 500, 900, 995, 999, 1000] {
                let wanted = (u64::from(lag.samples) * u64::from(thousandths)).div_ceil(1000);
                let mut below = 0;
                let counted = lag.counts.iter().position(|&count| {
                    below += u64::from(count);
                    below >= wanted
                });
                let expected = (n >= 199).then(|| upper(counted.unwrap()));
                assert_eq!(lag.quantile(thousandths), expected);
            }
        }
    }

    #[test]
    fn a_source_whose_spans_never_come_is_probed_only() {
        let mut lag = Lag::default();
        (0..TRIAL).for_each(|_| lag.log(true, 5));
        let held = (0..6_400).filter(|at| lag.hold(5_000, 995, at / 10) > 0).count();
        assert_eq!(held, 100, "all of one request in 64");
        (0..500).for_each(|_| lag.record(100, 6));
        assert!(lag.hold(5_000, 995, 0) > 0, "spans came after all");
    }

    #[test]
    fn unsampled_logs_pass_only_where_flags_are_proven() {
        let mut lag = Lag::default();
        assert!(!lag.never_sampled(100, 0), "no proof");
        lag.log(true, 100);
        assert_eq!((0..640).filter(|&at| lag.never_sampled(101, at)).count(), 630);
        assert!(!lag.never_sampled(100 + PROOF + 1, 0), "the proof is old");
        lag.span(false);
        lag.log(true, 200);
        assert_eq!((0..640).filter(|&at| lag.never_sampled(201, at)).count(), 0);
    }
}
