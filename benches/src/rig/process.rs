//! A process of the rig: pinned to a core, its output in a file, its CPU time and memory readable, ended when dropped.

use crate::Error;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A command to start.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, String)>,
    /// The `cgroup.procs` of the control group it is to run in from its first instruction on.
    pub(super) group: Option<PathBuf>,
}

impl Launch {
    pub(super) fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), args: Vec::new(), environment: Vec::new(), group: None }
    }

    pub(super) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    pid: Pid,
    pub(super) started: Instant,
}

/// Time a process gets to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of its log that are told when it ended by itself.
const LAST_LINES: usize = 5;

impl Process {
    /// Starts the command on one core. Shell and `taskset` exec, so that the child is the program itself.
    pub(super) fn start(name: &str, launch: &Launch, core: usize, log: &Path) -> Result<Self, Error> {
        let output = File::create(log).map_err(Error::io(log.display().to_string()))?;
        let errors = output.try_clone().map_err(Error::io(log.display().to_string()))?;
        let started = Instant::now();
        let mut command = match &launch.group {
            None => Command::new("taskset"),
            Some(group) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(group).arg("taskset");
                shell
            }
        };
        let child = command
            .arg("-c")
            .arg(core.to_string())
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("start {name}")))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::Process { process: name.into(), problem: "ended at once".into() })?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child, pid, started })
    }

    /// Waits until the address accepts a connection.
    pub(super) async fn ready(&mut self, address: SocketAddr, within: Duration) -> Result<Duration, Error> {
        while self.started.elapsed() < within {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(self.started.elapsed());
            }
            self.alive()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(self.problem(format!("not ready on {address} within {within:?}")))
    }

    /// An error if the process has ended.
    pub(super) fn alive(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.problem(format!("ended: {status}\n{}", self.last_words()))),
            Err(error) => Err(self.problem(error.to_string())),
        }
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// User and system time of all its threads so far, living or ended.
    pub(super) fn cpu(&self) -> Result<Duration, Error> {
        let clock = ClockId::pid_cpu_clock_id(self.pid).map_err(|error| self.problem(error.to_string()))?;
        clock_gettime(clock).map(Duration::from).map_err(|error| self.problem(error.to_string()))
    }

    /// Resident set now and at its highest, in bytes.
    pub(super) fn memory(&self) -> Result<(u64, u64), Error> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).map_err(Error::io(path))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
        };
        let both = field("VmRSS:").zip(field("VmHWM:"));
        both.ok_or_else(|| self.problem("no VmRSS in its status".into()))
    }

    /// Forgets its highest resident set so far. Where that is not permitted the highest is that of its whole life.
    pub(super) fn reset_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    /// Ends it: SIGTERM, and SIGKILL when that is not enough. Returns how it ended, if by itself.
    pub(super) async fn stop(mut self) -> Option<std::process::ExitStatus> {
        let _ = kill(self.pid, Signal::SIGTERM);
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = self.child.kill().await;
                None
            }
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends it by SIGINT, on which a profiler writes its file.
    pub(super) async fn interrupt(mut self) {
        let _ = kill(self.pid, Signal::SIGINT);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
    }

    /// Waits for it to end by itself.
    pub(super) async fn ended(&mut self, within: Duration) -> Result<(), Error> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.problem(format!("ended: {status}"))),
            Ok(Err(error)) => Err(self.problem(error.to_string())),
            Err(_) => Err(self.problem(format!("still running after {within:?}"))),
        }
    }

    fn problem(&self, problem: String) -> Error {
        Error::Process { process: self.name.clone(), problem }
    }
}
