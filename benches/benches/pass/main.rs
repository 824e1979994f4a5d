//! The pass alone, without sockets: a full walk of the bytes, the fused pass of our processors as the chain scenarios
//! configure them, and the same chain by decoding, editing and encoding.
//!
//! ```sh
//! cargo bench -p sluice-benches --bench pass                    # the table; `--profile quick` skips link-time optimisation
//! cargo bench -p sluice-benches --bench pass -- --rounds 31 spans
//! benches/instructions.sh                                       # instructions per item, which no neighbour disturbs
//! ```
//!
//! All cases take turns; a ratio is the median over the rounds of one round's figures, CPU time of the thread. Before
//! anything is measured, both ways of running the chain must give the same telemetry.

mod cases;
mod chain;
mod decoded;
mod walk;

use cases::{CASES, Case, DECODED_CHAIN, PASS_CHAIN, WALK, Workload};
use clap::Parser;
use nix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::io::Write as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // the collector's

#[derive(Debug, Parser)]
struct Options {
    /// Measure only these: `spans`, `logs`.
    workloads: Vec<String>,
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Run one case so many times and print nothing: for tools that count instructions. A case is `spans/walk`, say.
    #[arg(long, requires = "times")]
    only: Option<String>,
    #[arg(long)]
    times: Option<u32>,
    /// Print the names of the cases.
    #[arg(long)]
    list: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if options.list {
        for workload in Workload::NAMES {
            CASES.iter().for_each(|case| println!("{workload}/{}", case.name));
        }
        return Ok(());
    }
    if let Some(only) = &options.only {
        let (workload, case) = only.split_once('/').ok_or("a case is WORKLOAD/NAME")?;
        let case = CASES.iter().find(|known| known.name == case).ok_or("no such case; see --list")?;
        let mut workload = Workload::new(workload)?;
        for _ in 0..options.times.unwrap_or(1) {
            workload.run(case)?;
        }
        return Ok(());
    }
    let chosen = |name: &&&str| options.workloads.is_empty() || options.workloads.iter().any(|wanted| wanted == **name);
    for name in Workload::NAMES.iter().filter(chosen) {
        let mut workload = Workload::new(name)?;
        workload.verify()?;
        let rounds = measure(&mut workload, options.rounds)?;
        report(&workload, &rounds)?;
    }
    Ok(())
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

/// Nanoseconds an item, by round and case.
fn measure(workload: &mut Workload, rounds: usize) -> Result<Vec<Vec<f64>>, Box<dyn Error>> {
    /// Long enough for the clock, short enough that one round sees one speed of the machine.
    const SHARE: f64 = 10e6;
    let mut times = Vec::new();
    for case in CASES {
        workload.run(case)?;
        let begun = cpu()?;
        workload.run(case)?;
        times.push((SHARE / (cpu()? - begun).max(1.0)).ceil() as u32);
    }
    let mut figures = Vec::new();
    for _ in 0..rounds {
        let mut round = Vec::new();
        for (case, times) in CASES.iter().zip(&times) {
            let begun = cpu()?;
            for _ in 0..*times {
                workload.run(case)?;
            }
            round.push((cpu()? - begun) / f64::from(*times) / f64::from(workload.items()));
        }
        figures.push(round);
    }
    Ok(figures)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn report(workload: &Workload, rounds: &[Vec<f64>]) -> Result<(), Box<dyn Error>> {
    /// Where the full walk takes 72 ns, the chain may take 200; and an eighth of decode–edit–encode.
    const BUDGET: (f64, f64) = (200.0 / 72.0, 1.0 / 8.0);
    let at = |name| CASES.iter().position(|case: &Case| case.name == name).unwrap_or_default();
    let column = |case: usize| rounds.iter().filter_map(move |round| round.get(case).copied());
    let ratio = |case, to| median(column(case).zip(column(to)).map(|(case, to)| case / to).collect());
    let (walk, pass, decoded) = (at(WALK), at(PASS_CHAIN), at(DECODED_CHAIN));
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{} ({} rounds, {} bytes an item)\n", workload.name, rounds.len(), workload.item_size())?;
    writeln!(
        out,
        "| case | ns an item | least | × {WALK} | × {DECODED_CHAIN} | what |\n|---|---:|---:|---:|---:|---|"
    )?;
    for (index, case) in CASES.iter().enumerate() {
        let least = column(index).fold(f64::INFINITY, f64::min);
        let (name, what, all) = (case.name, case.what, median(column(index).collect()));
        let (to_walk, to_decoded) = (ratio(index, walk), ratio(index, decoded));
        writeln!(out, "| {name} | {all:.1} | {least:.1} | {to_walk:.2} | {to_decoded:.3} | {what} |")?;
    }
    writeln!(out)?;
    let mut verdict = |what: &str, is: f64, budget: f64| {
        let met = if is <= budget { "met" } else { "MISSED" };
        writeln!(out, "- {PASS_CHAIN}: {is:.3} × {what}, budget ≤ {budget:.3}: {met}")
    };
    verdict(WALK, ratio(pass, walk), BUDGET.0)?;
    verdict(DECODED_CHAIN, ratio(pass, decoded), BUDGET.1)?;
    Ok(())
}
