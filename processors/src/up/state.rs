//! The state machine of a target's liveness (`up`, State machine), as a function of what was seen and of the time.
//!
//! Values are written at grid points only, so no timer runs between them: the state at a point follows from the last
//! arrival. What cannot be derived, because it depends on how a state was left, is kept: DOWN is latched, and
//! hysteresis counts the pushes since.

use std::time::Duration;

/// Time on the monotonic clock since the start of the process.
pub type Mono = Duration;

/// The state of a (target, signal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Expected, not seen yet, and not overdue.
    Unknown,
    /// Expected, and not seen within the startup grace.
    NeverSeen,
    /// Seen within I + S.
    Up,
    /// Silent for longer than I + S, but not for longer than D.
    Late,
    /// Silent for longer than D.
    Down,
    /// The collector cannot judge: nothing is written.
    Frozen,
    /// No longer expected; the marker is not written yet.
    Leaving,
    /// Ended: the marker is written.
    Gone,
}

impl State {
    /// All states whose value `otlp_target_state` writes.
    pub const WRITTEN: [State; 7] =
        [State::Unknown, State::NeverSeen, State::Up, State::Late, State::Down, State::Frozen, State::Leaving];

    /// The name in labels.
    pub fn name(self) -> &'static str {
        ["unknown", "never_seen", "up", "late", "down", "frozen", "leaving", "gone"][self as usize]
    }

    /// The value of `up` in this state.
    pub fn value(self) -> Option<bool> {
        match self {
            State::Up | State::Late => Some(true),
            State::Down | State::NeverSeen => Some(false),
            State::Unknown | State::Frozen | State::Leaving | State::Gone => None,
        }
    }
}

/// The clocks of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// I: expected push interval.
    pub interval: Duration,
    /// I + S: longer silence is LATE.
    pub late: Duration,
    /// D = (m+1)·I + S: longer silence is DOWN.
    pub deadline: Duration,
    /// G: emission grid.
    pub grid: Duration,
}

impl Timing {
    /// Derives the deadlines from I, m, the configured grace and G.
    pub fn new(interval: Duration, tolerated_losses: u32, grace: Duration, grid: Duration) -> Self {
        let slack = grace.max(interval / 4);
        Timing {
            interval,
            late: interval.saturating_add(slack),
            deadline: interval.saturating_mul(tolerated_losses.saturating_add(1)).saturating_add(slack),
            grid,
        }
    }
}

/// What the state at an instant depends on beside the target's own history.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The target's clocks.
    pub timing: Timing,
    /// Silence is an end, not an outage (ephemeral and learned targets).
    pub ephemeral: bool,
    /// Absence from the start is no outage (instances of a service that is matched as a whole).
    pub never_absent: bool,
    /// Since when the collector warms up: receiver ready and discovery synced.
    pub warm_from: Mono,
    /// Until when the collector warms up.
    pub warm_until: Mono,
    /// Until when the first push may take.
    pub grace_until: Mono,
    /// A fault of the collector covers the instant.
    pub frozen: bool,
    /// So many others fell silent at the same time that a partition is more likely.
    pub suspected_partition: bool,
    /// Whether a DOWN from before a restart holds during warm-up.
    pub keep_down: bool,
}

/// What is known from before a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restored {
    /// Nothing.
    #[default]
    Nothing,
    /// It had pushed.
    Seen,
    /// It had pushed, last of all its orderly shutdown.
    Closing,
    /// It had pushed, and was DOWN.
    Down,
}

/// What kind of push arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// Every data point said `NoRecordedValue`: the sender shuts down in order.
    pub closing: bool,
    /// The payload was invalid, and that counts as 0 (`strict`).
    pub bad: bool,
}

