//! Who is asked: a running instance, or the journal of one that does not run (experience §2).

use std::os::unix::net::UnixStream;

use super::Failure;
use super::client::Instance;
use super::report::{Action, Done, Letters, Queues, Which};
use super::stopped::Stopped;
use crate::cli::InstanceArgs;
use crate::{UNREACHABLE, USAGE, state};

pub enum Source {
    Running(Instance),
    Stopped(Stopped),
}

/// Finds the one that the arguments mean.
///
/// # Errors
/// None, or several; a journal that is in use or is none.
pub fn find(args: &InstanceArgs) -> Result<Source, Failure> {
    if let Some(url) = &args.url {
        return Instance::at(url, args).map(Source::Running);
    }
    if let Some(socket) = &args.socket {
        return Ok(Source::Running(Instance::on(socket.clone())));
    }
    let sockets: Vec<_> =
        state::places(args.data_dir.as_deref()).iter().map(|place| state::socket(&place.path)).collect();
    let mut running: Vec<_> = sockets.iter().filter(|socket| UnixStream::connect(socket).is_ok()).collect();
    let list = |sockets: &[&std::path::PathBuf]| {
        sockets.iter().map(|socket| socket.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    if running.len() > 1 {
        let text = format!("several instances run: {}; choose one by --socket", list(&running));
        return Err(Failure::new(USAGE, text));
    }
    match (running.pop(), &args.data_dir) {
        (Some(socket), _) => Ok(Source::Running(Instance::on(socket.clone()))),
        (None, Some(directory)) => Stopped::open(directory).map(Source::Stopped),
        (None, None) => {
            let looked = list(&sockets.iter().collect::<Vec<_>>());
            let text = format!("no running instance: nobody listens on {looked}");
            let help = "name one by --socket or --url; or, if none runs, its state directory by --data-dir";
            Err(Failure::new(UNREACHABLE, format!("{text}\n{help}")))
        }
    }
}

impl Source {
    pub async fn queues(&self) -> Result<Queues, Failure> {
        match self {
            Source::Running(instance) => instance.queues().await,
            Source::Stopped(stopped) => stopped.queues(),
        }
    }

    pub async fn dead(&self, id: &str, from: u64, limit: usize, bodies: bool) -> Result<Letters, Failure> {
        match self {
            Source::Running(instance) => instance.dead(id, from, limit, bodies).await,
            Source::Stopped(stopped) => stopped.dead(id, from, limit, bodies),
        }
    }

    pub async fn work(&self, id: &str, action: Action, which: &Which) -> Result<Done, Failure> {
        match self {
            Source::Running(instance) => instance.work(id, action, which).await,
            Source::Stopped(stopped) => stopped.work(id, action, which),
        }
    }

    /// Leaves it as it was found.
    pub fn close(self) -> Result<(), Failure> {
        match self {
            Source::Running(_) => Ok(()),
            Source::Stopped(stopped) => stopped.close(),
        }
    }
}
