//! One `sluice` process under test: ports of its own, its output line by line, a signal, its exit code.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const READY: &str = "Everything is ready. Begin running and processing data.";
/// A directory that is not there: nothing is kept in it.
pub const NO_STATE: &str = "/nonexistent/sluice";
/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The top of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The binary with arguments, to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sluice")).args(arguments).current_dir(root()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ports of listeners: below those that the system gives to outgoing connections, one of which could take a port before its
/// listener is there, were it only a client that asks whether it is yet.
const PORTS: Range<u16> = 20_000..32_000;

/// A port on loopback that nobody uses and that was not given out before.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_this_process = std::process::id().wrapping_mul(97);
    let free = (0..PORTS.len()).find_map(|_| {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (of_this_process.wrapping_add(step) % PORTS.len() as u32) as u16;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    free.expect("no free port")
}

/// A running collector; killed when dropped.
pub struct Sluice {
    child: Child,
    lines: Receiver<String>,
    stdout: Option<JoinHandle<String>>,
    seen: Vec<String>,
    pub grpc: u16,
    pub http: u16,
    pub metrics: u16,
}

impl Sluice {
    /// Starts `sluice run` with `arguments` and its listeners moved to free ports, and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let mut started = Self::spawn(arguments, NO_STATE);
        started.wait_for(READY);
        started
    }

    /// The same from another directory, with its state in `state` there.
    pub fn start_in(directory: &Path, arguments: &[&str]) -> Self {
        let state = directory.join("state");
        let mut started = Self::spawn_from(directory, arguments, state.to_str().unwrap(), &[]);
        started.wait_for(READY);
        started
    }

    /// As [`Sluice::start`] without waiting. `state` is the directory that the system keeps for the service.
    pub fn spawn(arguments: &[&str], state: &str) -> Self {
        Self::spawn_with(arguments, state, &[])
    }

    /// The same with more in its environment.
    pub fn spawn_with(arguments: &[&str], state: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn_from(&root(), arguments, state, variables)
    }

    fn spawn_from(directory: &Path, arguments: &[&str], state: &str, variables: &[(&str, &str)]) -> Self {
        let (grpc, http, metrics) = (free_port(), free_port(), free_port());
        let reader = "{pull: {exporter: {prometheus: {host: 127.0.0.1, port: ";
        let sets = [
            format!("receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{grpc}"),
            format!("receivers.otlp.protocols.http.endpoint=127.0.0.1:{http}"),
            format!("service.telemetry.metrics.readers=[{reader}{metrics}}}}}}}}}]"),
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .arg("run")
            .args(arguments)
            .args(sets.iter().flat_map(|set| ["--set", set]))
            .current_dir(directory)
            .env("STATE_DIRECTORY", state)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut pipe = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = pipe.read_to_end(&mut all);
            text(&all)
        });
        Sluice { child, lines, stdout: Some(stdout), seen: Vec::new(), grpc, http, metrics }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads its log until a line holds `what`.
    pub fn wait_for(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let Ok(line) = line else { panic!("no line with {what:?} in:\n{}", self.seen.join("\n")) };
            let found = line.contains(what);
            self.seen.push(line);
            if found {
                return;
            }
        }
    }

    /// Sends a signal by its name: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end: how it ended, its whole log, its whole standard output.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        let stdout = self.stdout.take().unwrap().join().unwrap();
        (status, self.seen.join("\n"), stdout)
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
