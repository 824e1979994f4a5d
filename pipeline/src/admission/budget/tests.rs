use super::*;
use crate::clock::VirtualClock;

const MIB: u64 = 1 << 20;

fn budget() -> (MemBudget, VirtualClock) {
    let clock = VirtualClock::default();
    (MemBudget::new(100 * MIB, Arc::new(clock.clone())), clock)
}

#[tokio::test]
async fn what_is_dropped_is_released() {
    let (budget, _) = budget();
    let mut held = budget.reserve(Class::Bodies, MIB).await.unwrap();
    held.grow(MIB).await.unwrap();
    assert_eq!((held.bytes(), budget.used(Class::Bodies), budget.total()), (2 * MIB, 2 * MIB, 2 * MIB));
    held.shrink_to(1000);
    assert_eq!(budget.used(Class::Bodies), 1000);
    drop(held);
    assert_eq!(budget.total(), 0);
}

#[tokio::test]
async fn what_can_never_fit_is_refused_for_good_and_names_the_limit() {
    let (budget, _) = budget();
    let limit = budget.class_limit(Class::Bodies);
    let refusal = budget.reserve(Class::Bodies, limit + 1).await.err();
    assert_eq!(refusal, Some(Refusal::TooLarge { what: SizeLimit::Memory, size: limit + 1, limit }));
    budget.set_limits(100 * MIB, 10 * MIB);
    assert_eq!(budget.class_limit(Class::Bodies), 10 * MIB);
    assert_eq!(budget.refused(Class::Bodies), 1);
}

#[tokio::test]
async fn a_full_class_refuses_retryably_after_the_bounded_wait() {
    let (budget, clock) = budget();
    let held = budget.reserve(Class::Bodies, budget.class_limit(Class::Bodies)).await.unwrap();
    let waiter = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(Class::Bodies, 1).await.err() }
    });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_millis(49));
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiter.await.unwrap(), Some(Refusal::Memory));
    drop(held);
    assert_eq!(budget.total(), 0);
}

#[tokio::test]
async fn a_waiter_gets_what_another_releases() {
    let (budget, _clock) = budget();
    let held = budget.reserve(Class::Bodies, budget.class_limit(Class::Bodies)).await.unwrap();
    let waiter = tokio::spawn({
        let budget = budget.clone();
        async move { budget.reserve(Class::Bodies, MIB).await.map(|held| held.bytes()) }
    });
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(waiter.await.unwrap(), Ok(MIB));
}

#[test]
fn export_can_work_when_everything_else_is_full() {
    let (budget, _) = budget();
    let mut full = Vec::new();
    for class in Class::ALL {
        while let Some(held) = budget.try_reserve(class, MIB).filter(|_| class != Class::Export && class != Class::Own)
        {
            full.push(held);
        }
    }
    assert!(budget.total() <= 88 * MIB, "{}", budget.total());
    assert!(budget.try_reserve(Class::Export, 10 * MIB).is_some());
    assert!(budget.try_reserve(Class::Own, 2 * MIB).is_some());
    assert!(budget.try_reserve(Class::Export, 11 * MIB).is_none());
}

#[test]
fn above_the_soft_limit_only_bodies_are_refused() {
    let (budget, _) = budget();
    budget.set_limits(100 * MIB, 20 * MIB);
    let _held = budget.try_reserve(Class::State, 20 * MIB).unwrap();
    assert!(budget.try_reserve(Class::Bodies, 1).is_none());
    assert!(budget.try_reserve(Class::Log, 1).is_some());
    budget.set_limits(100 * MIB, 100 * MIB);
    assert!(budget.try_reserve(Class::Bodies, 1).is_some());
    budget.set_pressed(true);
    assert!(budget.try_reserve(Class::Bodies, 1).is_none());
}

#[test]
fn concurrent_takers_never_exceed_the_limit() {
    let (budget, _) = budget();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let budget = budget.clone();
            scope.spawn(move || {
                let rng = crate::rng::SplitMix::seeded(thread);
                let mut held = Vec::new();
                for _ in 0..20_000 {
                    use crate::rng::Rng;
                    let class = Class::ALL[rng.below(8) as usize];
                    held.extend(budget.try_reserve(class, rng.below(3 * MIB)));
                    if rng.below(3) == 0 {
                        held.clear();
                    }
                    assert!(budget.used(class) <= budget.class_limit(class));
                }
            });
        }
    });
    assert_eq!(budget.total(), 0);
}
