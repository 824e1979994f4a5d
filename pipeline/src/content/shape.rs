//! The messages of OTLP, as far as limits apply to them.

use sluice_pdata::tags::{
    exemplar, exponential_histogram_data_point, histogram_data_point, log_record, metric, number_data_point, resource,
    scope, span, span_event, span_link, status, summary_data_point,
};

use super::Limit;

/// One message. A field number of 0 means that it has no such field.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) attributes: u32,
    pub(super) dropped_attributes: u32,
    /// Whether its values are payload, and do not identify anything.
    pub(super) payload: bool,
    /// Strings, and whether they are payload.
    pub(super) texts: &'static [(u32, bool)],
    /// An `AnyValue` of its own.
    pub(super) body: u32,
    /// Ids, and their lengths.
    pub(super) ids: &'static [(u32, usize)],
    pub(super) children: &'static [Child],
    pub(super) distribution: Distribution,
}

/// Messages inside a message.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) number: u32,
    pub(super) shape: &'static Shape,
    /// How many there may be.
    pub(super) most: Option<Limit>,
    /// The field that counts those that were left out.
    pub(super) dropped: u32,
}

/// What a data point distributes its values over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    None,
    /// Explicit bounds.
    Buckets,
    /// Positive and negative ranges.
    Ranges,
    Quantiles,
}

const BARE: Shape = Shape {
    attributes: 0,
    dropped_attributes: 0,
    payload: false,
    texts: &[],
    body: 0,
    ids: &[],
    children: &[],
    distribution: Distribution::None,
};

pub(super) static RESOURCE: Shape =
    Shape { attributes: resource::ATTRIBUTES, dropped_attributes: resource::DROPPED_ATTRIBUTES_COUNT, ..BARE };

pub(super) static SCOPE: Shape = Shape {
    attributes: scope::ATTRIBUTES,
    dropped_attributes: scope::DROPPED_ATTRIBUTES_COUNT,
    texts: &[(scope::NAME, false), (scope::VERSION, false)],
    ..BARE
};

pub(super) static SPAN: Shape = Shape {
    attributes: span::ATTRIBUTES,
    dropped_attributes: span::DROPPED_ATTRIBUTES_COUNT,
    payload: true,
    texts: &[(span::NAME, false)],
    ids: &[(span::TRACE_ID, 16), (span::SPAN_ID, 8), (span::PARENT_SPAN_ID, 8)],
    children: &[
        Child { number: span::EVENTS, shape: &EVENT, most: Some(Limit::Events), dropped: span::DROPPED_EVENTS_COUNT },
        Child { number: span::LINKS, shape: &LINK, most: Some(Limit::Links), dropped: span::DROPPED_LINKS_COUNT },
        Child { number: span::STATUS, shape: &STATUS, most: None, dropped: 0 },
    ],
    ..BARE
};

static EVENT: Shape = Shape {
    attributes: span_event::ATTRIBUTES,
    dropped_attributes: span_event::DROPPED_ATTRIBUTES_COUNT,
    payload: true,
    texts: &[(span_event::NAME, false)],
    ..BARE
};

static LINK: Shape = Shape {
    attributes: span_link::ATTRIBUTES,
    dropped_attributes: span_link::DROPPED_ATTRIBUTES_COUNT,
    payload: true,
    ids: &[(span_link::TRACE_ID, 16), (span_link::SPAN_ID, 8)],
    ..BARE
};

static STATUS: Shape = Shape { texts: &[(status::MESSAGE, true)], ..BARE };

pub(super) static LOG_RECORD: Shape = Shape {
    attributes: log_record::ATTRIBUTES,
    dropped_attributes: log_record::DROPPED_ATTRIBUTES_COUNT,
    payload: true,
    texts: &[(log_record::SEVERITY_TEXT, false), (log_record::EVENT_NAME, false)],
    body: log_record::BODY,
    ids: &[(log_record::TRACE_ID, 16), (log_record::SPAN_ID, 8)],
    ..BARE
};

/// The fields of a metric beside its data.
pub(super) static METRIC: Shape = Shape {
    attributes: metric::METADATA,
    texts: &[(metric::NAME, false), (metric::UNIT, false), (metric::DESCRIPTION, true)],
    ..BARE
};

static EXEMPLAR: Shape = Shape {
    attributes: exemplar::FILTERED_ATTRIBUTES,
    ids: &[(exemplar::TRACE_ID, 16), (exemplar::SPAN_ID, 8)],
    ..BARE
};

static NUMBER: Shape = Shape {
    attributes: number_data_point::ATTRIBUTES,
    children: &[Child {
        number: number_data_point::EXEMPLARS,
        shape: &EXEMPLAR,
        most: Some(Limit::Exemplars),
        dropped: 0,
    }],
    ..BARE
};

static HISTOGRAM: Shape = Shape {
    attributes: histogram_data_point::ATTRIBUTES,
    children: &[Child {
        number: histogram_data_point::EXEMPLARS,
        shape: &EXEMPLAR,
        most: Some(Limit::Exemplars),
        dropped: 0,
    }],
    distribution: Distribution::Buckets,
    ..BARE
};

static EXPONENTIAL: Shape = Shape {
    attributes: exponential_histogram_data_point::ATTRIBUTES,
    children: &[Child {
        number: exponential_histogram_data_point::EXEMPLARS,
        shape: &EXEMPLAR,
        most: Some(Limit::Exemplars),
        dropped: 0,
    }],
    distribution: Distribution::Ranges,
    ..BARE
};

static SUMMARY: Shape =
    Shape { attributes: summary_data_point::ATTRIBUTES, distribution: Distribution::Quantiles, ..BARE };

/// A data point of a metric whose data is field `kind`.
pub(super) fn data_point(kind: u32) -> &'static Shape {
    match kind {
        metric::HISTOGRAM => &HISTOGRAM,
        metric::EXPONENTIAL_HISTOGRAM => &EXPONENTIAL,
        metric::SUMMARY => &SUMMARY,
        _ => &NUMBER,
    }
}
