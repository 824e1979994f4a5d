//! Whether a message is over a limit.

use sluice_pdata::Error;
use sluice_pdata::tags::{
    any_value, array_value, buckets, exponential_histogram_data_point, histogram_data_point, key_value,
    summary_data_point,
};
use sluice_pdata::wire::{Value, fields};

use super::shape::{Distribution, Shape};
use super::{ContentLimits, Excess, Limit, Remedy};

/// Keeps the gravest excess, of equal ones the first.
fn note(worst: &mut Option<Excess>, limit: Limit, remedy: Remedy) {
    if worst.is_none_or(|known| known.remedy < remedy) {
        *worst = Some(Excess { limit, remedy });
    }
}

impl ContentLimits {
    /// The gravest excess of a message.
    pub(super) fn inspect(&self, shape: &Shape, message: &[u8]) -> Result<Option<Excess>, Error> {
        let mut worst = None;
        let mut attributes = 0;
        let mut counts = [0usize; 3];
        for field in fields(message) {
            let field = field?;
            let Value::Len(payload) = field.value else { continue };
            if field.number == shape.attributes {
                attributes += 1;
                self.inspect_pair(shape, payload, &mut worst)?;
            } else if let Some((_, text_is_payload)) = shape.texts.iter().find(|(number, _)| *number == field.number) {
                let (limit, most) = self.value_limit(*text_is_payload);
                if payload.len() > most {
                    note(&mut worst, limit, Remedy::Trim);
                }
            } else if let Some((_, len)) = shape.ids.iter().find(|(number, _)| *number == field.number) {
                if !payload.is_empty() && payload.len() != *len {
                    note(&mut worst, Limit::IdLength, Remedy::Reject);
                }
            } else if field.number == shape.body {
                self.inspect_body(payload, &mut worst)?;
            } else if let Some(at) = shape.children.iter().position(|child| child.number == field.number) {
                let child = &shape.children[at];
                counts[at] += 1;
                if let Some(limit) = child.most.filter(|limit| counts[at] > self.most(*limit)) {
                    note(&mut worst, limit, Remedy::Cut);
                }
                if let Some(inner) = self.inspect(child.shape, payload)? {
                    // What is in an exemplar identifies no series.
                    let trims = inner.remedy == Remedy::Trim && child.most == Some(Limit::Exemplars);
                    note(&mut worst, inner.limit, if trims { Remedy::Cut } else { inner.remedy });
                }
            }
        }
        if attributes > self.attributes {
            note(&mut worst, Limit::Attributes, Remedy::Trim);
        }
        if shape.distribution != Distribution::None {
            self.inspect_distribution(shape.distribution, message, &mut worst)?;
        }
        Ok(worst)
    }

    /// How many of something there may be.
    pub(super) fn most(&self, limit: Limit) -> usize {
        match limit {
            Limit::Events => self.events,
            Limit::Links => self.links,
            Limit::Exemplars => self.exemplars,
            Limit::Buckets => self.buckets,
            Limit::Quantiles => self.quantiles,
            _ => usize::MAX,
        }
    }

    /// The limit of a value, and its bytes.
    pub(super) fn value_limit(&self, payload: bool) -> (Limit, usize) {
        if payload {
            (Limit::PayloadValueBytes, self.payload_value_bytes)
        } else {
            (Limit::IdentityValueBytes, self.identity_value_bytes)
        }
    }

