//! The places of a request that hold text.

/// A field, or a kind of field, that holds text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Place {
    ResourceAttribute,
    ResourceEntity,
    ResourceSchemaUrl,
    ScopeName,
    ScopeVersion,
    ScopeAttribute,
    ScopeSchemaUrl,
    SpanName,
    SpanTraceState,
    SpanAttribute,
    SpanStatus,
    EventName,
    EventAttribute,
    LinkTraceState,
    LinkAttribute,
    LogBody,
    LogAttribute,
    LogSeverityText,
    LogEventName,
    MetricName,
    MetricDescription,
    MetricUnit,
    MetricMetadata,
    DatapointAttribute,
    ExemplarAttribute,
    /// An attribute or map key, wherever it stands.
    Key,
    /// Request headers, baggage and client metadata.
    Context,
    /// The process's own logs and errors.
    Own,
}

/// Number of places.
pub(crate) const COUNT: usize = Place::Own as usize + 1;

/// The names in config and in the label `place`.
pub(crate) const NAMES: [&str; 12] = [
    "resource",
    "scope",
    "span",
    "span.event",
    "span.link",
    "log",
    "metric",
    "datapoint",
    "exemplar",
    "key",
    "context",
    "self",
];

impl Place {
    pub(crate) const ALL: [Place; COUNT] = [
        Place::ResourceAttribute,
        Place::ResourceEntity,
        Place::ResourceSchemaUrl,
        Place::ScopeName,
        Place::ScopeVersion,
        Place::ScopeAttribute,
        Place::ScopeSchemaUrl,
        Place::SpanName,
        Place::SpanTraceState,
        Place::SpanAttribute,
        Place::SpanStatus,
        Place::EventName,
        Place::EventAttribute,
        Place::LinkTraceState,
        Place::LinkAttribute,
        Place::LogBody,
        Place::LogAttribute,
        Place::LogSeverityText,
        Place::LogEventName,
        Place::MetricName,
        Place::MetricDescription,
        Place::MetricUnit,
        Place::MetricMetadata,
        Place::DatapointAttribute,
        Place::ExemplarAttribute,
        Place::Key,
        Place::Context,
        Place::Own,
    ];

    /// Index of the place's name in [`NAMES`].
    pub(crate) fn group(self) -> usize {
        match self {
            Place::ResourceAttribute | Place::ResourceEntity | Place::ResourceSchemaUrl => 0,
            Place::ScopeName | Place::ScopeVersion | Place::ScopeAttribute | Place::ScopeSchemaUrl => 1,
            Place::SpanName | Place::SpanTraceState | Place::SpanAttribute | Place::SpanStatus => 2,
            Place::EventName | Place::EventAttribute => 3,
            Place::LinkTraceState | Place::LinkAttribute => 4,
            Place::LogBody | Place::LogAttribute | Place::LogSeverityText | Place::LogEventName => 5,
            Place::MetricName | Place::MetricDescription | Place::MetricUnit | Place::MetricMetadata => 6,
            Place::DatapointAttribute => 7,
            Place::ExemplarAttribute => 8,
            Place::Key => 9,
            Place::Context => 10,
            Place::Own => 11,
        }
    }

    /// The name in config and in the label `place`.
    pub fn name(self) -> &'static str {
        NAMES[self.group()]
    }

    /// Identities, which `blocked_values` do not touch.
    pub(crate) fn is_identity(self) -> bool {
        matches!(self, Place::Key | Place::MetricName | Place::MetricUnit | Place::ScopeName | Place::ScopeVersion)
    }

    /// Whether the text is the value of an attribute, which can be removed.
    pub(crate) fn is_attribute(self) -> bool {
        matches!(
            self,
            Place::ResourceAttribute
                | Place::ScopeAttribute
                | Place::SpanAttribute
                | Place::EventAttribute
                | Place::LinkAttribute
                | Place::LogAttribute
                | Place::MetricMetadata
                | Place::DatapointAttribute
                | Place::ExemplarAttribute
        )
    }

    /// A list of `key=value` members in which text cannot be masked without making the list invalid.
    pub(crate) fn is_trace_state(self) -> bool {
        matches!(self, Place::SpanTraceState | Place::LinkTraceState)
    }

    pub(crate) fn is_schema_url(self) -> bool {
        matches!(self, Place::ResourceSchemaUrl | Place::ScopeSchemaUrl)
    }
}
