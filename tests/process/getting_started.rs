//! The page for the first hour: every command of it, as it stands.

use std::path::Path;
use std::process::Command;

use crate::sluice::{Sluice, root, text};

/// A fenced block, the language it is in, and the text before it.
struct Block<'p> {
    before: &'p str,
    language: &'p str,
    code: &'p str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let parts: Vec<&str> = page.split("```").collect();
    let fenced = parts.chunks_exact(2).map(|pair| {
        let (language, code) = pair[1].split_once('\n').unwrap();
        Block { before: pair[0], language, code }
    });
    fenced.collect()
}

/// The name in "Save this as `name`:" right before a block.
fn saved_as(before: &str) -> Option<&str> {
    let (_, name) = before.trim_end().rsplit_once("ave this as `")?;
    name.strip_suffix("`:")
}

/// Commands of the other terminal, one after the other; the first that fails ends them.
fn type_in(directory: &Path, commands: &str, grpc: u16, http: u16) {
    let binary = Path::new(env!("CARGO_BIN_EXE_sluice")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(binary.to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    // The collector under test listens at other ports than a reader's.
    let lines = commands.lines().map(|line| match line.strip_prefix("sluice send ") {
        Some(rest) if rest.contains("--protocol http") => format!("sluice send --endpoint 127.0.0.1:{http} {rest}"),
        Some(rest) => format!("sluice send --endpoint 127.0.0.1:{grpc} {rest}"),
        None => line.to_owned(),
    });
    for line in lines.filter(|line| !line.is_empty()) {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &line])
            .current_dir(directory)
            .env("PATH", path.as_ref().unwrap())
            .env("STATE_DIRECTORY", directory.join("state"))
            .output()
            .unwrap();
        let shown = |bytes: &[u8]| text(&bytes[..bytes.len().min(2000)]);
        let (stdout, stderr) = (shown(&output.stdout), shown(&output.stderr));
        assert!(output.status.success(), "{line}\n{stdout}\n{stderr}");
    }
}

#[test]
fn every_command_of_the_first_hour_works() {
    let page = std::fs::read_to_string(root().join("docs/getting-started.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::create_dir(directory.join("state")).unwrap();
    let mut running: Option<Sluice> = None;
    let (mut saved, mut started, mut typed) = (0, 0, 0);
    for block in blocks(&page) {
        let commands = block.code.trim_end();
        match block.language {
            "yaml" => {
                let name = saved_as(block.before).expect("a configuration is saved under a name");
                std::fs::write(directory.join(name), block.code).unwrap();
                saved += 1;
            }
            "sh" if commands.starts_with("cargo ") => {}
            "sh" => match commands.strip_prefix("# terminal 1\nsluice run") {
                Some(arguments) => {
                    stop(running.take());
                    let arguments: Vec<&str> = arguments.split_whitespace().collect();
                    running = Some(Sluice::start_in(directory, &arguments));
                    started += 1;
                }
                None => {
                    let (grpc, http) = running.as_ref().map_or((4317, 4318), |sluice| (sluice.grpc, sluice.http));
                    type_in(directory, commands, grpc, http);
                    typed += 1;
                }
            },
            other => panic!("a block of {other:?}"),
        }
    }
    stop(running);
    assert!(saved >= 3 && started >= 4 && typed >= 6, "{saved} files, {started} starts, {typed} blocks of commands");
}

fn stop(running: Option<Sluice>) {
    let Some(sluice) = running else { return };
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
}
