//! OTLP generator: sends prepared requests and prints one JSON line about how they were answered.

use clap::Parser;
use http::Method;
use serde_json::{Value, json};
use sluice_benches::client::{Protocol, Target};
use sluice_benches::encoding::Encoding;
use sluice_benches::load::{Load, Plan};
use sluice_benches::payload::Shape;
use sluice_benches::ring::{Preparation, Ring};
use sluice_benches::signal::Signal;
use sluice_benches::{Error, control};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Sends OTLP requests and prints one JSON line about how they were answered")]
struct Options {
    /// host:port of the collector
    #[arg(long, default_value = "127.0.0.1:4317")]
    target: String,
    #[arg(long, value_enum, default_value = "traces")]
    signal: Signal,
    #[arg(long, value_enum, default_value = "grpc")]
    protocol: Protocol,
    /// Path of OTLP/HTTP [default: the signal's, such as /v1/traces]
    #[arg(long)]
    path: Option<String>,
    /// Spans, log records or data points in each request
    #[arg(long, default_value_t = 1000)]
    items: u32,
    /// Items a second; without it requests are sent as fast as they are answered
    #[arg(long)]
    rate: Option<f64>,
    /// Requests in flight at most [default: 16 saturated, 256 at a rate]
    #[arg(long)]
    inflight: Option<u32>,
    /// gRPC connections
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Seconds to send for; without it until SIGINT, SIGTERM or POST /stop
    #[arg(long)]
    duration: Option<f64>,
    #[arg(long, value_enum, default_value = "none")]
    compression: Encoding,
    /// Share of spans with http.route /healthz, or of log records below INFO
    #[arg(long, default_value_t = 0.05)]
    drop_share: f64,
    /// Different bodies to send in turn
    #[arg(long, default_value_t = 16)]
    bodies: u32,
    /// Seconds after which a body's timestamps are renewed [default: 1; metrics: 0, at each send; compressed: 10]
    #[arg(long)]
    refresh: Option<f64>,
    /// Seconds to wait for an answer
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// Give each item the key (run, client, sequence number), which a sink with --track looks for
    #[arg(long)]
    track: bool,
    #[arg(long, default_value_t = 1)]
    run: u32,
    #[arg(long, default_value_t = 1)]
    client: u32,
    /// Items of a trace, which come in four requests; without it each item has a trace id of its own
    #[arg(long, conflicts_with = "track")]
    trace_items: Option<u32>,
    /// Send again what was refused retryably or not answered
    #[arg(long)]
    retry: bool,
    /// Serve GET /stats, POST /window, POST /pause, POST /resume and POST /stop here
    #[arg(long)]
    control: Option<SocketAddr>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = Options::parse();
    let tracked = options.track.then_some((options.run, options.client));
    let shape = Shape {
        signal: options.signal,
        items: options.items.max(1),
        drop_share: options.drop_share,
        tracked: options.track,
    };
    let refresh = options.refresh.unwrap_or(match (options.compression, options.signal) {
        (Encoding::None, Signal::Metrics) => 0.0,
        (Encoding::None, _) => 1.0,
        _ => 10.0,
    });
    let preparation = Preparation {
        encoding: options.compression,
        grpc: options.protocol == Protocol::Grpc,
        refresh: seconds(refresh)?,
        tracked,
        trace_items: options.trace_items,
    };
    let mut ring = Ring::new(&shape, options.bodies, preparation);
    ring.prepare()?;
    eprintln!(
        "loadgen: {} bodies of {} items, {} bytes each, {} of the items are to be dropped",
        options.bodies,
        shape.items,
        ring.mean_size(),
        shape.dropped_items()
    );
    let plan = Plan {
        items: shape.items,
        to_drop: shape.dropped_items(),
        rate: options.rate,
        inflight: options.inflight.unwrap_or(if options.rate.is_some() { 256 } else { 16 }),
        connections: options.connections,
        timeout: seconds(options.timeout)?,
        retry: options.retry,
        tracked,
    };
    let load = Arc::new(Load::new(plan, ring)?);
    if let Some(address) = options.control {
        let listener = TcpListener::bind(address).await.map_err(Error::io(format!("control port {address}")))?;
        tokio::spawn(control::serve(listener, steering(Arc::clone(&load))));
    }
    let target = Target {
        address: options.target,
        path: match options.protocol {
            Protocol::Grpc => options.signal.grpc_path().to_owned(),
            Protocol::Http => options.path.unwrap_or_else(|| options.signal.http_path().to_owned()),
        },
        signal: options.signal,
        protocol: options.protocol,
        encoding: options.compression,
    };
    let stopper = Arc::clone(&load);
    tokio::spawn(async move {
        sluice_benches::stop_signal().await;
        stopper.stop();
    });
    load.run(target, options.duration.map(seconds).transpose()?).await?;
    let report = serde_json::to_string(&load.report()).map_err(|error| Error::Invalid(error.to_string()))?;
    println!("{report}");
    Ok(())
}

fn seconds(value: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(value).map_err(|error| Error::Invalid(format!("{value} seconds: {error}")))
}

fn steering(load: Arc<Load>) -> Arc<control::Handler> {
    Arc::new(move |method, path, _| {
        let json = |report| serde_json::to_value(report).map_err(|error| Error::Invalid(error.to_string()));
        Some(match (method, path) {
            (&Method::GET, "/stats") => json(load.report()),
            (&Method::POST, "/window") => {
                load.open_window();
                json(load.report())
            }
            (&Method::POST, "/pause" | "/resume" | "/stop") => {
                match path {
                    "/pause" => load.pause(),
                    "/resume" => load.resume(),
                    _ => load.stop(),
                }
                Ok::<Value, Error>(json!({}))
            }
            _ => return None,
        })
    })
}
