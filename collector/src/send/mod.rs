//! `sluice send`: telemetry from a seed to an OTLP server, as a load of one signal or as a whole system.

mod args;
mod count;
mod delivery;
mod load;
mod progress;
mod record;
mod scenario;
mod target;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluice_generator::stream::{Options, Stream};
use tokio::time::Instant;

pub use args::SendArgs;

use crate::cli::Output;
use crate::{FAILURE, UNREACHABLE, USAGE};
use count::Counts;
use delivery::Delivery;
use progress::Progress;
use target::Target;

/// Sends, and tells what became of it.
pub fn run(args: &SendArgs) -> ExitCode {
    for (flag, share) in [("--secrets", Some(args.secrets)), ("--error-ratio", args.load.error_ratio)] {
        if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return failure(USAGE, &format!("{flag} must be between 0 and 1"));
        }
    }
    sluice_net::tls::install_default();
    let target = match Target::new(&args.target) {
        Ok(target) => target,
        Err(error) => return failure(USAGE, &error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(FAILURE, &error.to_string()),
    };
    let delivery = Arc::new(Delivery::new(target, args.target.retry_for));
    let done = runtime.block_on(send(args, &delivery));
    runtime.shutdown_timeout(Duration::from_millis(200));
    let elapsed = match done {
        Ok(elapsed) => elapsed,
        Err(message) => return failure(USAGE, &message),
    };
    let counts = delivery.counts();
    let printed = match args.output {
        Output::Json => format!("{}\n", json(delivery.name(), &counts, elapsed)),
        Output::Human => human(delivery.name(), &counts, elapsed),
    };
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().lock().write_all(printed.as_bytes());
    if counts.unreachable {
        ExitCode::from(UNREACHABLE)
    } else if Counts::all(&counts.rejected) > 0 {
        ExitCode::from(FAILURE)
    } else {
        ExitCode::SUCCESS
    }
}

fn failure(code: u8, message: &str) -> ExitCode {
    eprintln!("Error: {message}");
    ExitCode::from(code)
}

/// Sends all there is; how long that took.
async fn send(args: &SendArgs, delivery: &Arc<Delivery>) -> Result<Duration, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let on_interrupt = Arc::clone(&stop);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            // The second time it means it.
            if on_interrupt.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    });
    let began = Instant::now();
    match args.signal {
        Some(signal) => {
            let options = Options {
                service: args.load.service.clone(),
                attributes: args.load.attr.clone(),
                secrets: args.secrets,
                error_ratio: args.load.error_ratio,
            };
            let stream = Stream::new(signal.into(), args.seed, &options);
            let plan = load::Plan::from(&args.load);
            let share = |counts: &Counts| {
                let by_count = plan.count.map(|count| {
                    let ended = Counts::all(&counts.accepted) + Counts::all(&counts.rejected);
                    ended as f64 / count.max(1) as f64
                });
                let by_time = plan.duration.map(|duration| began.elapsed().div_duration_f64(duration));
                by_count.into_iter().chain(by_time).reduce(f64::max)
            };
            let sending = load::run(delivery, signal.into(), stream, plan, &stop);
            let planted = watched(sending, delivery, share).await;
            write(args.planted.as_deref(), |path| record::planted(path, &planted))?;
        }
        None => {
            let settings = scenario::settings(&args.replay, args.seed, args.secrets, load::unix_now())?;
            let clock = AtomicU64::new(0);
            let share = |_: &Counts| Some(clock.load(Ordering::Relaxed) as f64 / settings.duration as f64);
            let sending = scenario::run(delivery, settings.clone(), args.replay.speed, &stop, &clock);
            let truth = watched(sending, delivery, share).await?;
            write(args.replay.truth.as_deref(), |path| record::truth(path, &settings, &truth))?;
            write(args.planted.as_deref(), |path| record::planted(path, &truth.planted))?;
        }
    }
    Ok(began.elapsed())
}

fn write(
    path: Option<&std::path::Path>,
    what: impl FnOnce(&std::path::Path) -> std::io::Result<()>,
) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    what(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Shows progress while something is under way.
async fn watched<T>(
    sending: impl Future<Output = T>,
    delivery: &Delivery,
    share: impl Fn(&Counts) -> Option<f64>,
) -> T {
    let mut progress = Progress::new();
    let mut turn = tokio::time::interval_at(Instant::now() + progress.interval(), progress.interval());
    let mut sending = std::pin::pin!(sending);
    loop {
        tokio::select! {
            done = &mut sending => {
                progress.clear();
                return done;
            }
            _ = turn.tick() => {
                let counts = delivery.counts();
                progress.show(share(&counts), &counts);
            }
        }
    }
}

fn human(target: &str, counts: &Counts, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = Counts::all(&counts.accepted) as f64 / seconds.max(0.001);
    let words = |of: &[u64; 3]| Counts::words(of, &counts.sent);
    let mut text = format!("sent      {} in {} requests to {target}\n", words(&counts.sent), counts.requests);
    text += &format!("accepted  {}\nrejected  {}\n", words(&counts.accepted), words(&counts.rejected));
    text += &format!("retries   {}\ntook      {seconds:.2} s, {rate:.0} items/s accepted\n", counts.retries);
    if let Some((median, p99)) = counts.latencies() {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        text += &format!("answers   p50 {:.1} ms, p99 {:.1} ms\n", millis(median), millis(p99));
    }
    for (refusal, times) in &counts.refusals {
        text += &format!("refused   {times} times: {refusal}\n");
    }
    text
}

fn json(target: &str, counts: &Counts, elapsed: Duration) -> serde_json::Value {
    let by_signal =
        |of: &[u64; 3]| serde_json::json!({"traces": of[0], "metrics": of[1], "logs": of[2], "total": Counts::all(of)});
    let latencies = counts.latencies().map(
        |(median, p99)| serde_json::json!({"p50_seconds": median.as_secs_f64(), "p99_seconds": p99.as_secs_f64()}),
    );
    let refusals: Vec<_> =
        counts.refusals.iter().map(|(text, times)| serde_json::json!({"message": text, "count": times})).collect();
    serde_json::json!({
        "schema": "sluice.send/1", "target": target, "requests": counts.requests, "sent": by_signal(&counts.sent),
        "accepted": by_signal(&counts.accepted), "rejected": by_signal(&counts.rejected), "retries": counts.retries,
        "seconds": elapsed.as_secs_f64(), "latency": latencies, "refusals": refusals, "unreachable": counts.unreachable,
    })
}
