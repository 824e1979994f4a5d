//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::admin::Address;
use crate::send::SendArgs;

/// An OpenTelemetry-native telemetry pipeline collector.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Upstream's form: flags without a subcommand run the collector.
    #[command(flatten)]
    pub upstream: RunArgs,

    /// Print the version.
    #[arg(long, short = 'v')]
    pub version: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run pipelines.
    #[command(
        after_help = "Examples:\n  sluice run\n  sluice run -c gateway.yaml --set service.telemetry.logs.level=debug"
    )]
    Run(RunArgs),
    /// Check a configuration: every error at once, each with file, line and column.
    #[command(
        after_help = "Examples:\n  sluice check -c gateway.yaml\n  sluice check -c base.yaml -c site.yaml -o json"
    )]
    Check(CheckArgs),
    /// Upstream's form of `check`: prints nothing and exits 0 if the configuration is fine, else exits 1.
    Validate(RunArgs),
    /// Explain a code of a diagnostic, or list the fields of a component.
    #[command(after_help = "Examples:\n  sluice explain E0201\n  sluice explain otlp_grpc.sending_queue")]
    Explain {
        /// A code, a component type, or a field as `type.field`.
        #[arg(value_name = "CODE|COMPONENT[.FIELD]")]
        subject: String,
    },
    /// Show what waits for each destination, and its dead letters; send those again or drop them.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Show what sampling policies keep, and why.
    #[command(subcommand)]
    Sampling(SamplingCommand),
    /// Send telemetry to try things out: a load of one signal, or a scenario of signals that belong together.
    #[command(
        after_help = "Examples:\n  sluice send traces --rate 1000 --duration 10s\n  sluice send --scenario shop --seconds 60 --secrets"
    )]
    Send(Box<SendArgs>),
    /// List the components of this build.
    Components,
    /// List upstream's feature gates and what they do here; or one of them.
    #[command(alias = "features")]
    Featuregate {
        /// Its id.
        #[arg(value_name = "GATE")]
        id: Option<String>,
    },
    /// Show configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Upstream's form of `config print`.
    #[command(alias = "print-initial-config")]
    PrintConfig(PrintConfigArgs),
    /// Print a completion script.
    #[command(
        after_help = "Examples:\n  source <(sluice completions bash)\n  sluice completions fish > ~/.config/fish/completions/sluice.fish"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
}

/// `sluice config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration that `sluice run` uses if none is given.
    Defaults,
    /// Print the configuration as it is read: merged, expanded, secrets hidden.
    #[command(
        after_help = "Examples:\n  sluice config print -c gateway.yaml\n  sluice config print -c base.yaml -c site.yaml --origin --defaults"
    )]
    Print(ConfigPrintArgs),
    /// Print the JSON Schema of the configuration, for editors.
    #[command(
        after_help = "Examples:\n  sluice config schema > sluice.schema.json\n  (first line of a configuration) # yaml-language-server: $schema=sluice.schema.json"
    )]
    Schema,
}

/// `sluice config print`.
#[derive(Debug, Args)]
pub struct ConfigPrintArgs {
    #[command(flatten)]
    pub source: RunArgs,

    /// Where each value was written.
    #[arg(long)]
    pub origin: bool,

    /// With the defaults of what is not written.
    #[arg(long)]
    pub defaults: bool,

    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "yaml")]
    pub output: TreeFormat,

    /// Show secrets.
    #[arg(long)]
    pub unredacted: bool,
}

/// `sluice print-config`.
#[derive(Debug, Args)]
pub struct PrintConfigArgs {
    #[command(flatten)]
    pub source: RunArgs,

    #[arg(long, default_value = "redacted")]
    pub mode: PrintConfigMode,

    #[arg(long, default_value = "yaml")]
    pub format: TreeFormat,

    /// Check the configuration first.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub validate: bool,
}

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrintConfigMode {
    Redacted,
    Unredacted,
}

/// Formats of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TreeFormat {
    Yaml,
    Json,
}

/// `sluice sampling`.
#[derive(Debug, Subcommand)]
pub enum SamplingCommand {
    /// Why each trace of a recording is kept or not; without a recording, what each policy needs and keeps.
    #[command(
        after_help = "Examples:\n  sluice sampling explain -c gateway.yaml\n  sluice sampling explain -c gateway.yaml traces.jsonl\n  sluice sampling explain -c gateway.yaml traces.jsonl --trace-id 5b8efff798038103d269b633813fc60c --json"
    )]
    Explain(SamplingExplain),
}

/// `sluice sampling explain`.
#[derive(Debug, Args)]
pub struct SamplingExplain {
    /// OTLP/JSON, one document or one a line, or an OTLP protobuf request.
    pub recording: Option<PathBuf>,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Whose policies: a component's id. Default: the only one that decides over traces.
    #[arg(long, value_name = "ID")]
    pub component: Option<String>,

    /// Only this trace.
    #[arg(long, value_name = "HEX")]
    pub trace_id: Option<String>,

    /// What a protobuf recording holds (default: traces), or what to read of a recording in JSON (default: all).
    #[arg(long, value_name = "SIGNAL")]
    pub signal: Option<RecordedSignal>,

    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: Output,

