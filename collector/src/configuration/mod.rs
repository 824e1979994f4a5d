//! `sluice config …`: the configuration as it is read, and the schema of what can be written.

pub mod descriptions;
mod print;
mod schema;

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::{ConfigCommand, PrintConfigArgs, PrintConfigMode, TreeFormat};
use crate::{DEFAULT, catalog};

/// Runs `sluice config …`.
pub fn run(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Defaults => write(DEFAULT),
        ConfigCommand::Print(args) => print::print(&args),
        ConfigCommand::Schema => write(&format!("{:#}\n", schema::of(&catalog::registries()))),
    }
}

/// Upstream's `print-config`.
pub fn print_config(args: &PrintConfigArgs) -> ExitCode {
    let unredacted = args.mode == PrintConfigMode::Unredacted;
    print::upstream(&args.source, args.format, unredacted, args.validate)
}

/// Writes to stdout. A closed pipe is the reader's choice.
fn write(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

impl TreeFormat {
    fn print(self, node: &sluice_config::Node) -> String {
        match self {
            TreeFormat::Yaml => sluice_config::print::yaml(node, false),
            TreeFormat::Json => format!("{:#}\n", sluice_config::print::json(node)),
        }
    }
}
