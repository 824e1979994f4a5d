//! Fields of the processor (correlation §2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluice_config::tree::Node;
use sluice_config::{GoDuration, Problems};

use crate::sampling::{PolicyConfig, PolicyOptions, RuleConfig, Sampler};
use crate::trace_window::{
    self, Attach, Deciding, ExemplarSettings, LogField, LogHold, Settings, SpanField, TaintSettings,
};

/// `processors: correlate:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What it does with traces.
    pub mode: Mode,
    /// Hard limit, accounted by the byte.
    pub memory_limit_mib: u64,
    /// Spans that it knows at a time.
    pub max_live_spans: u64,
    /// How long a verdict is known at least.
    pub verdict_retention: GoDuration,
    /// `annotate` only.
    pub hold: Option<HoldConfig>,
    /// Size of a trace, beyond which it is decided on what is known.
    pub trace: TraceConfig,
    /// Whether repeated spans are left out.
    pub dedupe: Dedupe,
    /// What logs and spans are told of each other.
    pub attach: AttachConfig,
    /// What becomes of exemplars.
    pub exemplars: ExemplarsConfig,
    /// Secrets that `redaction` found are removed from the logs of the same trace.
    pub taint: TaintConfig,
    /// Required in `decide`, forbidden in `annotate`.
    pub sampling: Option<SamplingConfig>,
}

/// What it does with traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Joins, and lets everything go.
    #[default]
    Annotate,
    /// Holds all until the trace's verdict.
    Decide,
}

/// `hold:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldConfig {
    /// How long a span waits for logs.
    pub span: GoDuration,
    /// How long a log waits for its span.
    pub log: LogHoldConfig,
}

/// `hold::log:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogHoldConfig {
    /// Whether the wait follows how late spans come.
    pub mode: HoldMode,
    /// Longest wait.
    pub max: GoDuration,
    /// By name of a severity: TRACE, DEBUG, INFO, WARN, ERROR, FATAL.
    pub severity: BTreeMap<String, GoDuration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldMode {
    #[default]
    Adaptive,
    Fixed,
}

/// `trace:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Bytes of a trace.
    pub max_bytes: u64,
    /// Spans of a trace.
    pub max_spans: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    #[default]
    None,
    ExactSpans,
}

/// `attach:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttachConfig {
    /// Onto logs.
    pub log: FieldsConfig,
    /// Onto spans.
    pub span: FieldsConfig,
}

/// `attach::log:` and `attach::span:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldsConfig {
    /// `default`, or a list.
    pub fields: Option<Node>,
    /// 512 for logs, 768 for spans.
    pub max_bytes: Option<u64>,
}

/// `exemplars:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExemplarsConfig {
    /// Exemplars whose trace has no verdict.
    pub unknown: Unknown,
    /// Exemplars of delta points.
    pub delta: Delta,
    /// How long a point waits for the verdicts of its exemplars.
    pub max_defer: GoDuration,
    /// Give points that have none an exemplar of a kept trace.
    pub synthesize: Synthesize,
    /// Refused: not available yet.
    pub kept_topic: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// Remove in `decide`, else keep.
    #[default]
    Auto,
    Keep,
    Remove,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Delta {
    #[default]
    Strip,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Synthesize {
    #[default]
    None,
    Histogram,
}

/// `taint:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaintConfig {
    /// Switches it on.
    pub enabled: bool,
    /// Values that are remembered.
    pub max_literals: u64,
    /// What happens to the logs of a trace whose values are no longer known.
    pub on_lost: OnLost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    #[default]
    RedactBody,
    Drop,
    Pass,
}

/// `sampling:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingConfig {
    /// From the first span of a trace to its decision.
    pub decision_wait: GoDuration,
    /// From its root span; 0: that of the first span counts alone.
    pub decision_wait_after_root_received: GoDuration,
    /// Decide and count, and keep everything.
    pub dry_run: bool,
    /// As those of `tail_sampling`.
    pub policies: Vec<PolicyConfig>,
    /// Rules, of which the first that matches counts.
    pub rules: Vec<RuleConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            mode: Mode::Annotate,
            memory_limit_mib: 256,
            max_live_spans: 1_000_000,
            verdict_retention: GoDuration::from_secs(180),
            hold: None,
            trace: TraceConfig::default(),
            dedupe: Dedupe::None,
            attach: AttachConfig::default(),
            exemplars: ExemplarsConfig::default(),
            taint: TaintConfig::default(),
            sampling: None,
        }
    }
}

impl Default for HoldConfig {
    fn default() -> Self {
        HoldConfig { span: GoDuration::from_millis(1500), log: LogHoldConfig::default() }
    }
}

impl Default for LogHoldConfig {
    fn default() -> Self {
        LogHoldConfig { mode: HoldMode::Adaptive, max: GoDuration::from_secs(5), severity: BTreeMap::new() }
    }
}

impl Default for TraceConfig {
    fn default() -> Self {
        TraceConfig { max_bytes: 4 << 20, max_spans: 32_000 }
    }
}

