//! Metrics: points pass at once, and lose exemplars of traces that are not kept (correlation §8).

use sluice_pdata::tags::{
    exponential_histogram_data_point as exponential, histogram_data_point as histogram, metric,
    number_data_point as number,
};
use sluice_pdata::view::{DataView, ExemplarView, Messages, Temporality};
use sluice_pdata::wire::{Value, fields, put_len, put_message};
use sluice_pdata::{Error, Signal};
use sluice_pipeline::batch::{Batch, Redacted};
use sluice_pipeline::stage::{Port, StageOutput};

use super::infer::{Durations, Passing};
use super::{Engine, ticks};
use crate::trace_window::candidates::Candidates;
use crate::trace_window::entry::TraceState;
use crate::trace_window::exemplar::{Exemplar, Judged, Waiting};
use crate::trace_window::statistics::{ExemplarOutcome, Outcome};
use crate::trace_window::verdict_cache::{Known, TraceKey};

/// Ticks between looks for exemplars whose series report no more.
const SWEEP: u32 = 100;

/// Exemplars in the engine.
#[derive(Default)]
pub(super) struct Exemplars {
    waiting: Waiting,
    pub(super) candidates: Candidates,
    swept: u32,
}

impl Exemplars {
    pub(super) fn bytes(&self) -> usize {
        self.waiting.bytes() + self.candidates.bytes()
    }
}

/// Field numbers of a kind of point.
#[derive(Clone, Copy)]
struct Kind {
    start: u32,
    time: u32,
    exemplars: u32,
    attributes: u32,
}

impl Kind {
    /// Of the points of this member of a metric's data; `None` for those without exemplars.
    fn of(member: u32) -> Option<Self> {
        let (start, time, exemplars, attributes) = match member {
            metric::GAUGE | metric::SUM => {
                (number::START_TIME_UNIX_NANO, number::TIME_UNIX_NANO, number::EXEMPLARS, number::ATTRIBUTES)
            }
            metric::HISTOGRAM => (
                histogram::START_TIME_UNIX_NANO,
                histogram::TIME_UNIX_NANO,
                histogram::EXEMPLARS,
                histogram::ATTRIBUTES,
            ),
            metric::EXPONENTIAL_HISTOGRAM => (
                exponential::START_TIME_UNIX_NANO,
                exponential::TIME_UNIX_NANO,
                exponential::EXEMPLARS,
                exponential::ATTRIBUTES,
            ),
            _ => return None,
        };
        Some(Kind { start, time, exemplars, attributes })
    }
}

/// Where in a request a walk is, by what tells series apart.
#[derive(Clone, Copy)]
struct Place {
    tenant: u16,
    series: u64,
    /// Of the resource, and what the metric measures, where exemplars may be inferred.
    identity: u64,
    durations: Option<Durations>,
}

/// The envelopes on the way to the metrics: field numbers of what is inside, and of what names the envelope.
const ENVELOPES: [(u32, u32); 3] = [(1, 0), (2, 1), (2, 1)];

impl Engine {
    pub(super) fn take_metrics(&mut self, port: Port, batch: &Redacted<Batch>, out: &mut StageOutput) {
        self.statistics.records[Signal::Metrics as usize][Outcome::Passed as usize] += batch.items() as u64;
        let now = self.time.tick();
        if now.saturating_sub(self.exemplars.swept) >= SWEEP {
            self.exemplars.swept = now;
            let expired = self.exemplars.waiting.expire(now, self.patience());
            self.count_exemplars(ExemplarOutcome::Expired, expired);
        }
        let request = batch.bytes();
        let tenant = self.origins.tenant(&batch.context().tenant);
        let looks = self.infers() || !self.settings.exemplars.keep_unknown;
        let (true, Some(tenant)) = (looks, tenant) else { return out.emit(port, (**batch).clone()) };
        let mut written = Vec::with_capacity(request.len());
        let place = Place { tenant, series: u64::from(port.0), identity: 0, durations: None };
        match self.write_envelope(&ENVELOPES, request, place, &mut written) {
            // Framing was checked; what is broken deeper inside goes on as it came.
            Err(_) => out.emit(port, (**batch).clone()),
            Ok(()) if written == **request => out.emit(port, (**batch).clone()),
            Ok(()) => out.emit(port, (**batch).clone().replaced(written.into(), batch.items())),
        }
    }

