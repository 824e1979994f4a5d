use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::clock::VirtualClock;
use crate::rng::SplitMix;
use crate::testing::World;

/// Refuses each batch with the next of a list.
struct Refusing(Mutex<Vec<Refusal>>);

impl Consumer for Refusing {
    fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        let refusal = self.0.lock().unwrap().pop();
        Box::pin(std::future::ready(refusal.map_or(Ok(Accepted::default()), Err)))
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<Arrival>>);

impl Pushback for Told {
    fn pushed_back(&self, at: Arrival) {
        self.0.lock().unwrap().push(at);
    }
}

fn ingress(world: &World, refusals: Vec<Refusal>, told: &Arc<Told>) -> Ingress {
    let clock: Arc<VirtualClock> = Arc::new(world.clock.clone());
    let rng = Arc::new(SplitMix::seeded(1));
    Ingress::new(world.memory.clone(), clock, rng, MetadataKeys::default())
        .with_consumer(Signal::Traces, Arc::new(Refusing(Mutex::new(refusals))))
        .with_pushback(Signal::Traces, Arc::clone(told) as Arc<dyn Pushback>)
}

#[tokio::test]
async fn refusals_of_the_collectors_own_are_told_and_those_of_the_senders_making_are_not() {
    let own = [
        Refusal::Memory,
        Refusal::QueueFull,
        Refusal::QuotaFull { destination: "a".to_owned() },
        Refusal::DrainOnly,
        Refusal::Recovering,
        Refusal::AppendFailed,
        Refusal::TenantRate,
        Refusal::DestinationUnavailable { message: String::new() },
        Refusal::ShuttingDown,
    ];
    let theirs = [
        Refusal::Malformed { message: String::new() },
        Refusal::Unauthenticated,
        Refusal::PermissionDenied,
        Refusal::TooLarge { what: crate::outcome::SizeLimit::Wire, size: 2, limit: 1 },
        Refusal::DestinationRejected { message: String::new() },
        Refusal::AllRejected(crate::Partial::new(1, "")),
    ];
    for (refusal, expected) in own.map(|refusal| (refusal, 1)).into_iter().chain(theirs.map(|refusal| (refusal, 0))) {
        let (world, told) = (World::new(), Arc::new(Told::default()));
        let ingress = ingress(&world, vec![refusal.clone()], &told);
        assert_eq!(ingress.consume(world.batch(&["x"])).await, Err(refusal.clone()));
        assert_eq!(told.0.lock().unwrap().len(), expected, "{refusal:?}");
        // The next one is taken, and says nothing.
        ingress.consume(world.batch(&["x"])).await.unwrap();
        assert_eq!(told.0.lock().unwrap().len(), expected, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_instant_to_those_behind_the_signal_alone() {
    let (world, told) = (World::new(), Arc::new(Told::default()));
    let ingress = ingress(&world, Vec::new(), &told);
    world.clock.advance(Duration::from_secs(7));
    ingress.refused(Signal::Traces, &Refusal::Memory);
    assert_eq!(*told.0.lock().unwrap(), [ingress.clock.arrival()]);
    ingress.refused(Signal::Logs, &Refusal::Memory);
    assert_eq!(told.0.lock().unwrap().len(), 1, "nobody listens for logs");
}
