//! `sluice`: command line, configuration, and the life of the process.

mod admin;
mod catalog;
mod check;
mod cli;
mod configuration;
mod diff;
mod dry_run;
mod explain;
mod exposition;
mod exposure;
mod extensions;
mod failed_start;
mod gates;
mod graph;
mod journal;
mod lints;
mod live;
mod logging;
mod plan;
mod queue;
mod reload;
mod run;
mod sampling;
mod send;
mod spine;
mod state;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser};
use sluice_config::{Args, FixedSources, Sources, SystemSources, render};

use cli::{Cli, Command, RunArgs};
use plan::Loaded;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration that runs if none is given.
const DEFAULT: &str = include_str!("default.yaml");
const DEFAULT_NAME: &str = "<default>";

/// Exit codes (experience §2).
const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const INVALID: u8 = 3;
/// No instance answers, or it refuses the token.
const UNREACHABLE: u8 = 5;
const WARNINGS: u8 = 6;
/// Another process uses the journal (delivery §3.7).
const IN_USE: u8 = 75;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.version {
        return version();
    }
    let bare = cli.upstream.config.is_empty() && cli.upstream.set.is_empty();
    match cli.command {
        Some(Command::Run(args)) => run_native(args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Validate(args)) => check::validate(&args),
        Some(Command::Explain { subject }) => explain::run(&subject),
        Some(Command::Queue(command)) => queue::run(command),
        Some(Command::Sampling(command)) => sampling::run(&command),
        Some(Command::Send(args)) => send::run(&args),
        Some(Command::Components) => components(),
        Some(Command::Featuregate { id }) => feature_gates(id.as_deref()),
        Some(Command::Config(command)) => configuration::run(command),
        Some(Command::PrintConfig(args)) => configuration::print_config(&args),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut std::io::stdout().lock());
            ExitCode::SUCCESS
        }
        Some(Command::Version) => version(),
        None if !bare => run_upstream(cli.upstream),
        None if std::io::stdin().is_terminal() => run_native(RunArgs::default()),
        None => {
            eprintln!("sluice: no command; try `sluice run` or `sluice --help`");
            ExitCode::from(USAGE)
        }
    }
}

fn feature_gates(id: Option<&str>) -> ExitCode {
    match gates::describe(id) {
        Some(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("Error: feature {:?} not found", id.unwrap_or_default());
            ExitCode::from(FAILURE)
        }
    }
}

fn version() -> ExitCode {
    println!("sluice version {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

/// Loads what the arguments name; without any, the built-in default.
fn load(args: &RunArgs) -> Loaded {
    let (arguments, sources) = sources(args);
    let trusted = exposure::Trusted::of(args.allow_insecure_listeners.as_deref());
    plan::load(&arguments, &*sources, &catalog::registries(), &trusted)
}

/// What the arguments name, and where it is read.
fn sources(args: &RunArgs) -> (Args, Box<dyn Sources>) {
    let mut named = Args { configs: args.config.clone(), sets: args.set.clone(), ..Args::default() };
    if named.configs.is_empty() {
        named.configs.push(format!("file:{DEFAULT_NAME}"));
        return (named, Box::new(FixedSources::default().file(DEFAULT_NAME, DEFAULT)));
    }
    (named, Box::new(SystemSources))
}

fn style() -> render::Style {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    render::Style { color, all: false }
}

fn print_findings(loaded: &Loaded) {
    eprint!("{}", render::human(&loaded.findings, style()));
}

fn run_native(args: RunArgs) -> ExitCode {
    let loaded = load(&args);
    print_findings(&loaded);
    if loaded.plan.is_none() {
        eprintln!("{}", render::summary(&loaded.findings, loaded.files));
        return ExitCode::from(INVALID);
    }
    if args.config.is_empty() {
        welcome();
    }
    run(args, loaded)
}

fn run_upstream(args: RunArgs) -> ExitCode {
    let loaded = load(&args);
    print_findings(&loaded);
    if loaded.plan.is_none() {
        eprintln!("Error: invalid configuration: {}", check::first_error(&loaded.findings));
        return ExitCode::from(FAILURE);
    }
    run(args, loaded)
}

/// What the first run shows: where to send, and how to go on.
fn welcome() {
    eprintln!(
        "sluice {} · no config: OTLP in, console out  (`sluice config defaults` prints it)\n\n  \
         OTLP gRPC   127.0.0.1:4317      OTLP HTTP   127.0.0.1:4318\n\n  \
         Try:   sluice send traces           in another terminal\n         \
         OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 your-app\n\n  \
         waiting for data…                                   ctrl-c to stop\n",
        env!("CARGO_PKG_VERSION")
    );
}

fn run(args: RunArgs, loaded: Loaded) -> ExitCode {
    let Some(plan) = loaded.plan else { return ExitCode::from(INVALID) };
    let gates = match gates::parse(&args.feature_gates) {
        Ok(gates) => gates,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(FAILURE);
        }
    };
    if args.dry_run {
        print!("{}", dry_run::describe(&plan));
        return ExitCode::SUCCESS;
    }
    logging::install(&plan.service.telemetry.logs);
    gates.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    sluice_net::tls::install_default();
    let data_dir = args.data_dir.clone();
    let options = run::Options { admin: args.admin.unwrap_or_default(), data_dir, gates: gates.gates };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(FAILURE);
        }
    };
    let ports = plan.ports.clone();
    let outcome = runtime.block_on(run::run(plan, Arc::new(move || load(&args)), options));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(finding) = failed_start::explain(&error, &ports) {
                eprint!("{}", render::human(&[finding], style()));
            }
            eprintln!("Error: {error:#}");
            ExitCode::from(if spine::is_in_use(&error) { IN_USE } else { FAILURE })
        }
    }
}

/// Upstream's YAML list, with both the canonical names and their aliases.
fn components() -> ExitCode {
    use sluice_config::Kind;
    use sluice_pipeline::Signal;
    use sluice_pipeline::factory::Meta;
    let all = catalog::registries();
    let section = |kind: Kind, metas: Vec<&Meta>| {
        println!("{}:", kind.section());
        for meta in metas {
            println!("  - name: {}", meta.name);
            let aliases = sluice_config::old_names(kind, meta.name);
            if !aliases.is_empty() {
                println!("    aliases: [{}]", aliases.join(", "));
            }
            println!("    module: sluice {}", env!("CARGO_PKG_VERSION"));
            println!("    stability:");
            for signal in Signal::ALL {
                if let Some(stability) = meta.stability[signal as usize] {
                    println!("      {signal}: {}", stability.name());
                }
            }
        }
    };
    println!("buildinfo:\n  command: sluice\n  description: Sluice\n  version: {}", env!("CARGO_PKG_VERSION"));
    section(Kind::Receiver, all.receivers.metas().collect());
    section(Kind::Processor, all.processors.metas().collect());
    section(Kind::Exporter, all.exporters.metas().collect());
    section(Kind::Connector, all.connectors.metas().collect());
    section(Kind::Extension, all.extensions.metas().collect());
    println!("providers:\n  - scheme: env\n  - scheme: file\n  - scheme: yaml\nconverters: []");
    ExitCode::SUCCESS
}
