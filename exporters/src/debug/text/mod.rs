//! Telemetry as text, in the layout of upstream's debug exporter.

mod logs;
mod metrics;
mod traces;
mod value;

use std::fmt::Write as _;

use sluice_pdata::view::{AttributesView, ResourceView, ScopeView, text};
use sluice_pdata::{Error, Signal};

use super::config::Verbosity;
use value::{any_value, escaped};

/// A batch as it is shown.
pub struct Shown {
    /// One line of counts.
    pub summary: String,
    /// Empty at verbosity basic.
    pub text: String,
}

/// Renders a request. What comes out is safe to print on a terminal.
///
/// # Errors
/// The bytes are not a request of this signal.
pub fn render(signal: Signal, request: &[u8], verbosity: Verbosity) -> Result<Shown, Error> {
    let mut out = Out { text: String::new(), verbosity };
    let summary = match signal {
        Signal::Traces => traces::render(request, &mut out)?,
        Signal::Metrics => metrics::render(request, &mut out)?,
        Signal::Logs => logs::render(request, &mut out)?,
    };
    Ok(Shown { summary, text: out.text })
}

/// Text under construction.
pub(super) struct Out {
    text: String,
    verbosity: Verbosity,
}

impl Out {
    fn is_detailed(&self) -> bool {
        self.verbosity == Verbosity::Detailed
    }

    fn is_normal(&self) -> bool {
        self.verbosity == Verbosity::Normal
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    fn attributes(&mut self, title: &str, attributes: AttributesView<'_>, indent: &str) -> Result<(), Error> {
        let mut first = true;
        for pair in attributes.iter() {
            let pair = pair?;
            if std::mem::take(&mut first) {
                self.line(title);
            }
            let value = any_value(pair.value()?)?;
            self.line(format!("{indent}-> {}: {value}", escaped(&text(pair.key()))));
        }
        Ok(())
    }

    fn resource(&mut self, resource: ResourceView<'_>, schema_url: &[u8]) -> Result<(), Error> {
        self.line(format!("Resource SchemaURL: {}", escaped(&text(schema_url))));
        self.attributes("Resource attributes:", resource.attributes(), "     ")
    }

    fn scope(&mut self, kind: &str, scope: ScopeView<'_>, schema_url: &[u8]) -> Result<(), Error> {
        self.line(format!("{kind} SchemaURL: {}", escaped(&text(schema_url))));
        let (name, version) = (text(scope.name()?), text(scope.version()?));
        self.line(format!("InstrumentationScope {} {}", escaped(&name), escaped(&version)));
        self.attributes("InstrumentationScope attributes:", scope.attributes(), "     ")
    }

    /// ` key=value` for each attribute: the one-line form.
    fn inline(&self, attributes: AttributesView<'_>) -> Result<String, Error> {
        let mut line = String::new();
        for pair in attributes.iter() {
            let pair = pair?;
            let value = value::plain(pair.value()?)?;
            let _ = write!(line, " {}={value}", escaped(&text(pair.key())));
        }
        Ok(line)
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
