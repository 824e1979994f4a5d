//! How components are made: a factory per type, a registry per kind.
//!
//! A component's folder exports one factory. Its config is plain data with defaults; decoding and validating it needs
//! nothing but the configuration, building it gets the [`Environment`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_config::shape::Shape;
use sluice_config::{Diagnostic, Kind, Node, Problems};
use sluice_pdata::pass::Reason;

use crate::Signal;
use crate::component::{Environment, Stability};
use crate::connector::{Between, Connector};
use crate::error::Error;
use crate::exporter::ExporterKind;
use crate::extension::Extension;
use crate::listening::Listening;
use crate::processor::Processor;
use crate::receiver::Receiver;

/// A config that can say what is wrong with it.
pub trait Validate {
    /// Reports every problem, each at the path of its field. `at` is the path of this block within the component, empty at
    /// the top; join fields to it with [`field`]. Texts are upstream's where upstream has one.
    fn validate(&self, at: &str, problems: &mut Problems<'_>);
}

/// The path of a field of the block at `at`.
pub fn field(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}::{name}") }
}

/// A config without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoConfig {}

impl Validate for NoConfig {
    fn validate(&self, _at: &str, _problems: &mut Problems<'_>) {}
}

/// One of the five kinds, as a type.
pub trait ComponentKind: 'static {
    const KIND: Kind;
    /// What a factory of this kind builds.
    type Built;
    /// What it is given.
    type Environment;
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $built:ty, $environment:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl ComponentKind for $name {
            const KIND: Kind = Kind::$kind;
            type Built = $built;
            type Environment = $environment;
        }
    };
}

kind!(
    /// One instance per id.
    Receivers, Receiver, Arc<dyn Receiver>, Environment
);
kind!(
    /// One instance per id and pipeline; of a stage, as its [`Meta`] says.
    Processors, Processor, Processor, Environment
);
kind!(
    /// One instance per id.
    Exporters, Exporter, ExporterKind, Environment
);
kind!(
    /// One instance per id and pair of signals.
    Connectors, Connector, Connector, (Environment, Between)
);
kind!(
    /// One instance per id.
    Extensions, Extension, Arc<dyn Extension>, Environment
);

/// Facts about a component type.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// The canonical type.
    pub name: &'static str,
    /// How far each signal can be relied on (traces, metrics, logs); `None` where the signal is not supported. For
    /// extensions the first counts.
    pub stability: [Option<Stability>; 3],
    /// Reasons for which it drops items, beyond [`crate::ledger::reasons::CORE`].
    pub reasons: &'static [Reason],
    /// A processor after which a batch may be kept (delivery §2).
    pub redacts: bool,
    /// A processor that holds back (delivery §1.1, step 3 of `auto`).
    pub holds_back: bool,
    /// How many instances of a processor there are that is a stage; `None` for one that is none.
    pub stage: Option<Instances>,
    /// What a connector makes of what: pairs of signals. Empty for all pairs.
    pub pairs: &'static [(Signal, Signal)],
}

/// [`Meta::pairs`] of a connector that changes no signal.
pub const SAME_SIGNAL: &[(Signal, Signal)] =
    &[(Signal::Traces, Signal::Traces), (Signal::Metrics, Signal::Metrics), (Signal::Logs, Signal::Logs)];

/// Whom an instance of a stage serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// Each pipeline that names it has its own.
    PerPipeline,
    /// One serves all pipelines that name it: they are its ports (correlation §1).
    Shared,
}

impl Meta {
    /// A type that does all three signals equally well, and nothing special.
    pub const fn new(name: &'static str, stability: Stability) -> Self {
        Meta {
            name,
            stability: [Some(stability); 3],
            reasons: &[],
            redacts: false,
            holds_back: false,
            stage: None,
            pairs: &[],
        }
    }

    /// Whether a connector of this type leads from one signal to the other.
    pub fn leads(&self, from: Signal, to: Signal) -> bool {
        self.stability[from as usize].is_some() && (self.pairs.is_empty() || self.pairs.contains(&(from, to)))
    }
}

/// Makes components of one type.
pub trait Factory<K: ComponentKind>: Send + Sync + 'static {
    /// The config: `#[derive(Deserialize, Serialize, Default)] #[serde(default, deny_unknown_fields)]`, fields as upstream's.
    type Config: DeserializeOwned + Serialize + Default + Validate + Send + Sync + 'static;

    fn meta(&self) -> Meta;

    /// Request headers that a component of this config reads.
    fn metadata_keys(&self, _config: &Self::Config) -> Vec<String> {
        Vec::new()
    }

    /// The ports that a component of this config opens.
    fn listeners(&self, _config: &Self::Config) -> Vec<Listening> {
        Vec::new()
    }

    /// Builds without starting: no sockets, no files but those it must read to know its config.
    fn build(&self, config: &Self::Config, environment: K::Environment) -> Result<K::Built, Error>;
}

