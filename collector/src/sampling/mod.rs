//! `sluice sampling explain`: why policies keep a trace, on a recording; and what each policy needs and keeps.

mod recording;
mod show;

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use sluice_config::{Node, Problems, render};
use sluice_processors::sampling::explain::Explainer;
use sluice_processors::sampling::{PolicyConfig, RuleConfig, Sampler};
use sluice_processors::tail_sampling;

use crate::cli::{Output, RunArgs, SamplingCommand, SamplingExplain};
use crate::plan::Plan;
use crate::{FAILURE, INVALID, USAGE, load, print_findings};

/// Why a command failed, and what the process exits with.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

/// Runs a command to its end.
pub fn run(command: &SamplingCommand) -> ExitCode {
    let SamplingCommand::Explain(args) = command;
    match explain(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("Error: {message}");
            ExitCode::from(code)
        }
    }
}

fn explain(args: &SamplingExplain) -> Result<(), Failure> {
    let source = RunArgs { config: args.source.config.clone(), set: args.source.set.clone(), ..RunArgs::default() };
    let loaded = load(&source);
    let Some(plan) = loaded.plan else {
        print_findings(&loaded);
        return Err(Failure::new(INVALID, render::summary(&loaded.findings, loaded.files)));
    };
    let (id, sampler) = find(&plan, args.component.as_deref())?;
    let as_json = args.json || args.output == Output::Json;
    let Some(path) = &args.recording else {
        if args.trace_id.is_some() {
            return Err(Failure::new(USAGE, "--trace-id chooses a trace of a recording: name one"));
        }
        let summaries = sampler.summaries();
        return if as_json {
            print_json(&json!({"schema": "sluice.sampling_policies/1", "component": id, "policies": summaries}))
        } else {
            print(&show::table(&id, &summaries))
        };
    };
    let wanted = args.trace_id.as_deref().map(trace_id).transpose()?;
    let mut explainer = Explainer::new(sampler);
    for part in recording::read(path, args.signal.map(Into::into)).map_err(|text| Failure::new(FAILURE, text))? {
        let read = explainer.read(part.signal, &part.request);
        read.map_err(|error| Failure::new(FAILURE, format!("{}: {}: {error}", path.display(), part.place)))?;
    }
    let mut traces = explainer.explain();
    if let Some(wanted) = wanted {
        traces.retain(|trace| trace.trace_id == wanted);
        if traces.is_empty() {
            return Err(Failure::new(FAILURE, format!("{} has no trace {wanted}", path.display())));
        }
    }
    if as_json {
        return print_json(&json!({"schema": "sluice.sampling_explain/1", "component": id, "traces": traces}));
    }
    print(&show::traces(&id, &traces))
}

/// The trace id as it is shown.
fn trace_id(text: &str) -> Result<String, Failure> {
    let id = text.to_ascii_lowercase();
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(id);
    }
    Err(Failure::new(USAGE, format!("{text:?} is not a trace id: 32 hex digits")))
}

/// The policies or rules of the component that is named, or of the only one that has any.
fn find(plan: &Plan, wanted: Option<&str>) -> Result<(String, Sampler), Failure> {
    let deciding: Vec<_> =
        plan.processors.iter().filter(|processor| decides(&processor.kind, &processor.node)).collect();
    let known = deciding.iter().map(|processor| processor.id.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (wanted, &*deciding) {
        (Some(id), _) => deciding.iter().find(|processor| processor.id.as_str() == id),
        (None, [only]) => Some(only),
        (None, []) => None,
        (None, _) => {
            let text = format!("several components decide over traces: choose one of {known} with --component");
            return Err(Failure::new(USAGE, text));
        }
    };
    let Some(found) = found else {
        return Err(Failure::new(
            FAILURE,
            match (wanted, &*deciding) {
                (_, []) => "no component of this configuration decides over traces".to_owned(),
                (Some(id), _) => format!("no component {id:?} decides over traces; there are: {known}"),
                (None, _) => String::new(),
            },
        ));
    };
    let invalid = || Failure::new(INVALID, format!("{}: the policies cannot be read", found.id.as_str()));
    let mut problems = Problems::new(&found.node);
    let sampler = match found.kind.as_str() {
        "tail_sampling" => {
            let config: tail_sampling::Config = sluice_config::decode(&found.node).map_err(|_| invalid())?;
            config.sampler("", &mut problems)
        }
        _ => of_sampling_block(&found.node, &mut problems).ok_or_else(invalid)?,
    };
    if problems.has_errors() {
        return Err(invalid());
    }
    Ok((found.id.as_str().to_owned(), sampler))
}

fn decides(kind: &str, node: &Node) -> bool {
    match kind {
        "tail_sampling" => true,
        "correlate" => node.get("sampling").is_some_and(|sampling| !sampling.is_null()),
        _ => false,
    }
}

/// The block `sampling` of `correlate`.
fn of_sampling_block(node: &Node, problems: &mut Problems<'_>) -> Option<Sampler> {
    let sampling = node.get("sampling")?;
    if let Some(rules) = sampling.get("rules") {
        let rules: Vec<RuleConfig> = sluice_config::decode(rules).ok()?;
        return Some(Sampler::from_rules(&rules, "sampling::rules", problems));
    }
    let policies: Vec<PolicyConfig> = sluice_config::decode(sampling.get("policies")?).ok()?;
    Some(Sampler::from_policies(&policies, Default::default(), "sampling::policies", problems))
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

/// A closed pipe is the reader's choice.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(FAILURE, error.to_string())),
        _ => Ok(()),
    }
}
