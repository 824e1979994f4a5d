//! `sluice explain`: the page of a diagnostic's code, or the fields of a component.

mod component;
pub mod pages;

use std::io::Write as _;
use std::process::ExitCode;

use sluice_config::suggest::did_you_mean;

use crate::{USAGE, catalog};

/// Prints what is known of a code (`E0102`) or of a component (`otlp_grpc`, `otlp_grpc.sending_queue`).
pub fn run(subject: &str) -> ExitCode {
    if let Some(page) = pages::of(subject) {
        return write(page);
    }
    let registries = catalog::registries();
    match component::describe(subject, &registries) {
        Ok(text) => write(&text),
        Err(names) => {
            let names = pages::PAGES.iter().map(|(code, _)| (*code).to_owned()).chain(names).collect::<Vec<_>>();
            let hint = did_you_mean(subject, names.iter().map(String::as_str));
            let forms = "a code (E0102), a component (otlp_grpc) or a field (otlp_grpc.endpoint)";
            let hint = hint.unwrap_or_else(|| forms.to_owned());
            eprintln!("Error: nothing is known of {subject:?}: {hint}");
            ExitCode::from(USAGE)
        }
    }
}

/// Writes to stdout. A closed pipe is the reader's choice.
fn write(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
