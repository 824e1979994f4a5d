//! Clients that do everything right, beside attackers: what became of each request, and how long it took.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::durable_load::post;
use crate::load::{connect, export};
use crate::wire::trace;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(3);
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests over HTTP/1 on one connection: new connections have to be served as well.
const A_CONNECTION: usize = 20;

/// One request.
#[derive(Clone)]
struct Sample {
    began: Instant,
    took: Duration,
    /// Why it failed.
    error: Option<String>,
}

/// A client of each protocol.
pub struct Good {
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<Sample>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// What became of the requests of some time.
#[derive(Clone, Default)]
pub struct Served {
    took: Vec<Duration>,
    pub errors: Vec<String>,
}

impl Served {
    pub fn requests(&self) -> usize {
        self.took.len() + self.errors.len()
    }

    /// The time within which 99 of 100 requests were served.
    pub fn p99(&self) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1 + sorted.len() / 100)).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: Served) {
        self.took.extend(other.took);
        self.errors.extend(other.errors);
    }
}

impl Good {
    /// `renews`: whether new connections are made all the time.
    pub fn start(grpc: u16, http: u16, renews: bool) -> Self {
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let over_grpc = {
            let (stop, log) = (Arc::clone(&stop), Arc::clone(&log));
            std::thread::spawn(move || over_grpc(grpc, &stop, &log))
        };
        let over_http = {
            let (stop, log) = (Arc::clone(&stop), Arc::clone(&log));
            std::thread::spawn(move || over_http(http, if renews { A_CONNECTION } else { usize::MAX }, &stop, &log))
        };
        Good { stop, log, threads: vec![over_grpc, over_http] }
    }

    /// What began in this time.
    pub fn between(&self, from: Instant, to: Instant) -> Served {
        let mut served = Served::default();
        for sample in self.log.lock().unwrap().iter().filter(|sample| (from..to).contains(&sample.began)) {
            match &sample.error {
                None => served.took.push(sample.took),
                Some(error) => served.errors.push(error.clone()),
            }
        }
        served
    }

    /// Waits until both clients have begun.
    pub fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.log.lock().unwrap().len() < 20 {
            assert!(Instant::now() < deadline, "the good clients do not get through");
            std::thread::sleep(PAUSE);
        }
    }

    pub fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn over_grpc(port: u16, stop: &AtomicBool, log: &Mutex<Vec<Sample>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sender = None;
        while !stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            let attempt = async {
                let connected = match sender.take() {
                    Some(sender) => sender,
                    None => connect(port).await.map_err(|error| format!("gRPC: {error}"))?,
                };
                match export(connected.clone(), "good").await.map_err(|error| format!("gRPC: {error}"))? {
                    0 => Ok(connected),
                    code => Err(format!("gRPC: status {code}")),
                }
            };
            let outcome = tokio::time::timeout(PATIENCE, attempt).await.unwrap_or(Err("gRPC: no answer".to_owned()));
            let error = outcome.map(|connected| sender = Some(connected)).err();
            log.lock().unwrap().push(Sample { began, took: began.elapsed(), error });
            tokio::time::sleep(PAUSE).await;
        }
    });
}

fn over_http(port: u16, a_connection: usize, stop: &AtomicBool, log: &Mutex<Vec<Sample>>) {
    let body = trace("good");
    let mut stream: Option<(TcpStream, usize)> = None;
    while !stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        let mut attempt = || {
            let (mut connected, used) = match stream.take() {
                Some(connected) => connected,
                None => {
                    let connected =
                        TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("HTTP: {error}"))?;
                    connected.set_nodelay(true).unwrap();
                    connected.set_read_timeout(Some(PATIENCE)).unwrap();
                    (connected, 0)
                }
            };
            match post(&mut connected, "application/x-protobuf", &body) {
                Some(200) if used + 1 < a_connection => stream = Some((connected, used + 1)),
                Some(200) => {
                    // A polite end, which leaves nothing for the server to wait for.
                    let _ = connected.shutdown(std::net::Shutdown::Write);
                    let _ = connected.read(&mut [0]);
                }
                other => return Err(format!("HTTP: {other:?}")),
            }
            Ok(())
        };
        let error = attempt().err();
        log.lock().unwrap().push(Sample { began, took: began.elapsed(), error });
        std::thread::sleep(PAUSE);
    }
}
