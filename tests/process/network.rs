//! A network that is slow, cut in pieces, stalled, broken off or silent, in front of the collector and behind it: nothing that
//! was acknowledged is lost, and it heals by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::durable::{Folder, balances, exporter, terminate, whole};
use crate::durable_load::Log;
use crate::durable_sink::{Sink, name};
use crate::load::{connect, export};
use crate::sluice::{Sluice, free_port};
use crate::wire::{PROTOBUF, http, trace, trace_json};

/// How long a fault lasts.
const LASTS: Duration = Duration::from_millis(1000);
/// A fresh item is through after this (delivery §11).
const HEALS: Duration = Duration::from_secs(5);

/// What a network does to bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Each piece is late, by up to so many milliseconds.
    Late(u64),
    /// In pieces of a few bytes.
    Sliced,
    /// So many bytes a second.
    Narrow(u64),
    /// Broken off after so many bytes, without a good-bye.
    Reset(usize),
    /// Nothing passes, and the connection stays; a connection that was made meanwhile never works again.
    Silent,
}

const FAULTS: [Fault; 6] =
    [Fault::Late(40), Fault::Sliced, Fault::Narrow(20_000), Fault::Reset(700), Fault::Reset(5000), Fault::Silent];

/// A network between two ports, with a fault that can be changed.
struct Network {
    port: u16,
    fault: Arc<Mutex<Fault>>,
}

impl Network {
    fn to(target: u16) -> Self {
        let (port, fault) = (free_port(), Arc::new(Mutex::new(Fault::None)));
        let (shared, ready) = (Arc::clone(&fault), Arc::new(AtomicBool::new(false)));
        let listening = Arc::clone(&ready);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                listening.store(true, Ordering::SeqCst);
                while let Ok((near, _)) = listener.accept().await {
                    tokio::spawn(connection(near, target, Arc::clone(&shared)));
                }
            });
        });
        while !ready.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Network { port, fault }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

async fn connection(near: TcpStream, target: u16, fault: Arc<Mutex<Fault>>) {
    let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, target))).await;
    let Ok(far) = far else { return };
    // Closed with bytes unread or a linger of zero, a connection ends by a reset.
    for stream in [&near, &far] {
        stream.set_zero_linger().unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let (near, far) = (near.into_split(), far.into_split());
    let was_silent = Arc::new(AtomicBool::new(false));
    tokio::select! {
        () = carry(near.0, far.1, &fault, &was_silent) => {}
        () = carry(far.0, near.1, &fault, &was_silent) => {}
    }
}

/// Carries bytes one way, until one side is gone or the network breaks off.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    fault: &Mutex<Fault>,
    was_silent: &AtomicBool,
) {
    let (mut buffer, mut carried, mut turn) = (vec![0; 16 << 10], 0usize, 0u64);
    loop {
        let now = *fault.lock().unwrap();
        let most = match now {
            Fault::Sliced => 3,
            Fault::Narrow(rate) => (rate / 100) as usize,
            _ => buffer.len(),
        };
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        let now = *fault.lock().unwrap();
        turn += 1;
        carried += read;
        match now {
            Fault::Late(most) => tokio::time::sleep(Duration::from_millis(turn * 17 % most)).await,
            Fault::Narrow(rate) => tokio::time::sleep(Duration::from_micros(read as u64 * 1_000_000 / rate)).await,
            Fault::Reset(after) if carried > after => return,
            Fault::Silent => was_silent.store(true, Ordering::SeqCst),
            _ => {}
        }
        if was_silent.load(Ordering::SeqCst) {
            // What it took never comes out, and neither side is told.
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Clients of all three protocols that send one item after another and begin anew when something breaks.
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Clients {
    fn start(grpc: u16, plain: u16, log: &Arc<Log>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |client: fn(u16, &Log, &AtomicBool), port: u16| {
            let (log, stop) = (Arc::clone(log), Arc::clone(&stop));
            std::thread::spawn(move || client(port, &log, &stop))
        };
        let threads = vec![spawn(over_grpc, grpc), spawn(over_http, plain), spawn(as_json, plain)];
        Clients { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// Longest that a client waits for an answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);

fn over_grpc(port: u16, log: &Log, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        while !stop.load(Ordering::SeqCst) {
            let attempt = async {
                let sender = connect(port).await.ok()?;
                while !stop.load(Ordering::SeqCst) {
                    let item = log.next(1);
                    let sent = tokio::time::timeout(CLIENT_PATIENCE, export(sender.clone(), &name(item))).await;
                    match sent.ok()?.ok()? {
                        0 => log.ack(item..item + 1),
                        _ => continue,
                    }
                }
                Some(())
            };
            let _ = attempt.await;
        }
    });
}

fn over_http(port: u16, log: &Log, stop: &AtomicBool) {
    plain(port, log, stop, |item| ("application/x-protobuf", trace(&name(item))));
}

fn as_json(port: u16, log: &Log, stop: &AtomicBool) {
    plain(port, log, stop, |item| ("application/json", trace_json(&name(item)).into_bytes()));
}

fn plain(port: u16, log: &Log, stop: &AtomicBool, body: fn(u64) -> (&'static str, Vec<u8>)) {
    while !stop.load(Ordering::SeqCst) {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { continue };
        stream.set_read_timeout(Some(CLIENT_PATIENCE)).unwrap();
        while !stop.load(Ordering::SeqCst) {
            let item = log.next(1);
            let (content_type, body) = body(item);
            match crate::durable_load::post(&mut stream, content_type, &body) {
                Some(200) => log.ack(item..item + 1),
                Some(_) => {}
                None => break,
            }
        }
    }
}

#[test]
fn whatever_the_network_does_nothing_acknowledged_is_lost_and_it_heals() {
    let folder = Folder::new("network");
    let sink_port = free_port();
    let sink = Sink::start(sink_port);
    let behind = Network::to(sink_port);
    let extension = format!("journal/main: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display());
    let exporter = exporter(0, behind.port, "").replace("timeout: 60s", "timeout: 1s");
    let config = whole(&extension, &exporter, "ack: durable, journal: journal/main, ", "", "otlp_grpc/0");
    let sluice = Sluice::start(&["-c", &config]);
    let (grpc, plain) = (Network::to(sluice.grpc), Network::to(sluice.http));
    let log = Arc::new(Log::default());
    let clients = Clients::start(grpc.port, plain.port, &log);
    for (side, networks) in [("in front", vec![&grpc, &plain]), ("behind", vec![&behind])] {
        for fault in FAULTS {
            let before = log.acked().len();
            networks.iter().for_each(|network| network.set(fault));
            std::thread::sleep(LASTS);
            networks.iter().for_each(|network| network.set(Fault::None));
            let healed = Instant::now();
            let item = log.next(1);
            let answer = http(plain.port, "POST", "/v1/traces", &[PROTOBUF], &trace(&name(item)));
            assert_eq!(answer.status, 200, "{fault:?} {side}");
            log.ack(item..item + 1);
            let late = sink.missing_when(&[item].into(), || healed.elapsed() > HEALS);
            assert!(late.is_empty(), "{fault:?} {side}: not through after {:?}", healed.elapsed());
            let acked = log.acked().len() - before;
            println!("{fault:?} {side}: {acked} acknowledged, a fresh item is through after {:?}", healed.elapsed());
        }
    }
    clients.end();
    let acked = log.acked();
    let missing = sink.missing(&acked);
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acked.len());
    balances(sluice.metrics);
    terminate(sluice, 1);
}