    fn patience(&self) -> u32 {
        ticks(self.settings.exemplars.max_defer.as_millis())
    }

    fn count_exemplars(&mut self, outcome: ExemplarOutcome, count: u64) {
        self.statistics.exemplars[outcome as usize] += count;
    }

    fn write_envelope(
        &mut self,
        levels: &[(u32, u32)],
        message: &[u8],
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Some((&(inner, name), below)) = levels.split_first() else { return self.write_metric(message, place, out) };
        let named = Messages::new(message, name).last().transpose()?.unwrap_or_default();
        let mut place = Place { series: self.hasher.hash_one((place.series, named)), ..place };
        if levels.len() == ENVELOPES.len() - 1 && self.infers() {
            place.identity = self.identity(place.tenant, named);
        }
        for field in fields(message) {
            let field = field?;
            match field.value {
                Value::Len(payload) if field.number == inner => {
                    let mut failed = None;
                    put_message(out, inner, |out| failed = self.write_envelope(below, payload, place, out).err());
                    failed.map_or(Ok(()), Err)?;
                }
                _ => out.extend_from_slice(&message[field.start..field.end]),
            }
        }
        Ok(())
    }

    fn write_metric(&mut self, message: &[u8], place: Place, out: &mut Vec<u8>) -> Result<(), Error> {
        let name = Messages::new(message, metric::NAME).last().transpose()?.unwrap_or_default();
        let unit = Messages::new(message, metric::UNIT).last().transpose()?.unwrap_or_default();
        let durations = Durations::of(name, unit).filter(|_| self.infers());
        let place = Place { series: self.hasher.hash_one((place.series, name)), durations, ..place };
        for field in fields(message) {
            let field = field?;
            let (Value::Len(data), Some(kind)) = (field.value, Kind::of(field.number)) else {
                out.extend_from_slice(&message[field.start..field.end]);
                continue;
            };
            let temporality = DataView::parse(field.number, data)?.and_then(DataView::temporality);
            let is_delta = temporality == Some(Temporality::Delta);
            let mut failed = None;
            put_message(out, field.number, |out| failed = self.write_points(data, kind, is_delta, place, out).err());
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn write_points(
        &mut self,
        data: &[u8],
        kind: Kind,
        is_delta: bool,
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        for field in fields(data) {
            let field = field?;
            match field.value {
                Value::Len(point) if field.number == 1 => {
                    let mut failed = None;
                    put_message(out, 1, |out| failed = self.write_point(point, kind, is_delta, place, out).err());
                    failed.map_or(Ok(()), Err)?;
                }
                _ => out.extend_from_slice(&data[field.start..field.end]),
            }
        }
        Ok(())
    }

    fn write_point(
        &mut self,
        point: &[u8],
        kind: Kind,
        is_delta: bool,
        place: Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let now = self.time.tick();
        let (mut start, mut end, mut series) = (0, 0, place.series);
        let mut own = Vec::new();
        for field in fields(point) {
            let field = field?;
            match field.value {
                Value::Fixed64(time) if field.number == kind.start => start = time,
                Value::Fixed64(time) if field.number == kind.time => end = time,
                Value::Len(pair) if field.number == kind.attributes => series ^= self.hasher.hash_one(pair),
                Value::Len(bytes) if field.number == kind.exemplars => {
                    let view = ExemplarView::parse(bytes)?;
                    let Ok(id) = <[u8; 16]>::try_from(view.trace_id) else {
                        // Without a trace it is nobody's business.
                        out.extend_from_slice(&point[field.start..field.end]);
                        continue;
                    };
                    let trace = TraceKey { tenant: place.tenant, id };
                    own.push(Exemplar { bytes: bytes.into(), trace, time: view.time_unix_nano, since: now });
                    continue;
                }
                _ => {}
            }
            out.extend_from_slice(&point[field.start..field.end]);
        }
        let durations = place.durations.filter(|_| kind.exemplars == histogram::EXEMPLARS);
        let had_none = own.is_empty() && !self.exemplars.waiting.has(series);
        if had_none && durations.is_none() {
            return Ok(());
        }
        let removed = if durations.is_some() { self.removed_values(&own) } else { Vec::new() };
        let mut leaving = self.judge_point(own, series, is_delta, (start, end));
        if let Some(durations) = durations {
            let (identity, bare) = (place.identity, had_none);
            let passing = Passing { point, series, identity, durations, delta: is_delta, removed: &removed, bare };
            let inferred = self.infer(&passing)?;
            if !inferred.is_empty() {
                let time = |bytes: &[u8]| ExemplarView::parse(bytes).map_or(0, |view| view.time_unix_nano);
                leaving.extend(inferred.into_iter().map(|(_, bytes)| bytes.into_boxed_slice()));
                leaving.sort_by_key(|bytes| time(bytes));
            }
        }
        leaving.iter().for_each(|bytes| put_len(out, kind.exemplars, bytes));
        Ok(())
    }

    /// The exemplars that leave with a point, in the order of their times.
    fn judge_point(&mut self, own: Vec<Exemplar>, series: u64, is_delta: bool, interval: (u64, u64)) -> Vec<Box<[u8]>> {
        if is_delta {
            return self.judge_delta(own);
        }
        let now = self.time.tick();
        let patience = self.patience();
        let mut waiting = std::mem::take(&mut self.exemplars.waiting);
        let leaving = waiting.pass(series, own, interval, (now, patience), |trace| self.judge_exemplar(trace));
        self.exemplars.waiting = waiting;
        for (outcome, count) in [
            (ExemplarOutcome::Kept, leaving.kept),
            (ExemplarOutcome::Removed, leaving.removed),
            (ExemplarOutcome::Unknown, leaving.unknown),
            (ExemplarOutcome::Pending, leaving.pending),
            (ExemplarOutcome::Expired, leaving.expired),
        ] {
            self.count_exemplars(outcome, count);
        }
        leaving.exemplars
    }

    /// A delta point is the only one of its interval: what is not decided cannot wait for the next one.
    fn judge_delta(&mut self, own: Vec<Exemplar>) -> Vec<Box<[u8]>> {
        let mut leaving = Vec::new();
        for exemplar in own {
            let (outcome, keeps) = match self.judge_exemplar(exemplar.trace) {
                Judged::Keep => (ExemplarOutcome::Kept, true),
                Judged::Remove => (ExemplarOutcome::Removed, false),
                Judged::Pending => (ExemplarOutcome::Stripped, false),
                Judged::Unknown { keep } => (ExemplarOutcome::Unknown, keep),
            };
            self.count_exemplars(outcome, 1);
            if keeps {
                leaving.push(exemplar.bytes);
            }
        }
        leaving
    }

    pub(super) fn judge_exemplar(&self, trace: TraceKey) -> Judged {
        let live = self.find_trace(trace).map(|at| self.traces.get(at).state);
        match (live, self.decides()) {
            (Some(TraceState::Open), true) => Judged::Pending,
            (Some(_), _) => Judged::Keep,
            (None, _) => match self.verdicts.get(trace) {
                Some(Known::Kept { .. }) => Judged::Keep,
                Some(Known::Dropped) => Judged::Remove,
                None => Judged::Unknown { keep: self.settings.exemplars.keep_unknown },
            },
        }
    }
}
