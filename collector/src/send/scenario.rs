//! A scenario's virtual timeline in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluice_generator::settings::{Disturbances, SECOND, Sampling, Timers, TraceState};
use sluice_generator::{Settings, Shop, Truth};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::args::{ReplayArgs, duration};
use super::delivery::Delivery;

/// Requests under way at a time: SDKs of all instances send for themselves.
const UNDER_WAY: usize = 256;

/// The settings that the arguments ask for; `now` in Unix nanoseconds.
///
/// # Errors
/// In words for the command line.
pub fn settings(args: &ReplayArgs, seed: u64, secrets: f64, now: u64) -> Result<Settings, String> {
    let length = args.seconds * SECOND;
    let timers = match args.timers.as_str() {
        "default" => {
            let timers = Timers::default();
            Timers { metrics: timers.metrics.min(length), ..timers }
        }
        text => Timers::every(duration(text).map_err(|error| format!("--timers: {error}"))?.as_nanos() as u64),
    };
    let trace_state = if args.threshold { TraceState::Threshold } else { TraceState::Absent };
    // Faster than life, timestamps run faster than the clock; they end where it is then, so that none is of the future.
    let ahead = (length as f64 * (1.0 - 1.0 / args.speed)).max(0.0) as u64;
    let settings = Settings {
        seed,
        epoch: now.saturating_sub(ahead),
        duration: length,
        traces_per_second: args.traces_per_second,
        instances: args.instances,
        timers,
        disturbances: if args.disturbed { Disturbances::ordinary() } else { Disturbances::default() },
        sampling: Sampling { ratio: args.sampled, trace_state },
        pathologies: args.pathologies,
        secrets,
        giant: args.giant,
    };
    settings.validate().map_err(|error| error.to_string())?;
    Ok(settings)
}

/// Sends each export when it is due. `clock` shows how far the timeline is, in virtual nanoseconds.
pub async fn run(
    delivery: &Arc<Delivery>,
    settings: Settings,
    speed: f64,
    stop: &Arc<AtomicBool>,
    clock: &AtomicU64,
) -> Result<Truth, String> {
    let mut shop = Shop::new(settings).map_err(|error| error.to_string())?;
    let (began, room) = (Instant::now(), Arc::new(Semaphore::new(UNDER_WAY)));
    let mut under_way = JoinSet::new();
    for export in shop.by_ref() {
        let due = began + Duration::from_nanos(export.arrival).div_f64(speed);
        tokio::time::sleep_until(due).await;
        clock.store(export.arrival, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) || delivery.counts().unreachable {
            break;
        }
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let delivery = Arc::clone(delivery);
        under_way.spawn(async move {
            delivery.send(export.signal, &export.bytes.into(), export.items as u64).await;
            drop(permit);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    Ok(shop.into_truth())
}
