//! Why a start failed, as a finding with a code, a place and a way out (experience §4.2, class start).

mod owner;

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind;
use std::net::{TcpListener, ToSocketAddrs as _};

use sluice_config::Diagnostic;
use sluice_net::Error as NetError;
use sluice_pipeline::Error as ComponentError;

use crate::exposure::Port;

/// How many ports are tried for one that is free.
const TRIED: u16 = 50;

/// An error whose text says it all, and what is known of its cause.
#[derive(Debug)]
pub struct FailedStart {
    text: String,
    cause: Option<Cause>,
}

/// A cause that has a code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    code: &'static str,
    /// What it is about: an address or a path.
    subject: String,
}

impl FailedStart {
    /// `text` tells of `error`, which is not told of again.
    pub fn of(text: impl Into<String>, error: &(dyn StdError + 'static)) -> anyhow::Error {
        let chain = std::iter::successors(Some(error), |error| {
            let error: &(dyn StdError + 'static) = *error;
            error.source()
        });
        anyhow::Error::new(FailedStart { text: text.into(), cause: cause(chain) })
    }
}

impl FailedStart {
    /// With a code that its cause does not tell.
    pub fn coded(code: &'static str, subject: impl Into<String>, text: impl Into<String>) -> anyhow::Error {
        let cause = Some(Cause { code, subject: subject.into() });
        anyhow::Error::new(FailedStart { text: text.into(), cause })
    }
}

impl fmt::Display for FailedStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for FailedStart {}

/// The finding that explains why the start failed; `None` if nothing is known but the text.
pub fn explain(error: &anyhow::Error, ports: &[Port]) -> Option<Diagnostic> {
    let Cause { code, subject } = cause(error.chain())?;
    let text = format!("{}: {subject}", sluice_config::codes::meaning(code).unwrap_or_default());
    let mut finding = Diagnostic::new(code, text);
    if let Some(port) = ports.iter().find(|port| port.address() == subject) {
        finding = finding.at(port.origin());
    }
    if code == "E0701" {
        if let Some(owner) = subject.to_socket_addrs().ok().and_then(|mut all| all.find_map(owner::of)) {
            finding = finding.note(format!("{owner} listens there"));
        }
        if let Some(elsewhere) = elsewhere(&subject, ports) {
            finding = finding.help(elsewhere);
        }
    }
    if finding.help.is_none() {
        sluice_config::codes::advise(std::slice::from_mut(&mut finding));
    }
    Some(finding.note(format!("sluice explain {code}")))
}

/// The same listener on the next free port.
fn elsewhere(address: &str, ports: &[Port]) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let key = ports.iter().find(|port| port.address() == address)?.key()?;
    let first = port.parse::<u16>().ok()?.checked_add(1)?;
    let taken = |address: &str| ports.iter().any(|port| port.address() == address);
    let free = (first..=first.saturating_add(TRIED))
        .map(|port| format!("{host}:{port}"))
        .find(|address| !taken(address) && TcpListener::bind(address.as_str()).is_ok())?;
    Some(format!("end it, or listen elsewhere: --set {key}.endpoint={free}"))
}

/// The first of the errors that has a code.
fn cause<'e>(mut chain: impl Iterator<Item = &'e (dyn StdError + 'static)>) -> Option<Cause> {
    chain.find_map(|error| {
        if let Some(FailedStart { cause, .. }) = error.downcast_ref() {
            return cause.clone();
        }
        if let Some(error) = error.downcast_ref() {
            return of_component(error);
        }
        if let Some(error) = error.downcast_ref() {
            return of_net(error);
        }
        error.downcast_ref().and_then(of_journal)
    })
}

fn of_component(error: &ComponentError) -> Option<Cause> {
    match error {
        ComponentError::Network(error) => of_net(error),
        ComponentError::Listen { endpoint, source } => of_listen(endpoint, source.kind()),
        ComponentError::File { path, source } => {
            let code = match source.kind() {
                ErrorKind::NotFound => "E0706",
                ErrorKind::PermissionDenied => "E0702",
                _ => return None,
            };
            Some(Cause { code, subject: path.clone() })
        }
        _ => None,
    }
}

fn of_net(error: &NetError) -> Option<Cause> {
    match error {
        NetError::Bind { address, source } => of_listen(address, source.kind()),
        NetError::ReadFile { path, .. } => Some(Cause { code: "E0704", subject: path.clone() }),
        NetError::Tls(text) => Some(Cause { code: "E0704", subject: text.clone() }),
        _ => None,
    }
}

fn of_listen(address: &str, kind: ErrorKind) -> Option<Cause> {
    let code = match kind {
        ErrorKind::AddrInUse => "E0701",
        ErrorKind::PermissionDenied => "E0702",
        ErrorKind::AddrNotAvailable => "E0707",
        _ => return None,
    };
    Some(Cause { code, subject: address.to_owned() })
}

fn of_journal(error: &sluice_journal::Error) -> Option<Cause> {
    match error {
        sluice_journal::Error::Locked(pid) => {
            let subject = pid.map_or_else(|| "a process that cannot be seen".to_owned(), |pid| format!("pid {pid}"));
            Some(Cause { code: "E0705", subject })
        }
        _ => None,
    }
}
