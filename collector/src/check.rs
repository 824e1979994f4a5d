//! `sluice check` and upstream's `validate`: everything that is wrong with a configuration, in one pass, in the format
//! that the reader wants (experience §5).

use std::io::Write as _;
use std::process::ExitCode;

use sluice_config::{Diagnostic, Severity, render, sort};

use crate::cli::{CheckArgs, CheckOutput, RunArgs};
use crate::plan::Loaded;
use crate::{FAILURE, INVALID, WARNINGS, load, style};

/// `sluice check`.
pub fn check(args: &CheckArgs) -> ExitCode {
    let mut loaded = load(&args.source);
    let mut findings = std::mem::take(&mut loaded.findings);
    if loaded.plan.is_some() {
        // What does not run has other troubles first.
        findings.append(&mut loaded.lints);
    }
    if let Some(plan) = &loaded.plan {
        findings.extend(crate::lints::scattered(&plan.service, args.replicas));
    }
    findings.retain(|found| !sluice_config::lint::is_allowed(found));
    sort(&mut findings);
    match args.output {
        CheckOutput::Human => {
            let style = render::Style { all: args.all, ..style() };
            eprint!("{}{}", render::human(&findings, style), conclusion(&findings, &loaded));
        }
        CheckOutput::Json => print(&format!("{:#}\n", render::report(&findings, &names(&args.source)))),
        CheckOutput::Sarif => print(&format!("{:#}\n", render::sarif(&findings, env!("CARGO_PKG_VERSION")))),
        CheckOutput::Github => print(&render::github(&findings)),
    }
    let has = |severity| findings.iter().any(|found| found.severity == severity);
    match () {
        () if has(Severity::Error) || loaded.plan.is_none() => ExitCode::from(INVALID),
        () if args.strict && has(Severity::Warning) => ExitCode::from(WARNINGS),
        () => ExitCode::SUCCESS,
    }
}

/// The last lines: what was counted, and where to read on.
fn conclusion(findings: &[Diagnostic], loaded: &Loaded) -> String {
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let extent = format!("{}, {}", plural(loaded.components, "component"), plural(loaded.pipelines, "pipeline"));
    let counts = findings.iter().any(|found| found.severity != Severity::Note);
    if !counts {
        return format!("ok: {extent}, {}\n", plural(loaded.files, "file"));
    }
    let mut codes: Vec<&str> = findings.iter().map(|found| found.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.truncate(3);
    let more = codes.iter().map(|code| format!("sluice explain {code}")).collect::<Vec<_>>().join(", ");
    format!("{} ({extent} checked)\nmore: {more}\n", render::summary(findings, loaded.files))
}

/// Writes to stdout. A closed pipe is the reader's choice.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The sources as diagnostics name them.
fn names(args: &RunArgs) -> Vec<String> {
    let mut inline = 0;
    let name = |config: &String| {
        if config.starts_with("yaml:") {
            inline += 1;
            return format!("<yaml #{inline}>");
        }
        config.strip_prefix("file:").unwrap_or(config).to_owned()
    };
    args.config.iter().map(name).collect()
}

/// Upstream's `validate`: silent if all is well.
pub fn validate(args: &RunArgs) -> ExitCode {
    if args.config.is_empty() {
        eprintln!("Error: at least one config flag must be provided");
        return ExitCode::from(FAILURE);
    }
    let loaded = load(args);
    if loaded.plan.is_some() {
        return ExitCode::SUCCESS;
    }
    eprint!("{}", render::human(&loaded.findings, style()));
    eprintln!("Error: invalid configuration: {}", first_error(&loaded.findings));
    ExitCode::from(FAILURE)
}

/// The message of the first error.
pub fn first_error(findings: &[Diagnostic]) -> &str {
    findings.iter().find(|found| found.is_error()).map_or("", |found| found.message.as_str())
}
