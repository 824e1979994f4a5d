//! `service::delivery`: when a sender is told that its data is safe (delivery §1).

use serde::{Deserialize, Serialize};

use crate::decode::GoDuration;

/// The acknowledgement mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// The strongest mode the surroundings allow, decided once at start.
    #[default]
    Auto,
    /// After the data is on disk.
    Durable,
    /// After every lossless destination has confirmed.
    Exported,
    /// After the data is in the bounded in-memory log.
    Memory,
}

impl Ack {
    /// The word in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Durable => "durable",
            Self::Exported => "exported",
            Self::Memory => "memory",
        }
    }
}

/// `service::delivery`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Mode of every pipeline that has none of its own.
    pub ack: Ack,
    /// Id of the journal extension, if named.
    pub journal: Option<String>,
    /// A result below `durable` is a start-up error.
    pub strict: bool,
    /// How long a request of mode `exported` is held before it is refused. Default 8 s.
    pub exported_timeout: GoDuration,
    /// A journal that was chosen explicitly may be on a file system that ends with the machine or the container.
    pub allow_volatile: bool,
    /// The journal may be on a network file system.
    pub allow_network_fs: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            ack: Ack::Auto,
            journal: None,
            strict: false,
            exported_timeout: GoDuration::from_secs(8),
            allow_volatile: false,
            allow_network_fs: false,
        }
    }
}

/// `service::pipelines::<id>::delivery`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PipelineDelivery {
    /// Mode of this pipeline.
    pub(super) ack: Option<Ack>,
}