/// The history of a (target, signal) as far as its state depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    last_seen: Option<Mono>,
    restored: Restored,
    /// DOWN was reached and lasts until enough pushes came.
    down: bool,
    /// Pushes that are still missing after DOWN.
    pushes_missing: u32,
    closing: Option<Mono>,
    bad: bool,
    /// Whether a partition was suspected when the deadline was passed; None before it.
    in_doubt: Option<bool>,
}

impl Liveness {
    /// The liveness of a target that is known from before a restart.
    ///
    /// `in_doubt`: a partition was suspected then, so that its deadline is longer.
    pub fn restored(restored: Restored, in_doubt: bool) -> Self {
        Liveness { restored, in_doubt: in_doubt.then_some(true), ..Liveness::default() }
    }

    /// Whether its deadline is longer because a partition was suspected when it passed.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt == Some(true)
    }

    /// Whether the last push was that of an orderly shutdown.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some() || self.restored == Restored::Closing
    }

    /// The last arrival since the start of this process.
    pub fn last_seen(&self) -> Option<Mono> {
        self.last_seen
    }

    /// Since when the target is silent: the last arrival, or for one known from before a restart the instant from
    /// which its deadline ends together with the warm-up.
    pub fn silent_since(&self, c: &Circumstances) -> Option<Mono> {
        self.last_seen.or_else(|| {
            (self.restored != Restored::Nothing)
                .then(|| c.warm_until.saturating_sub(c.timing.deadline).max(c.warm_from))
        })
    }

    /// Whether DOWN was reached and no push ended it.
    pub fn is_down(&self) -> bool {
        self.down || self.restored == Restored::Down
    }

    /// The state at an instant. Instants of successive calls do not go back.
    pub fn state_at(&mut self, at: Mono, c: &Circumstances) -> State {
        let warming_up = self.last_seen.is_none() && at <= c.warm_until;
        if warming_up && self.restored == Restored::Down && c.keep_down && !c.ephemeral {
            return if c.frozen { State::Frozen } else { State::Down };
        }
        if c.frozen {
            return State::Frozen;
        }
        let Some(since) = self.silent_since(c) else {
            let overdue = at > c.grace_until && !c.ephemeral && !c.never_absent;
            return if overdue { State::NeverSeen } else { State::Unknown };
        };
        let silence = at.saturating_sub(since);
        let Timing { late, deadline, grid, .. } = c.timing;
        if self.bad || self.pushes_missing > 0 || self.down {
            return self.ended(c);
        }
        // Not heard of since the restart: no ground for a 1.
        let late_state = if self.last_seen.is_some() { State::Late } else { State::Unknown };
        if silence <= late && self.last_seen.is_some() {
            return State::Up;
        }
        if silence <= deadline {
            return late_state;
        }
        if let Some(closing) = self.closing.or((self.restored == Restored::Closing).then_some(since))
            && at <= closing.saturating_add(deadline).saturating_add(grid * 2)
        {
            return State::Frozen;
        }
        // Decided once, when the deadline is passed; then it holds for one more D, however the suspicion goes on.
        let in_doubt = *self.in_doubt.get_or_insert(c.suspected_partition);
        if in_doubt && silence <= deadline * 2 {
            return late_state;
        }
        self.down = true;
        self.ended(c)
    }

    /// Takes a push. `before` is the state at its arrival, `up_after` the number of pushes that end DOWN.
    pub fn push(&mut self, at: Mono, push: Push, before: State, up_after: u32) {
        if self.pushes_missing > 0 {
            self.pushes_missing -= 1;
        } else if matches!(before, State::Down | State::NeverSeen) && !self.bad {
            self.pushes_missing = up_after.saturating_sub(1);
        }
        self.last_seen = self.last_seen.max(Some(at));
        self.restored = Restored::Nothing;
        self.down = false;
        self.closing = push.closing.then_some(at);
        self.bad = push.bad;
        self.in_doubt = None;
    }

    fn ended(&self, c: &Circumstances) -> State {
        if c.ephemeral && self.down { State::Gone } else { State::Down }
    }
}
