//! Counting backend: OTLP/gRPC, OTLP/HTTP and Prometheus remote write, steered through a control port.

use clap::Parser;
use sluice_benches::sink::{Mode, Sink, serve_grpc, serve_http, steering};
use sluice_benches::{Error, control};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Counts what it is sent, and answers at once or as it is told to; prints its counts at the end")]
struct Options {
    /// OTLP/gRPC
    #[arg(long)]
    grpc: Option<SocketAddr>,
    /// OTLP/HTTP at /v1/…, remote write 1.0 and 2.0 at any other path
    #[arg(long)]
    http: Option<SocketAddr>,
    /// GET /stats, GET /track, POST /mode (ok, fail, refuse, hang, closed, delay=MS, rate=ITEMS), POST /reset
    #[arg(long)]
    control: Option<SocketAddr>,
    /// How it answers at first: ok, fail (UNAVAILABLE, 503), refuse (INVALID_ARGUMENT, 400), hang, closed,
    /// delay=MS, rate=ITEMS a second
    #[arg(long, default_value = "ok")]
    mode: Mode,
    /// Remember the keys of items that a generator with --track sent
    #[arg(long)]
    track: bool,
    /// Largest HTTP/2 frame it allows its senders, in bytes
    #[arg(long, default_value_t = 1 << 20)]
    max_frame: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let options = Options::parse();
    if options.grpc.is_none() && options.http.is_none() {
        return Err(Error::Invalid("--grpc or --http is needed".into()));
    }
    let sink = Arc::new(Sink::new(options.mode, options.track)?);
    let bind =
        async |address: SocketAddr| TcpListener::bind(address).await.map_err(Error::io(format!("listen on {address}")));
    if let Some(address) = options.grpc {
        tokio::spawn(serve_grpc(bind(address).await?, Arc::clone(&sink), options.max_frame));
    }
    if let Some(address) = options.http {
        tokio::spawn(serve_http(bind(address).await?, Arc::clone(&sink)));
    }
    if let Some(address) = options.control {
        tokio::spawn(control::serve(bind(address).await?, steering(Arc::clone(&sink))));
    }
    sluice_benches::stop_signal().await;
    let report = serde_json::to_string(&sink.stats.report()).map_err(|error| Error::Invalid(error.to_string()))?;
    println!("{report}");
    Ok(())
}
