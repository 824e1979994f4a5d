//! Configuration of Sluice: YAML text to one spanned tree, merged and expanded with a source map, decoded with
//! positions, and every finding a [`Diagnostic`].
//!
//! What it must never do: touch files, the network or the environment by itself (a [`Sources`] is passed in), know a
//! component, print a secret, or panic on any input.
//!
//! The way of a configuration:
//!
//! 1. [`resolve`] reads `--config` and `--set` sources through [`Sources`], merges them and expands `${…}`:
//!    a [`Document`].
//! 2. [`service::Service::load`] finds components, pipelines and the `service` section in it, and checks the graph.
//! 3. A component's factory calls [`decode()`] on its [`Node`] to get its config struct, and its `validate()` reports
//!    through [`Problems`]. See [`mod@decode`] for what a config struct may hold.
//! 4. [`render`] prints what was found.
//!
//! ```
//! use sluice_config::{Args, FixedSources, GoDuration, resolve, render, service};
//!
//! #[derive(serde::Deserialize, Default)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     timeout: GoDuration,
//! }
//!
//! let sources = FixedSources::default().file("a.yaml", "
//! receivers: {otlp: }
//! exporters: {debug: {timeuot: 5s}}
//! service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
//! ");
//! let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
//! let document = resolve(&args, &sources).unwrap();
//! let catalog = service::Catalog { receivers: &["otlp"], exporters: &["debug"], ..Default::default() };
//! let (service, mut found) = service::Service::load(&document, &catalog, service::Gates::default());
//! for component in service.of_kind(sluice_config::Kind::Exporter) {
//!     if let Err(problems) = component.decode::<Config>() {
//!         found.extend(problems);
//!     }
//! }
//! let text = render::human(&found, render::Style::default());
//! assert!(text.contains("did you mean `timeout`?"), "{text}");
//! ```

mod alias;
pub mod codes;
mod complete;
pub mod decode;
mod diagnostic;
pub mod encode;
mod excerpt;
mod ids;
pub mod lint;
pub mod print;
pub mod redact;
pub mod render;
mod resolve;
mod scalar;
pub mod service;
pub mod shape;
pub mod source;
mod spelling;
pub mod suggest;
pub mod tree;
mod upstream;
mod yaml;

pub use alias::{Canonical, Kind, canonical, canonical_detector, old_names, warning as alias_warning};
pub use complete::complete;
pub use decode::{ByteSize, GoDuration, Headers, Problems, Secret, Toggle, decode};
pub use diagnostic::{Diagnostic, Edit, Label, Severity, sort};
pub use ids::{ComponentId, IdError, PipelineId, Signal};
pub use resolve::{Args, Document, FixedSources, Sources, SystemSources, resolve};
pub use source::Origin;
pub use tree::{Node, Value};
pub use yaml::{MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};

/// A text in double quotes, escaped as Go's `%q` does.
pub(crate) fn quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
