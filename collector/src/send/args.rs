//! `sluice send` on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sluice_net::Encoding;
use sluice_net::http::{HeaderName, HeaderValue};
use sluice_pipeline::Signal;

use crate::cli::Output;

/// `sluice send`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["signal", "scenario"])))]
pub struct SendArgs {
    /// A steady load of one signal.
    #[arg(value_enum)]
    pub signal: Option<SendSignal>,

    /// A whole system instead: traces, logs and metrics that belong together, sent as its SDKs would.
    #[arg(long, value_enum, value_name = "NAME")]
    pub scenario: Option<Scenario>,

    #[command(flatten)]
    pub target: TargetArgs,

    /// Seed: the same one gives the same telemetry, but for the time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Plant e-mail addresses, card numbers and tokens into this share of spans and logs; without a value 0.05.
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_value_t = 0.0, default_missing_value = "0.05")]
    pub secrets: f64,

    /// Write the planted secrets to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub planted: Option<PathBuf>,

    #[command(flatten)]
    pub load: LoadArgs,

    #[command(flatten)]
    pub replay: ReplayArgs,

    /// Format of the summary.
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "human")]
    pub output: Output,
}

/// Where to, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// `host:port`, or a URL. Default: 127.0.0.1:4317 for gRPC, 127.0.0.1:4318 for HTTP.
    #[arg(long, visible_alias = "to", alias = "otlp-endpoint", value_name = "ADDR|URL")]
    pub endpoint: Option<String>,

    /// gRPC, or HTTP with protobuf or JSON bodies.
    #[arg(long, value_enum, value_name = "NAME", default_value = "grpc")]
    pub protocol: Protocol,

    /// A header of each request.
    #[arg(long, alias = "otlp-header", value_name = "K=V", value_parser = header)]
    pub header: Vec<(HeaderName, HeaderValue)>,

    /// Compression of request bodies: none, gzip or zstd.
    #[arg(long, value_name = "NAME", default_value = "none", value_parser = encoding)]
    pub compression: Compression,

    /// Plain text. The default, unless the endpoint is https:// or a flag below is given.
    #[arg(long, alias = "otlp-insecure", conflicts_with_all = ["tls", "ca", "cert", "insecure_skip_verify", "server_name"])]
    pub insecure: bool,

    /// TLS, verified with the system's authorities unless --ca names others.
    #[arg(long)]
    pub tls: bool,

    /// Authorities to trust, PEM.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Own certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// Accept any certificate.
    #[arg(long)]
    pub insecure_skip_verify: bool,

    /// The name to verify instead of the host's.
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,

    /// Time for one request.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,

    /// How long a request that is refused for now is sent again before it is given up.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub retry_for: Duration,
}

/// A steady load.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load of one signal")]
pub struct LoadArgs {
    /// Spans, log records or data points a second; fast as can be without.
    #[arg(long, value_name = "N", conflicts_with = "scenario", value_parser = positive)]
    pub rate: Option<f64>,

    /// How many spans, log records or data points. Default: 100, unless --duration is given.
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "scenario")]
    pub count: Option<u64>,

    /// For how long.
    #[arg(long, value_name = "TIME", conflicts_with = "scenario", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Requests under way at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,

    /// Items in a request.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: u32,

    /// The `service.name` of all of it, instead of those of the shop.
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub service: Option<String>,

    /// An attribute of all resources.
    #[arg(long, alias = "otlp-attributes", value_name = "K=V", conflicts_with = "scenario", value_parser = attribute)]
    pub attr: Vec<(String, String)>,

    /// Share of customers' requests that fail, from 0 to 1. Default: what the shop's operations have for themselves.
    #[arg(long, value_name = "SHARE", conflicts_with = "scenario")]
    pub error_ratio: Option<f64>,
}

/// A scenario.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scenario")]
pub struct ReplayArgs {
    /// How long customers come.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,

    /// Times faster than life.
    #[arg(long, visible_alias = "time-scale", value_name = "X", default_value_t = 1.0, value_parser = positive)]
    pub speed: f64,

    /// New traces a second.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    pub traces_per_second: f64,

    /// Processes of each service.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub instances: u16,

    /// Export timers: `default` (spans 5 s, logs 1 s, metrics 60 s or the length of the run), or one time for all.
    #[arg(long, value_name = "default|TIME", default_value = "default")]
    pub timers: String,

    /// Late, repeated and lost exports, and clocks that are off.
    #[arg(long)]
    pub disturbed: bool,

    /// Share of traces that SDKs sample.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub sampled: f64,

    /// Write the sampling threshold to `tracestate` (`ot=th`).
    #[arg(long)]
    pub threshold: bool,

    /// Share of logs and spans with broken ids.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub pathologies: f64,

    /// One trace with this many spans.
    #[arg(long, value_name = "SPANS")]
    pub giant: Option<u32>,

    /// Write what really happened to this file as JSON.
    #[arg(long, value_name = "FILE", requires = "scenario")]
    pub truth: Option<PathBuf>,
}

/// Signals, as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SendSignal {
    Traces,
    Metrics,
    Logs,
}

impl From<SendSignal> for Signal {
    fn from(signal: SendSignal) -> Self {
        match signal {
            SendSignal::Traces => Signal::Traces,
            SendSignal::Metrics => Signal::Metrics,
            SendSignal::Logs => Signal::Logs,
        }
    }
}

/// Scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    Shop,
}

/// OTLP's transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    Grpc,
    Http,
    Json,
}

/// Compression of requests.
pub type Compression = Option<Encoding>;

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a header name"))?;
    // What it says may be a credential, so it is not repeated.
    let mut value: HeaderValue =
        value.trim().trim_matches('"').parse().map_err(|_| "the value is not a header value")?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
}

fn encoding(text: &str) -> Result<Compression, String> {
    match text {
        "none" => Ok(None),
        "gzip" => Ok(Some(Encoding::Gzip)),
        "zstd" => Ok(Some(Encoding::Zstd)),
        _ => Err("expected none, gzip or zstd".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("must be more than 0".to_owned()) }
}

/// `500ms`, `10s`, `5m`, `1h`, or seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let value: f64 = digits.parse().map_err(|_| "expected a time such as 500ms, 10s or 5m")?;
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected ms, s, m or h".to_owned()),
    };
    let whole = Duration::try_from_secs_f64(value * unit).map_err(|_| "out of range")?;
    if whole.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_unit() {
        let cases = [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("1.5m", Some(90_000)),
            ("2", Some(2_000)),
            ("1h", Some(3_600_000)),
        ];
        for (text, millis) in cases.into_iter().chain(["", "s", "0s", "-1s", "1d", "1e400s"].map(|bad| (bad, None))) {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_bad_header_is_refused_without_being_shown() {
        assert_eq!(header("X-Tenant=a=b").unwrap().1, "a=b");
        assert!(!header("authorization=Bearer \u{7}secret").unwrap_err().contains("secret"));
        assert!(header("none").is_err() && header("a b=c").is_err());
    }
}
