use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sluice_pipeline::clock::{VirtualClock, WallTime};
use sluice_pipeline::rng::SplitMix;

use super::*;
use state::SLOW_STEP;

const SECOND: Duration = Duration::from_secs(1);
const FREE: Pass = Pass::Free(Load { bytes: 1, under_way: 1 });

struct Rig {
    gate: Arc<Gate>,
    clock: VirtualClock,
    rng: SplitMix,
}

impl Rig {
    fn new(most: usize) -> Self {
        Self::with_timeout(most, Duration::ZERO)
    }

    fn with_timeout(most: usize, timeout: Duration) -> Self {
        let clock = VirtualClock::new(WallTime(1));
        let gauges = [(); 3].map(|()| metrics::Gauge::noop());
        let gate = Gate::new(&Protection::default(), Retry::default(), (most, most), timeout, clock.now(), gauges);
        Rig { gate: Arc::new(gate), clock, rng: SplitMix::seeded(3) }
    }

    /// Enters if that is possible at once.
    fn enter(&self, again: Option<&mut Again>) -> Option<Pass> {
        match pin!(self.gate.enter(1, again, &self.clock)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(pass) => pass,
            Poll::Pending => None,
        }
    }

    fn entered(&self) -> usize {
        std::iter::from_fn(|| self.enter(None)).take(1000).count()
    }

