//! Runs load scenarios against Sluice and its peers.

use clap::Parser;
use sluice_benches::Error;
use sluice_benches::rig::{Options, run};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    Ok(if run(Options::parse()).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
