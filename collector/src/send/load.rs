//! A steady load of one signal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sluice_generator::secrets::Planted;
use sluice_generator::stream::Stream;
use sluice_pipeline::Signal;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::args::LoadArgs;
use super::delivery::Delivery;

/// Items, unless something else is asked for.
const COUNT: u64 = 100;

/// What is to be sent, and when.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub count: Option<u64>,
    pub duration: Option<Duration>,
    rate: Option<f64>,
    batch: u64,
    workers: u16,
}

impl From<&LoadArgs> for Plan {
    fn from(args: &LoadArgs) -> Self {
        let count = args.count.or(args.duration.is_none().then_some(COUNT));
        // A request every tenth of a second is steadier than one every ten.
        let steady = args.rate.map_or(u64::MAX, |rate| (rate / 10.0).ceil() as u64).max(1);
        let batch = u64::from(args.batch).min(steady);
        Plan { count, duration: args.duration, rate: args.rate, batch, workers: args.workers }
    }
}

struct Source {
    stream: Stream,
    made: u64,
    planted: Vec<Planted>,
}

/// A request, and when it is due.
struct Due {
    request: Bytes,
    items: u64,
    at: Duration,
}

impl Source {
    /// The next request; `None` after the last one.
    fn next(&mut self, plan: &Plan) -> Option<Due> {
        let left = plan.count.map_or(u64::MAX, |count| count.saturating_sub(self.made));
        let items = plan.batch.min(left);
        let at = plan.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(self.made as f64 / rate));
        if items == 0 || plan.duration.is_some_and(|duration| at >= duration) {
            return None;
        }
        let request = self.stream.request(items as usize, unix_now());
        self.planted.extend(self.stream.planted());
        self.made += items;
        Some(Due { request: request.into(), items, at })
    }
}

/// Unix time in nanoseconds.
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends until everything is sent, time is up, or `stop` is set. What was planted.
pub async fn run(
    delivery: &Arc<Delivery>,
    signal: Signal,
    stream: Stream,
    plan: Plan,
    stop: &Arc<AtomicBool>,
) -> Vec<Planted> {
    let source = Arc::new(Mutex::new(Source { stream, made: 0, planted: Vec::new() }));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..plan.workers {
        let (delivery, source, stop) = (Arc::clone(delivery), Arc::clone(&source), Arc::clone(stop));
        workers.spawn(async move {
            while !stop.load(Ordering::Relaxed) && plan.duration.is_none_or(|duration| began.elapsed() < duration) {
                let next = source.lock().unwrap_or_else(PoisonError::into_inner).next(&plan);
                let Some(due) = next else { break };
                tokio::time::sleep_until(began + due.at).await;
                delivery.send(signal, &due.request, due.items).await;
                if delivery.counts().unreachable {
                    break;
                }
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut source.planted)
}
