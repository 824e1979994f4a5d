//! The collector's own log, on stderr, in upstream's line format (collector-compat §1.10).

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use sluice_config::service::{Encoding, LogLevel, Logs};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Lines as upstream's zap encoder writes them.
struct ZapFormat {
    json: bool,
}

#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), quoted(&format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.push((field.name(), quoted(value)));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.to_string()));
    }
}

/// A JSON string. Control characters are escaped, so that nothing a peer sends reaches a terminal raw.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn level(level: &tracing::Level) -> &'static str {
    match *level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        _ => "debug",
    }
}

impl<S, N> FormatEvent<S, N> for ZapFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let level = level(event.metadata().level());
        if self.json {
            let message = quoted(&parts.message);
            write!(out, "{{\"level\":\"{level}\",\"ts\":{:.6},\"msg\":{message}", now.as_secs_f64())?;
            for (name, value) in &parts.fields {
                write!(out, ",{}:{value}", quoted(name))?;
            }
            return writeln!(out, "}}");
        }
        write!(out, "{}\t{level}\t", iso8601(now.as_millis()))?;
        // Messages are ours, but errors inside them may quote a peer.
        for character in parts.message.chars() {
            match character {
                '\n' | '\t' => out.write_char(character)?,
                control if control.is_control() => write!(out, "\\x{:02x}", control as u32)?,
                other => out.write_char(other)?,
            }
        }
        if !parts.fields.is_empty() {
            out.write_str("\t{")?;
            for (index, (name, value)) in parts.fields.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(out, "{comma}{}: {value}", quoted(name))?;
            }
            out.write_char('}')?;
        }
        writeln!(out)
    }
}

/// Milliseconds since the epoch as `2026-01-02T03:04:05.678Z`.
pub(crate) fn iso8601(millis: u128) -> String {
    let (days, in_day) = ((millis / 86_400_000) as i64, (millis % 86_400_000) as u64);
    // Civil date from days, after H. Hinnant's public-domain algorithm.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (seconds, ms) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// Installs the log for the process. Later calls change nothing.
pub fn install(config: &Logs) {
    let max = match config.level {
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        _ => tracing::Level::ERROR,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(max)
        .with_writer(std::io::stderr)
        .event_format(ZapFormat { json: config.encoding == Encoding::Json })
        .finish();
    // Fails only if a log is installed already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_with_milliseconds() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso8601(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(iso8601(4_102_444_799_999), "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(quoted("a\u{1b}[31m\"\n"), "\"a\\u001b[31m\\\"\\n\"");
    }
}