/// A decoded and validated config, bound to its factory.
pub struct Configured<K: ComponentKind> {
    /// Request headers that the component reads.
    pub metadata_keys: Vec<String>,
    /// The ports that it opens.
    pub listeners: Vec<Listening>,
    /// Findings that do not prevent it from running.
    pub warnings: Vec<Diagnostic>,
    build: Build<K>,
}

type Build<K> =
    Box<dyn Fn(<K as ComponentKind>::Environment) -> Result<<K as ComponentKind>::Built, Error> + Send + Sync>;

impl<K: ComponentKind> Configured<K> {
    /// Builds an instance; may be called for several pipelines.
    pub fn build(&self, environment: K::Environment) -> Result<K::Built, Error> {
        (self.build)(environment)
    }
}

type Decode<K> = Box<dyn Fn(&Node) -> Result<Configured<K>, Vec<Diagnostic>> + Send + Sync>;

struct Type<K: ComponentKind> {
    meta: Meta,
    decode: Decode<K>,
    shape: fn() -> Shape,
    whole: fn(&Node) -> Option<Node>,
}

/// The component types of one kind.
pub struct Registry<K: ComponentKind> {
    types: BTreeMap<&'static str, Type<K>>,
}

impl<K: ComponentKind> Default for Registry<K> {
    fn default() -> Self {
        Registry { types: BTreeMap::new() }
    }
}

impl<K: ComponentKind> Registry<K> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type. The last one of a name counts.
    pub fn register<F: Factory<K>>(&mut self, factory: F) -> &mut Self {
        let factory = Arc::new(factory);
        let meta = factory.meta();
        let decode = move |node: &Node| {
            let config: Arc<F::Config> = Arc::new(sluice_config::decode(node)?);
            let mut problems = Problems::new(node);
            config.validate("", &mut problems);
            let warnings = problems.finish()?;
            let metadata_keys = factory.metadata_keys(&config);
            let listeners = factory.listeners(&config);
            let factory = Arc::clone(&factory);
            let build = move |environment| factory.build(&config, environment);
            Ok(Configured { metadata_keys, listeners, warnings, build: Box::new(build) as Build<K> })
        };
        let whole = sluice_config::encode::whole::<F::Config>;
        self.types.insert(meta.name, Type { meta, decode: Box::new(decode), shape: Shape::of::<F::Config>, whole });
        self
    }

    /// The canonical names, sorted: the catalogue against which written types are resolved.
    pub fn names(&self) -> Vec<&'static str> {
        self.types.keys().copied().collect()
    }

    /// All types, by name.
    pub fn metas(&self) -> impl Iterator<Item = &Meta> {
        self.types.values().map(|of| &of.meta)
    }

    /// Facts about a type.
    pub fn meta(&self, name: &str) -> Option<&Meta> {
        self.types.get(name).map(|of| &of.meta)
    }

    /// The fields of a type's config.
    pub fn shape(&self, name: &str) -> Option<Shape> {
        self.types.get(name).map(|of| (of.shape)())
    }

    /// A config of this type with all its defaults; `None` for an unknown type, and for one that does not decode.
    pub fn whole(&self, name: &str, node: &Node) -> Option<Node> {
        self.types.get(name).and_then(|of| (of.whole)(node))
    }

    /// Decodes and validates the config of a component of this type; `None` for an unknown type.
    pub fn decode(&self, name: &str, node: &Node) -> Option<Result<Configured<K>, Vec<Diagnostic>>> {
        self.types.get(name).map(|of| (of.decode)(node))
    }
}

/// Every component type of a build.
#[derive(Default)]
pub struct Registries {
    pub receivers: Registry<Receivers>,
    pub processors: Registry<Processors>,
    pub exporters: Registry<Exporters>,
    pub connectors: Registry<Connectors>,
    pub extensions: Registry<Extensions>,
}

impl Registries {
    /// The fields of the config of a type.
    pub fn shape(&self, kind: Kind, name: &str) -> Option<Shape> {
        match kind {
            Kind::Receiver => self.receivers.shape(name),
            Kind::Processor => self.processors.shape(name),
            Kind::Exporter => self.exporters.shape(name),
            Kind::Connector => self.connectors.shape(name),
            Kind::Extension => self.extensions.shape(name),
        }
    }

    /// A config of a type with all its defaults; `None` for an unknown type, and for one that does not decode.
    pub fn whole(&self, kind: Kind, name: &str, node: &Node) -> Option<Node> {
        match kind {
            Kind::Receiver => self.receivers.whole(name, node),
            Kind::Processor => self.processors.whole(name, node),
            Kind::Exporter => self.exporters.whole(name, node),
            Kind::Connector => self.connectors.whole(name, node),
            Kind::Extension => self.extensions.whole(name, node),
        }
    }

    /// Drop reasons of all components, for [`crate::ledger::Ledger::new`].
    pub fn reasons(&self) -> Vec<Reason> {
        let metas = self.receivers.metas().chain(self.processors.metas()).chain(self.exporters.metas());
        let metas = metas.chain(self.connectors.metas()).chain(self.extensions.metas());
        metas.flat_map(|meta| meta.reasons).copied().collect()
    }
}

#[cfg(test)]
mod tests;
