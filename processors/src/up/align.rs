//! `align_labels: sd`: pushed metrics get the `job` and `instance` of their target (`up`, Label alignment).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use sluice_pdata::Error;
use sluice_pdata::msg::{Message, NewValue};
use sluice_pdata::tags::resource;

use super::engine::Engine;
use super::known::Known;
use super::labels::Labels;

/// Asks the engine for the labels of a sender's target, once for each change of the targets.
#[derive(Debug, Default)]
pub struct Alignment {
    /// None before the start: nothing is received then either.
    engine: OnceLock<(Weak<Mutex<Engine>>, Arc<AtomicU64>)>,
}

impl Alignment {
    /// From now on this engine is asked.
    pub fn connect(&self, engine: &Arc<Mutex<Engine>>) {
        let revision = engine.lock().unwrap_or_else(PoisonError::into_inner).revision();
        // A second start would be a bug of the graph; the first engine stays.
        let _ = self.engine.set((Arc::downgrade(engine), revision));
    }

    /// The labels of a sender's target, if it has one by discovery.
    pub fn labels(&self, known: &Known) -> Option<Labels> {
        let (engine, revision) = self.engine.get()?;
        known.aligned(revision.load(Ordering::Relaxed), || {
            let engine = engine.upgrade()?;
            engine.lock().unwrap_or_else(PoisonError::into_inner).labels_of(known.identity())
        })
    }
}

/// Gives a resource the attributes from which the translation to Prometheus makes the `job` and `instance` of these labels.
///
/// # Errors
/// Malformed bytes.
pub fn align(message: &mut Message<'_>, labels: &Labels) -> Result<(), Error> {
    let job = labels.get("job");
    // The translation joins what stands before the first slash with what follows.
    let (namespace, name) = match job.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => (namespace, name),
        _ => ("", job),
    };
    let wanted =
        [("service.name", name), ("service.namespace", namespace), ("service.instance.id", labels.get("instance"))];
    let mut attributes = message.attributes(resource::ATTRIBUTES);
    for (key, value) in wanted {
        if value.is_empty() {
            attributes.remove(key.as_bytes())?;
            continue;
        }
        let mut present = 0;
        let mut equal = true;
        for (_, pair) in attributes.iter()? {
            let pair = pair?;
            if pair.key() == key.as_bytes() {
                present += 1;
                equal &=
                    matches!(pair.value()?, sluice_pdata::view::AnyValueView::Str(text) if text == value.as_bytes());
            }
        }
        if present != 1 || !equal {
            attributes.remove(key.as_bytes())?;
            attributes.insert(key.as_bytes(), NewValue::Str(value.as_bytes()))?;
        }
    }
    Ok(())
}
