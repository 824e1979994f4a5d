//! Contexts: what an expression runs on and which outer things it sees (ottl.md §3.1).

/// The kind of item an expression runs on, and the level a path reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    Log,
    DataPoint,
    Metric,
    SpanEvent,
    Span,
    Scope,
    Resource,
    /// What is known of the request. Visible everywhere; nothing runs on it.
    Otelcol,
}

impl Context {
    /// Every context, the one that inference prefers first.
    pub const ALL: [Context; 8] = [
        Context::Log,
        Context::DataPoint,
        Context::Metric,
        Context::SpanEvent,
        Context::Span,
        Context::Scope,
        Context::Resource,
        Context::Otelcol,
    ];

    /// The name in paths and configs.
    pub fn name(self) -> &'static str {
        match self {
            Context::Log => "log",
            Context::DataPoint => "datapoint",
            Context::Metric => "metric",
            Context::SpanEvent => "spanevent",
            Context::Span => "span",
            Context::Scope => "scope",
            Context::Resource => "resource",
            Context::Otelcol => "otelcol",
        }
    }

    /// The context of that name; `instrumentation_scope` is the old name of `scope`.
    pub fn from_name(name: &str) -> Option<Context> {
        if name == "instrumentation_scope" {
            return Some(Context::Scope);
        }
        Context::ALL.into_iter().find(|context| context.name() == name)
    }

    /// The contexts whose paths an expression on this one may use: itself, then outwards.
    pub fn visible(self) -> &'static [Context] {
        use Context::*;
        match self {
            Log => &[Log, Scope, Resource, Otelcol],
            DataPoint => &[DataPoint, Metric, Scope, Resource, Otelcol],
            Metric => &[Metric, Scope, Resource, Otelcol],
            SpanEvent => &[SpanEvent, Span, Scope, Resource, Otelcol],
            Span => &[Span, Scope, Resource, Otelcol],
            Scope => &[Scope, Resource, Otelcol],
            Resource => &[Resource, Otelcol],
            Otelcol => &[Otelcol],
        }
    }

    /// Whether an expression on this context may use paths of `other`.
    pub fn sees(self, other: Context) -> bool {
        self.visible().contains(&other)
    }

    pub(crate) fn documentation(self) -> String {
        let root = "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl/contexts";
        format!("{root}/ottl{}", self.name())
    }

    /// The path prefixes that are valid here, as error texts list them.
    pub(crate) fn prefixes(self) -> impl Iterator<Item = &'static str> {
        self.visible().iter().flat_map(|context| {
            let old = (*context == Context::Scope).then_some("instrumentation_scope");
            std::iter::once(context.name()).chain(old)
        })
    }
}

/// A set of contexts, such as the levels that an expression reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextSet(u8);

impl ContextSet {
    /// Adds one.
    pub fn insert(&mut self, context: Context) {
        self.0 |= 1 << context as u8;
    }

    /// Whether it is in the set.
    pub fn contains(self, context: Context) -> bool {
        self.0 & (1 << context as u8) != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either set.
    #[must_use]
    pub fn union(self, other: ContextSet) -> ContextSet {
        ContextSet(self.0 | other.0)
    }

    /// The members, innermost first.
    pub fn iter(self) -> impl Iterator<Item = Context> {
        Context::ALL.into_iter().filter(move |context| self.contains(*context))
    }
}

impl FromIterator<Context> for ContextSet {
    fn from_iter<I: IntoIterator<Item = Context>>(contexts: I) -> Self {
        let mut set = ContextSet::default();
        contexts.into_iter().for_each(|context| set.insert(context));
        set
    }
}