    fn permit(&self) -> Option<Permit> {
        match pin!(self.gate.permit(&self.clock)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    fn fail(&self, pass: Pass) -> (Monotonic, bool) {
        self.gate.fails(pass, Failure::default(), &self.clock, &self.rng)
    }

    /// Opens the breaker.
    fn open(&self) {
        let opened = (0..5).map(|_| self.fail(self.enter(None).unwrap()).1);
        assert_eq!(opened.collect::<Vec<_>>(), [false, false, false, false, true]);
    }

    fn again(&self) -> Again {
        Again { at: self.clock.now(), waited: false }
    }
}

#[test]
fn what_works_again_gets_twice_as_many_attempts_each_second() {
    let rig = Rig::new(40);
    rig.open();
    assert_eq!(rig.enter(None), None);
    rig.clock.advance(SECOND * 30);
    assert_eq!(rig.enter(None), Some(Pass::Probe));
    assert_eq!(rig.enter(None), None, "one probe at a time");
    assert!(rig.gate.works(Pass::Probe, Duration::ZERO, &rig.clock));
    for allowed in [1, 2, 4, 8, 16, 32, 40] {
        let permits: Vec<Permit> = std::iter::from_fn(|| rig.permit()).collect();
        assert_eq!((rig.entered(), permits.len()), (allowed, allowed));
        rig.gate.works(FREE, Duration::ZERO, &rig.clock);
        assert_eq!(rig.entered(), 1);
        (0..allowed).for_each(|_| rig.gate.leave(FREE));
        rig.clock.advance(SLOW_STEP);
    }
}

#[test]
fn a_failure_begins_the_slow_start_again() {
    let rig = Rig::new(40);
    rig.open();
    rig.clock.advance(SECOND * 30);
    rig.gate.works(rig.enter(None).unwrap(), Duration::ZERO, &rig.clock);
    rig.clock.advance(SLOW_STEP * 3);
    let pass = rig.enter(None).unwrap();
    assert_eq!(rig.entered(), 7);
    assert!(!rig.fail(pass).1, "one alone does not open the breaker");
    (0..7).for_each(|_| rig.gate.leave(FREE));
    assert_eq!(rig.entered(), 1);
}

#[test]
fn while_it_is_open_one_payload_is_held_to_probe_with() {
    let rig = Rig::new(40);
    let held: Vec<Permit> = std::iter::from_fn(|| rig.permit()).take(7).collect();
    rig.open();
    assert!(rig.permit().is_none());
    drop(held);
    let probing = rig.permit();
    assert!(probing.is_some() && rig.permit().is_none());
    // One that waits for something else cannot probe.
    let aside = rig.gate.aside();
    let another = rig.permit();
    assert!(another.is_some() && rig.permit().is_none());
    drop((aside, another));
    assert!(rig.permit().is_none());
}

#[test]
fn attempts_that_were_under_way_when_it_opened_say_nothing_new() {
    let rig = Rig::new(40);
    let late: Vec<Pass> = std::iter::from_fn(|| rig.enter(None)).take(10).collect();
    rig.open();
    let due = rig.gate.state().breaker.open().copied().unwrap();
    for pass in late.into_iter().take(9) {
        assert!(!rig.fail(pass).1);
    }
    assert_eq!(rig.gate.state().breaker.open().copied(), Some(due));
    // But what it asks for counts.
    let hint = Failure { hint: Some(SECOND * 100), ..Failure::default() };
    rig.gate.fails(FREE, hint, &rig.clock, &rig.rng);
    rig.clock.advance(SECOND * 99);
    assert_eq!(rig.enter(None), None);
    rig.clock.advance(SECOND);
    assert_eq!(rig.enter(None), Some(Pass::Probe));
}

#[test]
fn a_connection_that_is_possible_ends_the_wait_but_for_what_was_asked_for() {
    let rig = Rig::new(40);
    (0..5).for_each(|_| {
        let failure = Failure { connection: true, number: 20, ..Failure::default() };
        rig.gate.fails(rig.enter(None).unwrap(), failure, &rig.clock, &rig.rng);
    });
    assert!(rig.gate.is_unreachable());
    rig.gate.reached(&rig.clock);
    assert_eq!(rig.enter(None), Some(Pass::Probe));
    let hint = Failure { connection: true, hint: Some(SECOND * 9), ..Failure::default() };
    rig.gate.fails(Pass::Probe, hint, &rig.clock, &rig.rng);
    rig.gate.reached(&rig.clock);
    assert_eq!(rig.enter(None), None);
    rig.clock.advance(SECOND * 9);
    assert_eq!(rig.enter(None), Some(Pass::Probe));
}

#[test]
fn each_probe_that_fails_waits_longer() {
    let rig = Rig::new(1);
    rig.open();
    let mut sum = Duration::ZERO;
    for round in 0..40 {
        let open = rig.gate.state().breaker.open().copied().unwrap();
        let wait = open.not_before.since(rig.clock.now());
        assert!(wait <= Retry::default().max_interval() && open.rounds == round + 1, "{round}");
        sum += wait;
        rig.clock.advance(wait);
        rig.fail(rig.enter(None).unwrap());
    }
    assert!(sum > SECOND * 300, "{sum:?}");
}

#[test]
fn a_retry_costs_budget_and_one_that_waited_out_an_outage_does_not() {
    let rig = Rig::new(1000);
    let first = std::iter::repeat_with(|| rig.enter(Some(&mut rig.again()))).take_while(Option::is_some).take(1000);
    assert_eq!(first.count(), 10, "what is saved at the start");
    assert!(matches!(rig.enter(None), Some(Pass::Free(_))), "first attempts go on");
    let mut waiting = rig.again();
    rig.open();
    assert_eq!(rig.enter(Some(&mut waiting)), None);
    rig.clock.advance(SECOND * 30);
    rig.gate.works(rig.enter(None).unwrap(), Duration::ZERO, &rig.clock);
    rig.clock.advance(SECOND * 30);
    // A minute of budget is for ten more, and the one that waited is free.
    let free = std::iter::repeat_with(|| rig.enter(Some(&mut waiting))).take_while(Option::is_some).take(100);
    assert_eq!(free.count(), 100);
    assert!((9..=11).contains(&(0..1000).filter(|_| rig.enter(Some(&mut rig.again())).is_some()).count()));
}

#[test]
fn a_retry_is_not_made_before_it_is_due() {
    let rig = Rig::new(10);
    let mut again = Again { at: rig.clock.now() + SECOND, waited: false };
    assert_eq!(rig.enter(Some(&mut again)), None);
    assert!(matches!(rig.enter(None), Some(Pass::Free(_))), "others are not held up");
    rig.clock.advance(SECOND);
    assert!(matches!(rig.enter(Some(&mut again)), Some(Pass::Free(_))));
}

#[test]
fn a_closed_gate_lets_nobody_in() {
    let rig = Rig::new(10);
    rig.gate.close();
    assert_eq!(rig.enter(None), None);
    let mut closed = pin!(rig.gate.closed());
    assert!(closed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn while_a_payload_waits_for_the_window_no_other_is_read() {
    let rig = Rig::with_timeout(40, SECOND * 8);
    let under_way = rig.enter(None).unwrap();
    let first = rig.permit();
    assert!(first.is_some(), "what is under way keeps nobody from getting ready");
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting = pin!(rig.gate.enter(1, None, &rig.clock));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert!(rig.permit().is_none());
    // One payload longer than it ought to take, answered in the end: no room for a second.
    rig.gate.works(under_way, SECOND * 3, &rig.clock);
    let Poll::Ready(Some(second)) = waiting.as_mut().poll(&mut context) else { panic!("its turn") };
    assert!(rig.permit().is_some());
    assert_eq!(rig.enter(None), None);
    rig.gate.works(second, SECOND, &rig.clock);
    assert_eq!(rig.entered(), 2);
}

#[test]
fn who_gives_up_waiting_for_the_window_holds_up_no_reader() {
    let rig = Rig::with_timeout(40, SECOND * 8);
    assert!(rig.enter(None).is_some());
    assert_eq!(rig.enter(None), None);
    assert!(rig.permit().is_some());
}

#[test]
fn an_attempt_that_is_not_answered_in_time_closes_the_window_to_one() {
    let rig = Rig::with_timeout(40, SECOND * 8);
    for _ in 0..3 {
        let passes: Vec<Pass> = std::iter::from_fn(|| rig.enter(None)).collect();
        passes.into_iter().for_each(|pass| _ = rig.gate.works(pass, Duration::ZERO, &rig.clock));
    }
    let passes: Vec<Pass> = std::iter::from_fn(|| rig.enter(None)).collect();
    assert_eq!(passes.len(), 8);
    // Being asked for less is not a matter of time.
    let pressed = Failure { pressure: true, ..Failure::default() };
    rig.gate.fails(passes[0], pressed, &rig.clock, &rig.rng);
    assert_eq!(rig.entered(), 1);
    let late = Failure { timeout: true, ..pressed };
    rig.gate.fails(passes[1], late, &rig.clock, &rig.rng);
    passes[2..].iter().for_each(|&pass| rig.gate.leave(pass));
    assert_eq!(rig.enter(None), None, "the one that was let in since is under way");
    rig.gate.leave(FREE);
    assert_eq!(rig.entered(), 1);
}
