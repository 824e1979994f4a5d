//! What a destination will never take, through the binary: found, put aside on disk, and accounted for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::admin::ledger;
use crate::durable::{Folder, balances, exporter, metrics, terminate, whole};
use crate::durable_sink::{items, name};
use crate::queue::start;
use crate::sluice::{Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, http, traces};

const PATIENCE: Duration = Duration::from_secs(30);

/// The gRPC status of a request with these items.
type Verdict = Box<dyn Fn(&[u64]) -> u32 + Send + Sync>;

/// A destination that judges what it is sent.
struct Judge {
    requests: AtomicUsize,
    taken: Mutex<HashMap<u64, usize>>,
    verdict: Verdict,
}

impl Judge {
    fn start(port: u16, verdict: impl Fn(&[u64]) -> u32 + Send + Sync + 'static) -> Arc<Self> {
        let taken = Mutex::default();
        let judge = Arc::new(Judge { requests: AtomicUsize::new(0), taken, verdict: Box::new(verdict) });
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::clone(&judge);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            });
        });
        judge
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn taken(&self) -> HashMap<u64, usize> {
        self.taken.lock().unwrap().clone()
    }

    fn status(&self, body: &[u8]) -> u32 {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let items = items(body);
        let status = (self.verdict)(&items);
        if status == 0 {
            let mut taken = self.taken.lock().unwrap();
            items.into_iter().for_each(|item| *taken.entry(item).or_default() += 1);
        }
        status
    }
}

async fn serve(stream: tokio::net::TcpStream, judge: Arc<Judge>) {
    let mut server = h2::server::Builder::new();
    let Ok(mut connection) = server.initial_window_size(1 << 20).handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, Arc::clone(&judge)));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    judge: Arc<Judge>,
) -> Option<()> {
    let mut incoming = request.into_body();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data.ok()?;
        incoming.flow_control().release_capacity(data.len()).ok()?;
        body.extend_from_slice(&data);
    }
    let status = judge.status(&body);
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).ok()?;
    if status == 0 {
        stream.send_data(bytes::Bytes::from_static(&[0; 5]), false).ok()?;
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.to_string().parse().unwrap());
    stream.send_trailers(trailers).ok()
}

/// The value of a series of the exporter.
fn value(sluice: &Sluice, metric: &str) -> u64 {
    let (text, series) = (metrics(sluice.metrics), format!("{metric}{{exporter=\"otlp_grpc/0\"}} "));
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

fn config(folder: &Folder, port: u16, fields: &str) -> String {
    let extension = format!("journal/main: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display());
    whole(&extension, &exporter(0, port, fields), "ack: durable, ", "redaction", "otlp_grpc/0")
}

fn post(sluice: &Sluice, items: std::ops::Range<u64>) {
    let request = traces(&items.map(name).collect::<Vec<_>>());
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &request).status, 200);
}

#[test]
fn one_bad_item_of_8192_costs_few_requests_and_is_still_there_after_a_restart() {
    const INVALID_ARGUMENT: u32 = 3;
    let (folder, port) = (Folder::new("poison"), free_port());
    let judge = Judge::start(port, |items| if items.contains(&5000) { INVALID_ARGUMENT } else { 0 });
    let config = config(&folder, port, "");
    let sluice = Sluice::start(&["-c", &config]);
    post(&sluice, 0..8192);
    until("the bad item is put aside", || value(&sluice, "sluice_dlq_items") == 1);
    until("the others arrive", || judge.taken().len() == 8191);
    assert!(judge.taken().values().all(|&times| times == 1) && !judge.taken().contains_key(&5000));
    assert!(judge.requests() <= 1 + 15, "{} requests", judge.requests());
    assert_eq!(value(&sluice, "sluice_exporter_bisect_sends_total") as usize, judge.requests() - 1);
    post(&sluice, 8192..8193);
    until("what comes later passes", || judge.taken().len() == 8192);
    balances(sluice.metrics);
    terminate(sluice, 1);
    let requests = judge.requests();
    let sluice = Sluice::start(&["-c", &config]);
    until("it is there again", || value(&sluice, "sluice_dlq_items") == 1);
    post(&sluice, 8193..8194);
    until("delivery goes on", || judge.taken().len() == 8193);
    assert_eq!(judge.requests(), requests + 1, "nothing is sent again");
    balances(sluice.metrics);
    terminate(sluice, 1);
}

