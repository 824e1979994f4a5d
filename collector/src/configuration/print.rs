//! The configuration as Sluice reads it: sources merged, references expanded, secrets hidden unless asked for.

use std::process::ExitCode;

use sluice_config::service::{Part, parts};
use sluice_config::tree::Entry;
use sluice_config::{Diagnostic, Kind, Node, Value, complete, print as tree, redact, render, resolve};
use sluice_pipeline::factory::Registries;

use super::write;
use crate::catalog::{self, Names};
use crate::cli::{ConfigPrintArgs, RunArgs, TreeFormat};
use crate::{FAILURE, INVALID, check, load, sources, style};

/// `sluice config print`.
pub fn print(args: &ConfigPrintArgs) -> ExitCode {
    let root = match read(&args.source, args.defaults, args.unredacted) {
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
    match read(source, false, unredacted) {
        Ok(root) => write(&format.print(&root)),
        Err(findings) => {
            eprintln!("Error: {}", check::first_error(&findings));
            ExitCode::from(FAILURE)
        }
    }
}

fn read(args: &RunArgs, defaults: bool, unredacted: bool) -> Result<Node, Vec<Diagnostic>> {
    let (arguments, sources) = sources(args);
    let mut root = resolve(&arguments, &*sources)?.root;
    let registries = catalog::registries();
    if defaults {
        complete_components(&mut root, &registries);
        complete_service(&mut root);
    }
    if !unredacted {
        hide_secrets(&mut root, &registries);
    }
    Ok(root)
}

/// Adds the defaults of every component that decodes.
fn complete_components(root: &mut Node, registries: &Registries) {
    each_component(root, registries, |kind, name, component| {
        let Some(name) = name else { return };
        if let (Some(whole), Some(shape)) = (registries.whole(kind, name, component), registries.shape(kind, name)) {
            complete(component, &whole, &shape);
        }
    });
}

/// Adds the defaults of `service`. Its `limits` stay away where they are not written: writing them has more checked.
fn complete_service(root: &mut Node) {
    let Value::Map(root) = &mut root.value else { return };
    let Some(Entry { value: Node { value: Value::Map(service), .. }, .. }) = root.get_mut("service") else { return };
    let origin = sluice_config::encode::origin;
    for (key, part) in parts() {
        let Part::Block(shape, whole) = part else { continue };
        if key == "limits" && !service.contains_key(key) {
            continue;
        }
        let section = service
            .entry(key.to_owned())
            .or_insert_with(|| Entry { key: origin(), value: Node::new(Value::Null, origin()) });
        if let Some(whole) = whole(&section.value) {
            complete(&mut section.value, &whole, &shape);
        }
        if section.value.is_null() {
            service.shift_remove(key);
        }
    }
}

/// By the types of the components, and by names where there is no type.
fn hide_secrets(root: &mut Node, registries: &Registries) {
    each_component(root, registries, |kind, name, component| {
        let shape = name.and_then(|name| registries.shape(kind, name));
        redact::redact(component, shape.as_ref());
    });
    let Value::Map(sections) = &mut root.value else { return };
    for (section, entry) in sections.iter_mut() {
        if kind(section).is_none() || entry.value.as_map().is_none() {
            redact::redact(&mut entry.value, None);
        }
    }
}

fn kind(section: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.section() == section)
}

/// Does something with every component, of which the canonical type is given if there is one.
fn each_component(root: &mut Node, registries: &Registries, mut act: impl FnMut(Kind, Option<&str>, &mut Node)) {
    let names = Names::of(registries);
    let Value::Map(sections) = &mut root.value else { return };
    for (section, entry) in sections.iter_mut() {
        let (Some(kind), Value::Map(components)) = (kind(section), &mut entry.value.value) else { continue };
        for (id, component) in components.iter_mut() {
            let written = id.split('/').next().unwrap_or_default().trim();
            let known = sluice_config::canonical(kind, written, names.catalog().types(kind));
            act(kind, known.map(|known| known.name), &mut component.value);
        }
    }
}
