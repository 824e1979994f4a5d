//! `sluice queue`: what waits for each destination; dead letters, which can be looked at, sent again, or dropped.
//!
//! The running instance is asked by its admin API. Where none runs, the journal itself is opened, which locks it.

mod client;
mod confirm;
pub mod letters;
pub mod report;
mod show;
mod source;
mod stopped;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_exporters::debug::Verbosity;
use sluice_exporters::debug::text::render;
use sluice_pipeline::Signal;

use crate::cli::{Output, PeekOutput, QueueCommand, QueueList, QueuePeek, QueueWork};
use crate::{FAILURE, USAGE};
use report::{Action, Letter, Queues, Which};
use source::Source;

/// Why a command failed, and what the process exits with.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::new(FAILURE, format!("{error:#}"))
    }
}

/// Runs a command to its end.
pub fn run(command: QueueCommand) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(FAILURE);
        }
    };
    let (QueueCommand::List(QueueList { from, .. })
    | QueueCommand::Peek(QueuePeek { from, .. })
    | QueueCommand::Replay(QueueWork { from, .. })
    | QueueCommand::Drop(QueueWork { from, .. })) = &command;
    let done = runtime.block_on(async {
        let source = source::find(from)?;
        let done = match &command {
            QueueCommand::List(args) => list(&source, args).await,
            QueueCommand::Peek(args) => peek(&source, args).await,
            QueueCommand::Replay(args) => work(&source, Action::Replay, args).await,
            QueueCommand::Drop(args) => work(&source, Action::Drop, args).await,
        };
        // Also after a failure: the journal is left as it was found.
        source.close().and(done)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("Error: {message}");
            ExitCode::from(code)
        }
    }
}

async fn list(source: &Source, args: &QueueList) -> Result<(), Failure> {
    let mut queues = source.queues().await?;
    let Some(id) = &args.dest else {
        return match args.output {
            Output::Json => print_json(&queues),
            Output::Human => print(show::queues(&queues).as_bytes()),
        };
    };
    let known = |queues: &Queues| queues.queues.iter().map(|queue| queue.id.clone()).collect::<Vec<_>>().join(", ");
    if queues.queues.iter().all(|queue| queue.id != *id) {
        let text = format!("there is no queue {id:?}; there are: {}", known(&queues));
        return Err(Failure::new(FAILURE, text));
    }
    queues.queues.retain(|queue| queue.id == *id);
    queues.total = queues.queues.len();
    let on_disk = queues.queues.iter().any(|queue| queue.dead_letters.is_some());
    let letters = if on_disk { pages(source, id, 0, usize::MAX, false).await? } else { Vec::new() };
    match args.output {
        Output::Json => {
            let mut shown = serde_json::to_value(&queues).map_err(|error| Failure::new(FAILURE, error.to_string()))?;
            shown["dead_letters"] = serde_json::json!(letters);
            print_json(&shown)
        }
        Output::Human => {
            let dead = if letters.is_empty() { String::new() } else { format!("\n{}", show::letters(&letters)) };
            print(format!("{}{dead}", show::queues(&queues)).as_bytes())
        }
    }
}

/// The first letters from an id on.
async fn pages(source: &Source, id: &str, from: u64, most: usize, bodies: bool) -> Result<Vec<Letter>, Failure> {
    let (mut letters, mut cursor) = (Vec::new(), from);
    loop {
        let page = source.dead(id, cursor, (most - letters.len()).min(PAGE), bodies).await?;
        letters.extend(page.letters);
        match page.cursor {
            Some(next) if letters.len() < most => cursor = next,
            _ => return Ok(letters),
        }
    }
}

/// Letters that are asked for at once.
const PAGE: usize = 100;

async fn peek(source: &Source, args: &QueuePeek) -> Result<(), Failure> {
    let letters = match args.id {
        Some(id) => {
            let mut found = pages(source, &args.dest, id, 1, true).await?;
            found.retain(|letter| letter.id == id);
            if found.is_empty() {
                return Err(Failure::new(FAILURE, format!("{} has no dead letter {id}", args.dest)));
            }
            found
        }
        None => pages(source, &args.dest, 0, args.number.max(1), true).await?,
    };
    match args.output {
        PeekOutput::Otlp => otlp(&letters),
        PeekOutput::Json => json(&args.dest, letters),
        PeekOutput::Text => {
            if letters.is_empty() {
                eprintln!("{} has no dead letters", args.dest);
            }
            for letter in &letters {
                print(text(&args.dest, letter)?.as_bytes())?;
            }
            Ok(())
        }
    }
}

