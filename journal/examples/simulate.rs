//! Plays seeds of the simulation until enough crash points were looked at.
//!
//! ```text
//! cargo run --profile quick -p sluice-journal --features simulation --example simulate -- \
//!     [CRASH_POINTS] [FIRST_SEED] [SEEDS] [THREADS]
//! ```
//!
//! Ends with an error at the first seed that fails, and names it: `-- 0 SEED 1` plays it again. `-- mutations ROUNDS` damages
//! stopped journals instead.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sluice_journal::Bugs;
use sluice_journal::sim::{Outcome, Plan, Survived, mutations, run};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("mutations") {
        return mutate(std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(10_000));
    }
    let number =
        |index: usize, default: u64| std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (points, first, seeds) = (number(1, 1_000_000), number(2, 0), number(3, 1000));
    let (next, total) = (AtomicU64::new(first), Mutex::new((0u64, Outcome::default())));
    let failures = Mutex::new(Vec::new());
    let threads = number(4, std::thread::available_parallelism().map_or(1, usize::from) as u64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = total.lock().is_ok_and(|total| total.0 >= seeds && total.1.crash_points >= points);
                    if enough || failures.lock().is_ok_and(|failures| !failures.is_empty()) {
                        return;
                    }
                    let plan = Plan { seed, steps: 400, explore: 1000, bugs: Bugs::default() };
                    match (run(plan), total.lock(), failures.lock()) {
                        (Ok(outcome), Ok(mut total), _) => {
                            total.0 += 1;
                            add(&mut total.1, &outcome);
                        }
                        (Err(error), _, Ok(mut failures)) => failures.push(error),
                        _ => return,
                    }
                }
            });
        }
    });
    if let Ok((seeds, outcome)) = total.into_inner() {
        println!("{seeds} seeds: {outcome:#?}");
    }
    let failures = failures.into_inner().unwrap_or_default();
    failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Twenty journals, damaged in turn.
fn mutate(rounds: u64) -> ExitCode {
    let mut total = Survived::default();
    for seed in 0..20 {
        match mutations(seed, rounds / 20) {
            Ok(survived) => {
                total.bytes += survived.bytes;
                total.cut += survived.cut;
                total.missing += survived.missing;
                total.swapped += survived.swapped;
                total.items += survived.items;
            }
            Err(error) => {
                println!("FAILED: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{total:#?}");
    ExitCode::SUCCESS
}

fn add(total: &mut Outcome, more: &Outcome) {
    total.crash_points += more.crash_points;
    total.crashes += more.crashes;
    total.calls += more.calls;
    total.acked += more.acked;
    total.delivered += more.delivered;
    total.reclaimed += more.reclaimed;
    total.compactions += more.compactions;
}
