//! The configuration as Sluice reads it: sources merged, references expanded, secrets hidden unless asked for.

use std::process::ExitCode;

use sluice_config::{Diagnostic, Kind, Node, Value, print as tree, redact, render, resolve};
use sluice_pipeline::factory::Registries;

use super::write;
use crate::catalog::{self, Names};
use crate::cli::{ConfigPrintArgs, RunArgs, TreeFormat};
use crate::{FAILURE, INVALID, check, load, sources, style};

/// `sluice config print`.
pub fn print(args: &ConfigPrintArgs) -> ExitCode {
    let root = match read(&args.source, args.unredacted) {
        Ok(root) => root,
        Err(findings) => {
            eprint!("{}", render::human(&findings, style()));
            return ExitCode::from(INVALID);
        }
    };
    match (args.origin, args.output) {
        (true, TreeFormat::Yaml) => write(&tree::yaml(&root, true)),
        (true, TreeFormat::Json) => {
            let origins = serde_json::json!({"config": tree::json(&root), "origins": tree::origins(&root)});
            write(&format!("{origins:#}\n"))
        }
        (false, format) => write(&format.print(&root)),
    }
}

/// `sluice print-config`: as upstream, checked first unless told otherwise.
pub fn upstream(source: &RunArgs, format: TreeFormat, unredacted: bool, validate: bool) -> ExitCode {
    if source.config.is_empty() {
        eprintln!("Error: at least one config flag must be provided");
        return ExitCode::from(FAILURE);
    }
    let findings = if validate { load(source).findings } else { Vec::new() };
    if findings.iter().any(Diagnostic::is_error) {
        eprint!("{}", render::human(&findings, style()));
        eprintln!("Error: invalid configuration: {}", check::first_error(&findings));
        return ExitCode::from(FAILURE);
    }
    match read(source, unredacted) {
        Ok(root) => write(&format.print(&root)),
        Err(findings) => {
            eprintln!("Error: {}", check::first_error(&findings));
            ExitCode::from(FAILURE)
        }
    }
}

fn read(args: &RunArgs, unredacted: bool) -> Result<Node, Vec<Diagnostic>> {
    let (arguments, sources) = sources(args);
    let mut root = resolve(&arguments, &*sources)?.root;
    if !unredacted {
        hide_secrets(&mut root, &catalog::registries());
    }
    Ok(root)
}

/// By the types of the components, and by names where there is no type.
fn hide_secrets(root: &mut Node, registries: &Registries) {
    let names = Names::of(registries);
    let Value::Map(sections) = &mut root.value else { return };
    for (section, entry) in sections.iter_mut() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.section() == section);
        match (kind, &mut entry.value.value) {
            (Some(kind), Value::Map(components)) => {
                for (id, component) in components.iter_mut() {
                    let written = id.split('/').next().unwrap_or_default().trim();
                    let known = sluice_config::canonical(kind, written, names.catalog().types(kind));
                    let shape = known.and_then(|known| registries.shape(kind, known.name));
                    redact::redact(&mut component.value, shape.as_ref());
                }
            }
            _ => redact::redact(&mut entry.value, None),
        }
    }
}
