//! The stages that hold items back, without sockets: `correlate` in both modes, `tail_sampling` with the ten policies of its
//! scenario, and the connector `span_metrics`.
//!
//! ```sh
//! cargo bench -p sluice-benches --bench correlate                         # ns an item; `--profile quick` links faster
//! cargo bench -p sluice-benches --bench correlate -- --seconds 20 decide  # only these cases, for longer
//! cargo bench -p sluice-benches --bench correlate -- --live-spans 1000000 # memory of that many live spans
//! cargo bench -p sluice-benches --bench correlate -- --burst 64           # memory at a limit of 64 MiB
//! ```
//!
//! Time is virtual: requests come at a fixed rate of it, windows fill and empty as they would, and a figure is CPU time of
//! the thread over the items of a whole simulated stretch, ticks and writing out included. Requests are made outside of it.

mod feed;
mod memory;
mod stages;

use clap::Parser;
use feed::{Feed, World};
use nix::time::{ClockId, clock_gettime};
use stages::CASES;
use std::error::Error;
use std::io::Write as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // the collector's

#[derive(Debug, Parser)]
struct Options {
    /// Measure only the cases whose name has one of these in it.
    cases: Vec<String>,
    /// Simulated seconds that are measured, after the window has filled.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Items a simulated second.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// Items in a request.
    #[arg(long, default_values_t = [100, 1000])]
    items: Vec<u32>,
    /// Instead: fill a window with that many spans, twenty to a trace, and tell the memory they take.
    #[arg(long)]
    live_spans: Option<u64>,
    /// Instead: give a window of so many MiB far more than it holds, in both modes, and tell the memory it takes.
    #[arg(long)]
    burst: Option<u64>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if let Some(spans) = options.live_spans {
        return memory::live_spans(spans);
    }
    if let Some(mib) = options.burst {
        return memory::burst(mib);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "| case | items a request | ns an item | emitted | held at the end | bytes held |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|")?;
    for case in CASES {
        if !options.cases.is_empty() && !options.cases.iter().any(|wanted| case.name.contains(wanted.as_str())) {
            continue;
        }
        for &items in &options.items {
            let mut world = World::new((case.build)()?);
            let mut feed = Feed::new(case.logs, items, options.rate);
            world.run(&mut feed, case.fill)?;
            let before = (world.cpu, world.absorbed, world.emitted);
            world.run(&mut feed, options.seconds)?;
            let absorbed = world.absorbed - before.1;
            let (ns, share) =
                ((world.cpu - before.0) / absorbed as f64, (world.emitted - before.2) as f64 / absorbed as f64);
            let held = world.stage.held();
            writeln!(
                out,
                "| {} | {items} | {ns:.0} | {:.1} % | {} | {:.1} MiB |",
                case.name,
                share * 100.0,
                held.items,
                held.bytes as f64 / f64::from(1 << 20)
            )?;
            world.verify()?;
        }
    }
    Ok(())
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}
