//! Asks before something is done that cannot be undone.

use std::io::{IsTerminal as _, Write as _};

use super::report::{Action, Queues};
use super::{Failure, show};
use crate::cli::QueueWork;
use crate::{FAILURE, USAGE};

/// Asks on a terminal; elsewhere it takes `--yes`.
///
/// # Errors
/// There is nobody to ask, or the answer is no.
pub fn ask(known: &Queues, action: Action, args: &QueueWork) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::new(USAGE, format!("queue {}: needs --yes where nobody can be asked", action.name())));
    }
    let queue = known.queues.iter().find(|queue| queue.id == args.dest);
    let what = match (args.id, queue.and_then(|queue| queue.dead_letters)) {
        (Some(id), _) => format!("dead letter {id} of {}", args.dest),
        (None, Some(dead)) => {
            let letters = show::count(dead.count, "dead letter");
            format!("{letters} ({}) of {}", show::count(dead.items, "item"), args.dest)
        }
        (None, None) => format!("the dead letters of {}", args.dest),
    };
    let question = match action {
        Action::Replay => format!("Send {what} again?"),
        Action::Drop => format!("Drop {what} for good?"),
    };
    eprint!("{} [y/N] ", show::escaped(&question));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if yes { Ok(()) } else { Err(Failure::new(FAILURE, "nothing was done")) }
}
