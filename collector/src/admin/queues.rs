//! The queues of the running instance: on disk or in memory.

use sluice_pipeline::ledger::Ledger;
use sluice_pipeline::spine::durable::DurableSpine;
use sluice_pipeline::telemetry::Telemetry;

use super::answer::Trouble;
use crate::live::{Live, Running};
use crate::queue::letters;
use crate::queue::report::{Action, Breaker, Done, Kept as Where, Letters, Queue, Which};
use crate::spine::Kept;

/// Every destination of the configuration, and those that have something left.
///
/// # Errors
/// Nothing runs yet; I/O.
pub fn list(live: &Live, telemetry: &Telemetry) -> Result<Vec<Queue>, Trouble> {
    let running = running(live)?;
    // Measured at scrapes, and at this one.
    telemetry.refresh();
    let mut queues = match &running.spine {
        Kept::OnDisk(spine, _) => letters::queues(spine.journal()).map_err(|error| Trouble::io(&error))?,
        Kept::InMemory(_) => in_memory(&running, telemetry),
    };
    for queue in &mut queues {
        let gauge = |name| telemetry.value(name, &[("exporter", &queue.id)]);
        let state = gauge("sluice_destination_breaker_state");
        let config_error = gauge("sluice_destination_config_error") == Some(1.0);
        queue.breaker = state.and_then(breaker);
        queue.config_error = config_error;
    }
    Ok(queues)
}

/// As the metric numbers its states.
fn breaker(state: f64) -> Option<Breaker> {
    [Breaker::Closed, Breaker::Open, Breaker::HalfOpen].into_iter().zip([0.0, 1.0, 2.0]).find_map(|(is, number)| {
        let same: bool = number == state;
        same.then_some(is)
    })
}

fn in_memory(running: &Running, telemetry: &Telemetry) -> Vec<Queue> {
    let spine = running.spine.shared();
    let known = running.destinations.iter().filter_map(|name| Some((name, running.spine.destination(name)?)));
    let queues = known.map(|(name, destination)| {
        let backlog = spine.backlog(destination);
        let gauge = |metric| telemetry.value(metric, &[("exporter", name)]);
        Queue {
            id: name.to_string(),
            configured: true,
            kept: Where::Memory,
            records: backlog.records as u64,
            items: backlog.items.map(|items| items as u64).into(),
            bytes: backlog.bytes as u64,
            oldest_age_seconds: backlog.oldest.and_then(|_| gauge("sluice_destination_lag_seconds")),
            quota_bytes: gauge("sluice_destination_quota_bytes").map(|bytes| bytes as u64),
            breaker: None,
            config_error: false,
            dead_letters: None,
        }
    });
    let mut queues: Vec<Queue> = queues.collect();
    queues.sort_by(|a, b| a.id.cmp(&b.id));
    queues
}

/// A page of dead letters. `room` is asked whether so many bytes of bodies may be held.
///
/// # Errors
/// No such queue, none on disk, no room; I/O.
pub fn dead(
    live: &Live,
    name: &str,
    from: u64,
    limit: usize,
    room: Option<&dyn Fn(u64) -> Result<(), Trouble>>,
) -> Result<Letters, Trouble> {
    let spine = on_disk(live, name)?;
    let failed = |error: sluice_journal::Error| Trouble::io(&error);
    if let Some(room) = room {
        room(letters::page_bytes(spine.journal(), name, from).map_err(failed)?)?;
    }
    letters::page(spine.journal(), name, from, limit, room.is_some()).map_err(failed)
}

/// Sends dead letters again, or drops them.
///
/// # Errors
/// No such queue or letter, none on disk; what the journal says to the first letter.
pub fn work(live: &Live, name: &str, action: Action, which: &Which) -> Result<Done, Trouble> {
    if which.all == which.id.is_some() {
        return Err(Trouble::bad("name one letter by `id`, or say `all`"));
    }
    let spine = on_disk(live, name)?;
    let dead = spine.journal().letters(name).map_err(|error| Trouble::io(&error))?;
    let done = letters::work(&dead, name, action, which, |ids| match action {
        Action::Replay => spine.replay_letters(name, ids),
        Action::Drop => spine.drop_letters(name, ids),
    });
    let done = done.map_err(|error| Trouble::not_now(&error))?;
    match which.id {
        Some(id) if done.letters == 0 => Err(Trouble::not_found(format!("{name} has no dead letter {id}"))),
        _ => {
            tracing::info!(
                queue = name,
                letters = done.letters,
                items = done.items,
                "dead letters: {} by the operator",
                if action == Action::Replay { "sent again" } else { "dropped" }
            );
            Ok(done)
        }
    }
}

fn running(live: &Live) -> Result<Running, Trouble> {
    live.running().ok_or_else(|| Trouble::unavailable("the instance is starting or ending"))
}

/// The journal, if it has such a queue.
fn on_disk(live: &Live, name: &str) -> Result<DurableSpine, Trouble> {
    let running = running(live)?;
    let known = |names: Vec<String>| {
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Trouble::not_found(format!("there is no queue {name:?}; there are: {names}"))
    };
    match running.spine {
        Kept::OnDisk(spine, _) => {
            let failed = |error: sluice_journal::Error| Trouble::io(&error);
            if letters::is_known(spine.journal(), name).map_err(failed)? {
                return Ok(spine);
            }
            let queues = letters::queues(spine.journal()).map_err(failed)?;
            Err(known(queues.into_iter().map(|queue| queue.id).collect()))
        }
        Kept::InMemory(_) if running.destinations.iter().any(|known| **known == *name) => {
            Err(Trouble::conflict("this instance keeps its queues in memory: there are no dead letters"))
        }
        Kept::InMemory(_) => Err(known(running.destinations.iter().map(ToString::to_string).collect())),
    }
}

/// The ledger, of one instant.
pub fn ledger(ledger: &Ledger) -> serde_json::Value {
    super::ledger::shown(&ledger.check())
}