#[test]
fn when_the_dead_letters_are_full_of_what_must_be_kept_nothing_is_lost() {
    const INTERNAL: u32 = 13;
    let (folder, port) = (Folder::new("letters-full"), free_port());
    let repaired = Arc::new(AtomicBool::new(false));
    let works = Arc::clone(&repaired);
    let judge = Judge::start(port, move |_| if works.load(Ordering::SeqCst) { 0 } else { INTERNAL });
    let sluice = Sluice::start(&["-c", &config(&folder, port, ", dead_letter: {max_bytes: 32KiB}")]);
    for round in 0..40 {
        post(&sluice, round * 100..(round + 1) * 100);
    }
    until("the alarm", || value(&sluice, "sluice_destination_dead_letters_full") == 1);
    balances(sluice.metrics);
    let parked = value(&sluice, "sluice_dlq_items");
    assert!(parked < 4000, "{parked}");
    repaired.store(true, Ordering::SeqCst);
    until("all that was not put aside arrives", || {
        judge.taken().len() as u64 + value(&sluice, "sluice_dlq_items") == 4000
    });
    assert_eq!(value(&sluice, "sluice_destination_dead_letters_full"), 0);
    let text = metrics(sluice.metrics);
    assert!(!text.contains("reason=\"server_error\"") && !text.contains("reason=\"dlq_full\""), "{text}");
    balances(sluice.metrics);
    terminate(sluice, 1);
}

#[test]
fn what_was_refused_for_good_can_be_sent_again_once_the_destination_has_changed_its_mind() {
    const INVALID_ARGUMENT: u32 = 3;
    let (folder, port) = (Folder::new("letters-again"), free_port());
    let repaired = Arc::new(AtomicBool::new(false));
    let works = Arc::clone(&repaired);
    let bad = |item: &u64| item % 10 == 3;
    let judge =
        Judge::start(
            port,
            move |items| {
                if items.iter().any(bad) && !works.load(Ordering::SeqCst) { INVALID_ARGUMENT } else { 0 }
            },
        );
    let (sluice, api) = start(&folder, &config(&folder, port, ""));
    post(&sluice, 0..50);
    until("the bad ones are put aside", || value(&sluice, "sluice_dlq_items") == 5);
    until("the others arrive", || judge.taken().len() == 45);
    until("the ledger knows", || ledger(api)["parked"] == 5);
    let state = folder.path().to_str().unwrap();
    let queue = |arguments: &[&str]| {
        let output = run(&[&["queue"], arguments, &["--data-dir", state]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let listed = queue(&["list", "otlp_grpc/0"]);
    assert_eq!(listed.matches("permanent_error").count(), 5, "{listed}");
    let shown = queue(&["peek", "otlp_grpc/0"]);
    assert!((0..50).all(|item| shown.contains(&name(item)) == bad(&item)), "{shown}");
    // Still refused: they come back as new letters, and the command ends.
    assert!(queue(&["replay", "otlp_grpc/0", "--all", "--yes"]).starts_with("sent again: 5 dead letters (5 items)"));
    until("they are put aside again", || {
        ledger(api)["parked"] == 5 && ledger(api)["equations"][1]["held"]["traces"] == 0
    });
    balances(sluice.metrics);
    repaired.store(true, Ordering::SeqCst);
    assert!(queue(&["replay", "otlp_grpc/0", "--all", "--yes"]).starts_with("sent again: 5 dead letters"));
    until("all arrive", || judge.taken().len() == 50);
    assert!(judge.taken().values().all(|&times| times == 1));
    until("the ledger knows", || ledger(api)["equations"][1]["left"]["traces"] == 50);
    let ledger = ledger(api);
    assert_eq!((&ledger["parked"], &ledger["lost"]), (&0.into(), &0.into()), "{ledger}");
    assert_eq!(ledger["equations"][1]["entered"]["traces"], 50, "each counts once: {ledger}");
    balances(sluice.metrics);
    terminate(sluice, 1);
}