impl Default for ExemplarsConfig {
    fn default() -> Self {
        ExemplarsConfig {
            unknown: Unknown::Auto,
            delta: Delta::Strip,
            max_defer: GoDuration::from_secs(120),
            synthesize: Synthesize::None,
            kept_topic: String::new(),
        }
    }
}

impl Default for TaintConfig {
    fn default() -> Self {
        TaintConfig { enabled: false, max_literals: 8, on_lost: OnLost::RedactBody }
    }
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig {
            decision_wait: GoDuration::from_secs(30),
            decision_wait_after_root_received: GoDuration::from_millis(5500),
            dry_run: false,
            policies: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// Severity numbers of a severity's name.
pub(super) fn severity(name: &str) -> Option<(u8, u8)> {
    let at = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].iter().position(|known| *known == name)?;
    let low = at as u8 * 4 + 1;
    Some((low, low + 3))
}

/// Reads a list of fields: `default`, or names.
fn fields<F: Copy + PartialEq>(
    node: Option<&Node>,
    default: &[F],
    named: impl Fn(&str) -> Option<F>,
) -> Result<Vec<F>, String> {
    let Some(node) = node else { return Ok(default.to_vec()) };
    if node.text() == Some("default") {
        return Ok(default.to_vec());
    }
    let list = node.as_seq().ok_or("`fields` is `default` or a list of names")?;
    let mut found = Vec::new();
    for name in list {
        let name = name.text().unwrap_or_default();
        let field = named(name).ok_or_else(|| format!("unknown field {name:?}"))?;
        if !found.contains(&field) {
            found.push(field);
        }
    }
    Ok(found)
}

impl Config {
    /// The lists of what is attached.
    pub(super) fn attach(&self) -> Result<Attach, (&'static str, String)> {
        let log = fields(self.attach.log.fields.as_ref(), &LogField::DEFAULT, LogField::named);
        let span = fields(self.attach.span.fields.as_ref(), &SpanField::DEFAULT, SpanField::named);
        Ok(Attach {
            log: log.map_err(|text| ("attach::log::fields", text))?,
            log_max_bytes: size(self.attach.log.max_bytes.unwrap_or(512)),
            span: span.map_err(|text| ("attach::span::fields", text))?,
            span_max_bytes: size(self.attach.span.max_bytes.unwrap_or(768)),
        })
    }

    /// What the engine is told. What is wrong in a config that was not validated reads as the default.
    pub fn settings(&self) -> Settings {
        let hold = self.hold.clone().unwrap_or_default();
        let severities = hold.log.severity.iter();
        let severity = severities.filter_map(|(name, hold)| severity(name).map(|(low, high)| (low, high, **hold)));
        let default = Settings::default();
        let decides = self.mode == Mode::Decide;
        let keep_unknown = match self.exemplars.unknown {
            Unknown::Auto => !decides,
            Unknown::Keep => true,
            Unknown::Remove => false,
        };
        let sampling = self.sampling.clone().unwrap_or_default();
        Settings {
            decide: decides.then_some(Deciding {
                wait: *sampling.decision_wait,
                wait_after_root: *sampling.decision_wait_after_root_received,
                dry_run: sampling.dry_run,
            }),
            memory_limit: size(self.memory_limit_mib.saturating_mul(1 << 20)),
            max_live_spans: size(self.max_live_spans),
            verdict_retention: *self.verdict_retention,
            hold_span: *hold.span,
            hold_log: LogHold {
                adaptive: hold.log.mode == HoldMode::Adaptive,
                max: *hold.log.max,
                severity: severity.collect(),
            },
            trace_max_bytes: size(self.trace.max_bytes),
            trace_max_spans: size(self.trace.max_spans),
            dedupe: self.dedupe == Dedupe::ExactSpans,
            attach: self.attach().unwrap_or_else(|_| default.attach.clone()),
            exemplars: ExemplarSettings {
                keep_unknown,
                max_defer: *self.exemplars.max_defer,
                synthesize: self.exemplars.synthesize == Synthesize::Histogram,
            },
            ..default
        }
    }

    /// What is removed from traces; `None` if nothing is.
    pub(super) fn taints(&self) -> Option<TaintSettings> {
        let on_lost = match self.taint.on_lost {
            OnLost::RedactBody => trace_window::OnLost::RedactBody,
            OnLost::Drop => trace_window::OnLost::Drop,
            OnLost::Pass => trace_window::OnLost::Pass,
        };
        let settings = TaintSettings { max_literals: size(self.taint.max_literals), on_lost };
        self.taint.enabled.then_some(settings)
    }

    /// Compiles policies or rules. What is wrong goes to `problems`.
    pub fn sampler(&self, problems: &mut Problems<'_>) -> Option<Sampler> {
        let sampling = self.sampling.as_ref()?;
        Some(if sampling.rules.is_empty() {
            Sampler::from_policies(&sampling.policies, PolicyOptions::default(), "sampling::policies", problems)
        } else {
            Sampler::from_rules(&sampling.rules, "sampling::rules", problems)
        })
    }
}

/// A size that this machine can address.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
