//! Cuts the items of one pipeline out of a batch. They are copied as they are, with what they stand in.

use std::sync::Arc;

use sluice_pdata::msg::Message;
use sluice_pdata::pass::{BatchState, Cx, Hooks, Level, Scratch, Step, Verdict};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::{Batch, Chain, Context, Refusal};

use super::table::Places;

/// The items that go to one of the pipelines.
///
/// # Errors
/// Malformed bytes.
pub(super) fn select(
    signal: Signal,
    batch: &Batch,
    places: Arc<[Places]>,
    pipeline: usize,
    scratch: &mut Scratch,
) -> Result<Batch, Refusal> {
    let chain = Chain::new(signal, vec![Arc::new(Selection { places, pipeline })]);
    let passed = chain.run(batch.bytes().clone(), batch.items(), batch.context(), scratch);
    let passed = passed.map_err(Refusal::malformed)?;
    Ok(batch.clone().replaced(passed.bytes.clone(), passed.items))
}

struct Selection {
    places: Arc<[Places]>,
    pipeline: usize,
}

/// Items seen so far.
struct Seen(usize);

impl BatchState for Seen {
    fn apply(self: Box<Self>) {}
}

impl Step<Context> for Selection {
    fn hooks(&self, _signal: Signal) -> Hooks {
        Hooks { item: true, changes: Some(Level::Item), ..Hooks::default() }
    }

    fn begin(&self, _signal: Signal, _batch: &[u8]) -> Option<Box<dyn BatchState>> {
        Some(Box::new(Seen(0)))
    }

    fn item(&self, cx: &mut Cx<'_, Context>, _item: &mut Message<'_>) -> Result<Verdict, Error> {
        let Some(seen) = cx.state::<Seen>() else { return Ok(Verdict::Keep) };
        let places = self.places.get(seen.0).copied().unwrap_or_default();
        seen.0 += 1;
        // Never counted as a drop: the item is in another selection.
        Ok(if places.contains(self.pipeline) { Verdict::Keep } else { Verdict::Drop(super::UNROUTED) })
    }
}