    /// The same as `-o json`.
    #[arg(long)]
    pub json: bool,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordedSignal {
    Traces,
    Logs,
}

impl From<RecordedSignal> for sluice_pipeline::Signal {
    fn from(signal: RecordedSignal) -> Self {
        match signal {
            RecordedSignal::Traces => sluice_pipeline::Signal::Traces,
            RecordedSignal::Logs => sluice_pipeline::Signal::Logs,
        }
    }
}

/// `sluice queue`.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits for each destination, or for one, with its dead letters.
    #[command(after_help = "Examples:\n  sluice queue list\n  sluice queue list otlp_grpc/main -o json")]
    List(QueueList),
    /// Show dead letters: why they are here and what is in them.
    #[command(
        after_help = "Examples:\n  sluice queue peek otlp_grpc/main --id 7\n  sluice queue peek otlp_grpc/main --id 7 -o otlp > letter.pb"
    )]
    Peek(QueuePeek),
    /// Send dead letters again: each is appended for its destination, and then removed.
    #[command(
        after_help = "Examples:\n  sluice queue replay otlp_grpc/main --id 7\n  sluice queue replay otlp_grpc/main --all --yes"
    )]
    Replay(QueueWork),
    /// Drop dead letters for good.
    #[command(
        after_help = "Examples:\n  sluice queue drop otlp_grpc/main --id 7\n  sluice queue drop otlp_grpc/main --all --yes"
    )]
    Drop(QueueWork),
}

/// `sluice queue list`.
#[derive(Debug, Args)]
pub struct QueueList {
    /// Only this one, and its dead letters. An exporter's id.
    pub dest: Option<String>,

    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: Output,

    #[command(flatten)]
    pub from: InstanceArgs,
}

/// `sluice queue peek`.
#[derive(Debug, Args)]
pub struct QueuePeek {
    /// An exporter's id.
    pub dest: String,

    /// Only this letter.
    #[arg(long, value_name = "N")]
    pub id: Option<u64>,

    /// How many, oldest first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with = "id")]
    pub number: usize,

    /// Text for people, OTLP/JSON, or protobuf as it would have been sent.
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "text")]
    pub output: PeekOutput,

    #[command(flatten)]
    pub from: InstanceArgs,
}

/// `sluice queue replay` and `drop`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["id", "all"])))]
pub struct QueueWork {
    /// An exporter's id.
    pub dest: String,

    /// This letter.
    #[arg(long, value_name = "N")]
    pub id: Option<u64>,

    /// All letters that are there now.
    #[arg(long)]
    pub all: bool,

    /// Do not ask.
    #[arg(long)]
    pub yes: bool,

    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: Output,

    #[command(flatten)]
    pub from: InstanceArgs,
}

/// Which instance. Default: the one whose admin socket is in the state directory.
#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// Its admin socket.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub socket: Option<PathBuf>,

    /// Where its admin API listens, such as http://127.0.0.1:7070.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The file that holds its token. Default: SLUICE_ADMIN_TOKEN, or admin.token in the state directory.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Its state directory, or the directory of its journal. Where no instance runs, the journal is opened itself.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where a configuration comes from that is only read.
#[derive(Debug, Default, Args)]
pub struct SourceArgs {
    /// Configuration source: a path, or `file:`, `env:` or `yaml:`. Several are merged from left to right.
    #[arg(long, short = 'c', value_name = "SRC", required = true)]
    pub config: Vec<String>,

    /// Set one value, as `key.path=value`.
    #[arg(long, value_name = "K=V")]
    pub set: Vec<String>,
}

/// Where the configuration comes from.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Configuration source: a path, or `file:`, `env:` or `yaml:`. Several are merged from left to right.
    #[arg(long, short = 'c', value_name = "SRC")]
    pub config: Vec<String>,

    /// Set one value, as `key.path=value`.
    #[arg(long, value_name = "K=V")]
    pub set: Vec<String>,

    /// Upstream's feature gates, `a,-b,+c`. Unknown ones are accepted with a warning.
    #[arg(long, value_name = "GATES")]
    pub feature_gates: Vec<String>,

    /// Listeners that others can reach may do without TLS and authentication: all, or those of the components named.
    #[arg(long, value_name = "ID,…", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "")]
    pub allow_insecure_listeners: Option<Vec<String>>,

    /// Check and plan, but start nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Where the admin API listens, on loopback, besides its socket; `off` for neither. Default: 127.0.0.1:7070 if it is free.
    #[arg(long, value_name = "ADDR|off")]
    pub admin: Option<Address>,

    /// The state directory: admin socket, token, and the journal unless configured elsewhere.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `sluice check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub source: RunArgs,

    /// Format of the findings.
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: CheckOutput,

    /// How many instances will run with this configuration: warns of what needs all of a trace in one of them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replicas: u32,

    /// Exit with 6 if there are only warnings.
    #[arg(long)]
    pub strict: bool,

    /// Show all findings, not only the first 100.
    #[arg(long)]
    pub all: bool,
}

/// Formats of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckOutput {
    /// Source lines and carets.
    Human,
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Human,
    Json,
}

/// Formats of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PeekOutput {
    Text,
    Json,
    Otlp,
}
