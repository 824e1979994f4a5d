//! A flush: what is written, and what is forgotten afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_pipeline::context::Tenant;

use super::aggregate::Aggregate;
use super::emit::{Row, Writer};
use super::exemplar::{Judge, Outcomes};
use super::series::Series;

/// What a flush is told.
pub struct Flush<'a> {
    pub namespace: &'a str,
    /// Time of the points, ns.
    pub time: u64,
    pub judge: &'a Judge,
    pub retention: Retention,
}

/// What is remembered behind a flush.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub resources: usize,
    pub resource: Duration,
    pub series: Duration,
    /// Delta: series whose last flush is remembered.
    pub timestamps: usize,
}

/// The metrics of one tenant.
#[derive(Debug)]
pub struct Flushed {
    pub tenant: Tenant,
    pub request: Vec<u8>,
    pub points: usize,
}

impl Aggregate {
    /// Writes what is due and forgets what has had its time.
    pub fn flush(&mut self, flush: &Flush<'_>, outcomes: &mut Outcomes) -> Vec<Flushed> {
        let mut due: BTreeMap<Tenant, BTreeMap<u32, Vec<Row>>> = BTreeMap::new();
        for (number, series) in self.table.slab.iter_mut() {
            let Some(resource) = self.resources.get(series.resource) else { continue };
            let before = series.candidates.len();
            let ready = match before {
                0 => Vec::new(),
                _ => series.candidates.settle(&resource.tenant, flush.judge, flush.time, outcomes),
            };
            self.candidates -= before - series.candidates.len();
            if !self.plan.delta || series.touched || !ready.is_empty() {
                let row = Row { series: number, family: series.family, ready };
                due.entry(resource.tenant.clone()).or_default().entry(series.resource).or_default().push(row);
            }
        }
        let mut flushed = Vec::with_capacity(due.len());
        for (tenant, resources) in due {
            let mut writer = Writer::new(&self.plan, flush.namespace, flush.time);
            let mut request = Vec::new();
            for (number, mut rows) in resources {
                let Some(resource) = self.resources.get(number) else { continue };
                rows.sort_by_key(|row| (row.family, row.series));
                writer.resource(&mut request, resource, &rows, &mut self.table.slab);
                for row in &rows {
                    if let Some(series) = self.table.slab.get_mut(row.series) {
                        count_exemplars(row, self.plan.exemplars.unwrap_or(0), outcomes);
                        series.written = flush.time;
                    }
                }
            }
            flushed.push(Flushed { tenant, points: writer.points, request });
        }
        self.forget(flush, outcomes);
        flushed
    }

    fn forget(&mut self, flush: &Flush<'_>, outcomes: &mut Outcomes) {
        let retention = flush.retention;
        self.expire(flush.time, &retention, outcomes);
        self.evict_resources(retention.resources, outcomes);
        if self.plan.delta {
            self.forget_timestamps(retention.timestamps, outcomes);
        }
        self.table.slab.iter_mut().for_each(|(_, series)| series.touched = false);
        self.resources.sweep();
        self.table.bytes = self.table.slab.iter().map(|(_, series)| series.bytes()).sum();
        self.open = true;
    }

    fn expire(&mut self, now: u64, retention: &Retention, outcomes: &mut Outcomes) {
        if retention.series.is_zero() && retention.resource.is_zero() {
            return;
        }
        let is_over =
            |limit: Duration, last: u64| !limit.is_zero() && u128::from(now.saturating_sub(last)) >= limit.as_nanos();
        let resources = &self.resources;
        let expired = |series: &Series| {
            is_over(retention.series, series.last_seen)
                || resources
                    .get(series.resource)
                    .is_some_and(|resource| is_over(retention.resource, resource.last_seen))
        };
        let expired: Vec<u32> =
            self.table.slab.iter().filter(|(_, series)| expired(series)).map(|(number, _)| number).collect();
        self.remove(expired, outcomes);
    }

    /// Keeps the resources that were seen last.
    fn evict_resources(&mut self, most: usize, outcomes: &mut Outcomes) {
        let mut seen: Vec<(u64, u32)> =
            self.resources.iter().map(|(number, resource)| (resource.last_seen, number)).collect();
        if seen.len() <= most {
            return;
        }
        seen.sort_unstable();
        seen.truncate(seen.len() - most);
        let evicted: ahash::HashSet<u32> = seen.into_iter().map(|(_, number)| number).collect();
        let gone = self.table.slab.iter().filter(|(_, series)| evicted.contains(&series.resource));
        let gone: Vec<u32> = gone.map(|(number, _)| number).collect();
        self.remove(gone, outcomes);
    }

    /// Delta: of all but the last written ones it is forgotten when that was. Those that had no span since go wholly; those that
    /// had keep what rounding has left over.
    fn forget_timestamps(&mut self, most: usize, outcomes: &mut Outcomes) {
        let mut written: Vec<(bool, u64, u32)> =
            self.table.slab.iter().map(|(number, series)| (series.touched, series.written, number)).collect();
        if written.len() <= most {
            return;
        }
        written.sort_unstable();
        written.truncate(written.len() - most);
        let mut idle = Vec::new();
        for (touched, _, number) in written {
            match self.table.slab.get_mut(number) {
                Some(series) if touched => series.written = 0,
                _ => idle.push(number),
            }
        }
        self.remove(idle, outcomes);
    }

    /// Forgets series that had no span since they were last written: nothing of them is lost, they only begin again.
    pub fn remove_idle(&mut self, outcomes: &mut Outcomes) {
        let idle: Vec<u32> =
            self.table.slab.iter().filter(|(_, series)| !series.touched).map(|(number, _)| number).collect();
        self.remove(idle, outcomes);
        self.resources.sweep();
    }

    /// Lets go of all exemplar candidates.
    pub fn strip(&mut self, outcomes: &mut Outcomes) {
        let stripped: usize = self.table.slab.iter_mut().map(|(_, series)| series.candidates.strip()).sum();
        outcomes.stripped += stripped as u64;
        self.candidates = 0;
    }

    fn remove(&mut self, numbers: Vec<u32>, outcomes: &mut Outcomes) {
        for number in numbers {
            if let Some(mut series) = self.table.remove(number, &mut self.resources) {
                let waiting = series.candidates.strip();
                self.candidates -= waiting;
                outcomes.expired += waiting as u64;
            }
        }
    }
}

fn count_exemplars(row: &Row, most: usize, outcomes: &mut Outcomes) {
    let attached = row.ready.len().min(most) as u64;
    outcomes.attached += attached;
    outcomes.surplus += row.ready.len() as u64 - attached;
}
