//! What a window takes: by its own account, and by the kernel's.

use crate::feed::{Feed, World};
use crate::stages::processor;
use std::error::Error;
use std::io::Write as _;

const MIB: f64 = (1 << 20) as f64;

/// Memory of this process that is resident, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("statm has no second field")?.parse()?;
    Ok(pages * 4096)
}

/// Fills a window with spans, twenty to a trace, and lets them leave; their slots stay for their logs.
pub(crate) fn live_spans(spans: u64) -> Result<(), Box<dyn Error>> {
    let config = format!(
        "{{memory_limit_mib: 4096, max_live_spans: {}, hold: {{span: 100ms, log: {{mode: fixed, max: 5s}}}}}}",
        spans + 100_000
    );
    let mut world = World::new(processor("correlate", &config)?);
    // Five seconds of them, the shortest time that slots stay.
    let mut feed = Feed::spans(1000, spans / 5, 20);
    world.run(&mut Feed::spans(1000, 1000, 20), 1)?;
    let base = resident()?;
    world.run(&mut feed, 5)?;
    let (held, now) = (world.stage.held(), resident()?);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} spans: accounted {:.1} MiB with {} items held ({:.0} B a span), resident + {:.1} MiB",
        world.absorbed,
        held.bytes as f64 / MIB,
        held.items,
        held.bytes as f64 / world.absorbed as f64,
        now.saturating_sub(base) as f64 / MIB
    )?;
    drop(out);
    world.verify()
}

/// Bursts far beyond the limit, in both modes: the window must stay in its limit, and the process near it.
pub(crate) fn burst(mib: u64) -> Result<(), Box<dyn Error>> {
    let decide = format!(
        "{{memory_limit_mib: {mib}, max_live_spans: 50000000, mode: decide, sampling: {{decision_wait: 30s, \
         policies: [{{name: share, type: probabilistic, probabilistic: {{sampling_percentage: 10}}}}]}}}}"
    );
    let annotate = format!("{{memory_limit_mib: {mib}, max_live_spans: 50000000}}");
    let mut base = None;
    for (mode, config) in [("decide", decide), ("annotate", annotate)] {
        let mut world = World::new(processor("correlate", &config)?);
        // Whatever the process itself needs to make and take requests is there before it is measured.
        world.run(&mut Feed::spans(1000, 20_000, 8), 2)?;
        let base = *base.get_or_insert(resident()?);
        let (mut most, mut accounted) = (0, 0);
        for trace in [8, 1, 2000, 8, 1] {
            let mut feed = Feed::spans(1000, 200_000, trace);
            for _ in 0..8 {
                world.run(&mut feed, 1)?;
                (most, accounted) = (most.max(resident()?), accounted.max(world.stage.held().bytes));
            }
        }
        let grown = most.saturating_sub(base) as f64 / MIB;
        writeln!(
            std::io::stdout().lock(),
            "{mode}, limit {mib} MiB: accounted at most {:.1} MiB, resident at most + {grown:.1} MiB ({:.2} × the limit)",
            accounted as f64 / MIB,
            grown / mib as f64
        )?;
        world.verify()?;
    }
    Ok(())
}