    fn inspect_pair(&self, shape: &Shape, pair: &[u8], worst: &mut Option<Excess>) -> Result<(), Error> {
        let (limit, most) = self.value_limit(shape.payload);
        for field in fields(pair) {
            let field = field?;
            match (field.number, field.value) {
                (key_value::KEY, Value::Len(key)) if key.len() > self.key_bytes => {
                    note(worst, Limit::KeyBytes, Remedy::Trim);
                }
                (key_value::VALUE, Value::Len(value)) => {
                    if self.too_deep(value, 0)? {
                        note(worst, Limit::ValueDepth, Remedy::Reject);
                    } else if content_len(value)? > most {
                        note(worst, limit, Remedy::Trim);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A log body that is text can be cut; one with structure cannot.
    fn inspect_body(&self, value: &[u8], worst: &mut Option<Excess>) -> Result<(), Error> {
        if self.too_deep(value, 0)? {
            note(worst, Limit::ValueDepth, Remedy::Reject);
        } else if content_len(value)? > self.payload_value_bytes {
            let remedy = if is_container(value)? { Remedy::Reject } else { Remedy::Trim };
            note(worst, Limit::PayloadValueBytes, remedy);
        }
        Ok(())
    }

    /// Whether containers nest deeper than the limit. Goes no deeper itself.
    fn too_deep(&self, value: &[u8], depth: usize) -> Result<bool, Error> {
        for field in fields(value) {
            let field = field?;
            let (any_value::ARRAY_VALUE | any_value::KVLIST_VALUE, Value::Len(list)) = (field.number, field.value)
            else {
                continue;
            };
            if depth >= self.value_depth {
                return Ok(true);
            }
            for element in fields(list) {
                let element = element?;
                let (array_value::VALUES, Value::Len(element)) = (element.number, element.value) else { continue };
                let deep = if field.number == any_value::ARRAY_VALUE {
                    self.too_deep(element, depth + 1)?
                } else {
                    self.pair_too_deep(element, depth + 1)?
                };
                if deep {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn pair_too_deep(&self, pair: &[u8], depth: usize) -> Result<bool, Error> {
        for field in fields(pair) {
            let field = field?;
            if let (key_value::VALUE, Value::Len(value)) = (field.number, field.value)
                && self.too_deep(value, depth)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn inspect_distribution(
        &self,
        distribution: Distribution,
        point: &[u8],
        worst: &mut Option<Excess>,
    ) -> Result<(), Error> {
        let (mut counted, mut bounds, mut quantiles) = (0, 0, 0);
        for field in fields(point) {
            let field = field?;
            match (distribution, field.number) {
                (Distribution::Buckets, histogram_data_point::BUCKET_COUNTS) => counted += fixed(field.value),
                (Distribution::Buckets, histogram_data_point::EXPLICIT_BOUNDS) => bounds += fixed(field.value),
                (
                    Distribution::Ranges,
                    exponential_histogram_data_point::POSITIVE | exponential_histogram_data_point::NEGATIVE,
                ) => {
                    for inner in fields(field.value.len().unwrap_or_default()) {
                        let inner = inner?;
                        if inner.number == buckets::BUCKET_COUNTS {
                            counted += varints(inner.value);
                        }
                    }
                }
                (Distribution::Quantiles, summary_data_point::QUANTILE_VALUES) => quantiles += 1,
                _ => {}
            }
        }
        if counted > self.buckets || bounds > self.buckets {
            note(worst, Limit::Buckets, Remedy::Reject);
        }
        if quantiles > self.quantiles {
            note(worst, Limit::Quantiles, Remedy::Reject);
        }
        // Both may be left out; buckets without bounds are one bucket.
        if distribution == Distribution::Buckets && (counted > 0 || bounds > 0) && counted != bounds + 1 {
            note(worst, Limit::BucketBounds, Remedy::Reject);
        }
        Ok(())
    }
}

/// Bytes of the text or bytes in an `AnyValue`, or of the whole container; 0 for numbers.
pub(super) fn content_len(value: &[u8]) -> Result<usize, Error> {
    let mut len = 0;
    for field in fields(value) {
        if let Value::Len(payload) = field?.value {
            len = len.max(payload.len());
        }
    }
    Ok(len)
}

pub(super) fn is_container(value: &[u8]) -> Result<bool, Error> {
    let mut container = false;
    for field in fields(value) {
        container |= matches!(field?.number, any_value::ARRAY_VALUE | any_value::KVLIST_VALUE);
    }
    Ok(container)
}

/// How many 64-bit numbers a field holds, packed or not.
fn fixed(value: Value<'_>) -> usize {
    match value {
        Value::Len(packed) => packed.len().div_ceil(8),
        _ => 1,
    }
}

/// How many varints a field holds, packed or not.
fn varints(value: Value<'_>) -> usize {
    match value {
        Value::Len(packed) => packed.iter().filter(|byte| **byte < 0x80).count(),
        _ => 1,
    }
}