/// Requests of one signal one behind the other are a request.
fn otlp(letters: &[Letter]) -> Result<(), Failure> {
    if let [first, rest @ ..] = letters
        && let Some(other) = rest.iter().find(|letter| letter.signal != first.signal)
    {
        let text = format!("letter {} is of {}, and {} of {}", first.id, first.signal, other.id, other.signal);
        return Err(Failure::new(USAGE, format!("{text}: choose one by --id, for one message has one signal")));
    }
    if std::io::stdout().is_terminal() {
        return Err(Failure::new(USAGE, "protobuf is not for terminals: send it to a file or another program"));
    }
    for letter in letters {
        print(&body(letter)?)?;
    }
    Ok(())
}

fn json(queue: &str, letters: Vec<Letter>) -> Result<(), Failure> {
    let mut shown = Vec::new();
    for mut letter in letters {
        let (signal, body) = (signal(&letter)?, body(&letter)?);
        letter.body = None;
        let failed = |error: String| Failure::new(FAILURE, format!("letter {}: {error}", letter.id));
        let mut item = Vec::new();
        sluice_pdata::json::write(signal, &body, &mut item).map_err(|error| failed(error.to_string()))?;
        let item: serde_json::Value = serde_json::from_slice(&item).map_err(|error| failed(error.to_string()))?;
        let mut value = serde_json::to_value(&letter).map_err(|error| failed(error.to_string()))?;
        value["item"] = item;
        shown.push(value);
    }
    print_json(&serde_json::json!({"schema": "sluice.queue_peek/1", "queue": queue, "letters": shown}))
}

fn text(queue: &str, letter: &Letter) -> Result<String, Failure> {
    let head = show::letter(queue, letter);
    let shown = render(signal(letter)?, &body(letter)?, Verbosity::Detailed);
    let body = match shown {
        Ok(shown) => shown.text,
        // Why it is here, perhaps.
        Err(error) => format!("  it cannot be decoded: {error}\n"),
    };
    Ok(format!("{head}{body}\n"))
}

fn signal(letter: &Letter) -> Result<Signal, Failure> {
    let found = Signal::ALL.into_iter().find(|signal| signal.name() == letter.signal);
    found.ok_or_else(|| Failure::new(FAILURE, format!("letter {}: unknown signal {:?}", letter.id, letter.signal)))
}

fn body(letter: &Letter) -> Result<Vec<u8>, Failure> {
    let decoded = letter.body.as_ref().and_then(|body| STANDARD.decode(body).ok());
    decoded.ok_or_else(|| Failure::new(FAILURE, format!("letter {} is gone or damaged", letter.id)))
}

async fn work(source: &Source, action: Action, args: &QueueWork) -> Result<(), Failure> {
    if !args.yes {
        let known = source.queues().await?;
        confirm::ask(&known, action, args)?;
    }
    let mut which = Which { id: args.id, all: args.all, up_to: None };
    let mut sum = source.work(&args.dest, action, &which).await?;
    let mut turn = sum.clone();
    // What is parked meanwhile is not asked for, so this ends.
    while turn.left > 0 && turn.letters > 0 && turn.stopped.is_none() {
        which.up_to = Some(turn.up_to);
        turn = source.work(&args.dest, action, &which).await?;
        (sum.letters, sum.items) = (sum.letters + turn.letters, sum.items + turn.items);
        (sum.left, sum.stopped) = (turn.left, turn.stopped.clone());
    }
    match args.output {
        Output::Json => print_json(&sum)?,
        Output::Human => print(show::done(&sum).as_bytes())?,
    }
    match sum.stopped {
        Some(why) => Err(Failure::new(FAILURE, format!("{} left: {why}", show::count(sum.left, "dead letter")))),
        None => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(value).map_err(|error| Failure::new(FAILURE, error.to_string()))?;
    text.push(b'\n');
    print(&text)
}

/// A closed pipe is the reader's choice.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(FAILURE, error.to_string())),
        _ => Ok(()),
    }
}
