//! The command line.

use clap::{Args, Parser, Subcommand};

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
    /// List the components of this build.
    Components,
    /// Show configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version.
    Version,
}

/// `sluice config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration that `sluice run` uses if none is given.
    Defaults,
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

    /// Check and plan, but start nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `sluice check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub source: RunArgs,

    /// Format of the findings.
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: Output,

    /// Exit with 6 if there are only warnings.
    #[arg(long)]
    pub strict: bool,
}

/// Formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Human,
    Json,
}
