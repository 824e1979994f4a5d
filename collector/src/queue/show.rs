//! Queues and dead letters for people.

use std::fmt::Write as _;

use super::report::{Action, Breaker, Done, Letter, Queue, Queues};

/// A table of every destination.
pub fn queues(queues: &Queues) -> String {
    if queues.queues.is_empty() {
        return "no destinations\n".to_owned();
    }
    let heads = ["DESTINATION", ">RECORDS", ">ITEMS", ">BYTES", ">OLDEST", ">QUOTA", "STATE", "DEAD LETTERS"];
    table(&heads, queues.queues.iter().map(queue))
}

fn queue(queue: &Queue) -> Vec<String> {
    let none = || "-".to_owned();
    let dead = match queue.dead_letters {
        Some(dead) if dead.count > 0 => {
            format!("{} ({}, {})", dead.count, count(dead.items, "item"), bytes(dead.bytes))
        }
        _ => none(),
    };
    vec![
        queue.id.clone(),
        queue.records.to_string(),
        queue.items.sum().to_string(),
        bytes(queue.bytes),
        queue.oldest_age_seconds.map_or_else(none, duration),
        queue.quota_bytes.map_or_else(none, bytes),
        state(queue).to_owned(),
        dead,
    ]
}

fn state(queue: &Queue) -> &'static str {
    match (queue.configured, queue.config_error, queue.breaker) {
        (false, ..) => "not configured",
        (_, true, _) => "config error",
        (_, _, Some(Breaker::Open)) => "breaker open",
        (_, _, Some(Breaker::HalfOpen)) => "trying again",
        _ if queue.records > 0 => "waiting",
        _ => "idle",
    }
}

/// A table of dead letters.
pub fn letters(letters: &[Letter]) -> String {
    let heads = [">ID", "SIGNAL", ">ITEMS", ">BYTES", ">AGE", "REASON", "TENANT", "STATUS"];
    let rows = letters.iter().map(|letter| {
        vec![
            letter.id.to_string(),
            letter.signal.clone(),
            letter.items.to_string(),
            bytes(letter.bytes),
            duration(letter.age_seconds),
            letter.reason.clone(),
            if letter.tenant.is_empty() { "-".to_owned() } else { letter.tenant.clone() },
            letter.status.clone(),
        ]
    });
    table(&heads, rows)
}

/// What is known of a letter, in front of what is in it.
pub fn letter(queue: &str, letter: &Letter) -> String {
    let mut out = format!("Dead letter {} of {queue}\n", letter.id);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {name:<9} {}", escaped(value));
        }
    };
    line("reason", &letter.reason);
    line("status", &letter.status);
    line("signal", &format!("{}, {}, {}", letter.signal, count(letter.items, "item"), bytes(letter.bytes)));
    line("tenant", &letter.tenant);
    line("received", &letter.received);
    line("parked", &format!("{} ({} ago)", letter.parked, duration(letter.age_seconds)));
    line("record", &letter.origin_seq.to_string());
    out
}

/// What was done.
pub fn done(done: &Done) -> String {
    let how = match done.action {
        Action::Replay => "sent again",
        Action::Drop => "dropped",
    };
    let letters = count(done.letters, "dead letter");
    format!("{how}: {letters} ({}) of {}\n", count(done.items, "item"), escaped(&done.queue))
}

/// `1 item`, `2 items`.
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Columns as wide as they must be. Heads that begin with `>` are of numbers, which stand to the right.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let names = heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect();
    let escape = |row: Vec<String>| row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = std::iter::once(names).chain(rows.map(escape)).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for ((cell, width), head) in line.iter().zip(&widths).zip(heads) {
            if !text.is_empty() {
                text.push_str("  ");
            }
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (left, right) = if head.starts_with('>') { (padding.as_str(), "") } else { ("", padding.as_str()) };
            let _ = write!(text, "{left}{cell}{right}");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// `1.5 MiB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `4m12s`: the two largest units.
fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    let all = seconds as u64;
    let units = [(all / 86_400, "d"), (all / 3600 % 24, "h"), (all / 60 % 60, "m"), (all % 60, "s")];
    let first = units.iter().position(|(number, _)| *number > 0).unwrap_or(units.len() - 1);
    units.iter().skip(first).take(2).map(|(number, unit)| format!("{number}{unit}")).collect()
}

/// Control characters as text: what others sent must not drive the terminal.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            let _ = write!(out, "\\x{:02x}", character as u32);
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests;
