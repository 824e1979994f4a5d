//! Ack mode `exported` in the binary: nobody is told that data is safe before the destinations have it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::durable::{Folder, balances};
use crate::durable_kills::number;
use crate::durable_load::{Load, Log};
use crate::durable_sink::Sink as Numbered;
use crate::exported_sink::{Says, Sink};
use crate::sluice::{Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, frame, grpc, http, trace, traces};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const TWO: [&str; 2] = ["x", "y"];
/// Never over in these tests.
const LONG: &str = "exported_timeout: 60s";

fn exporter(number: usize, port: u16, queue: &str) -> String {
    let retry = "initial_interval: 20ms, max_interval: 100ms";
    format!(
        "otlp_grpc/{number}: {{endpoint: '127.0.0.1:{port}', tls: {{insecure: true}}, compression: none, timeout: 60s, \
         retry_on_failure: {{{retry}}}, sending_queue: {{{queue}}}}}"
    )
}

/// Traces to a destination for each port and queue, with these settings of delivery.
fn config(delivery: &str, processors: &str, destinations: &[(u16, &str)]) -> String {
    let exporters = destinations.iter().enumerate().map(|(number, (port, queue))| exporter(number, *port, queue));
    let exporters = exporters.collect::<Vec<_>>().join(", ");
    let ids: Vec<String> = (0..destinations.len()).map(|number| format!("otlp_grpc/{number}")).collect();
    let ids = ids.join(", ");
    format!(
        "yaml:receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
processors: {{batch: {{timeout: 60s}}}}
exporters: {{{exporters}}}
service:
  delivery: {{{delivery}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [{processors}], exporters: [{ids}]}}}}"
    )
}

fn exported(delivery: &str, destinations: &[(u16, &str)]) -> Sluice {
    Sluice::start(&["-c", &config(&format!("ack: exported, {delivery}"), "", destinations)])
}

/// What a client was told: the status, and everything around it.
struct Answer {
    status: u16,
    text: String,
}

/// A client of each protocol, at work on a thread of its own: gRPC, HTTP.
fn clients(sluice: &Sluice) -> [Receiver<Answer>; 2] {
    let (grpc_port, http_port) = (sluice.grpc, sluice.http);
    let body = traces(&TWO.map(str::to_owned));
    let (message, [tell, tell_too]) = (frame(&body), [channel(), channel()]);
    std::thread::spawn(move || {
        let told = grpc(grpc_port, EXPORT, &[], &message);
        let details = told.headers.contains_key("grpc-status-details-bin");
        let _ = tell.0.send(Answer {
            status: told.code,
            text: format!("{}; details: {details}", told.message.replace("%20", " ")),
        });
    });
    std::thread::spawn(move || {
        let told = http(http_port, "POST", "/v1/traces", &[PROTOBUF], &body);
        let _ = tell_too.0.send(Answer { status: told.status, text: format!("{}\n{}", told.headers, told.body) });
    });
    [tell.1, tell_too.1]
}

fn answers(clients: [Receiver<Answer>; 2]) -> [Answer; 2] {
    clients.map(|client| client.recv_timeout(Duration::from_secs(60)).unwrap())
}

fn metrics(sluice: &Sluice) -> String {
    http(sluice.metrics, "GET", "/metrics", &[], b"").body
}

fn ends_well(sluice: Sluice) -> String {
    balances(sluice.metrics);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("does not balance") && !log.contains("panicked"), "{log}");
    log
}

#[test]
fn a_wait_that_nobody_could_meet_is_an_error_with_its_place() {
    let output = run(&["check", "-c", &config("ack: exported, exported_timeout: 0s", "", &[(1, "")])]);
    let found = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{found}");
    assert!(found.contains("`exported_timeout` must be positive") && found.contains(":5:47"), "{found}");
}

#[test]
fn success_comes_after_every_lossless_destination_has_it() {
    let [first, second, third] = [(); 3].map(|()| Sink::start(Says::Nothing));
    let sluice = exported(LONG, &[(first.port, ""), (second.port, ""), (third.port, "loss_tolerant: true")]);
    let shown = metrics(&sluice);
    assert!(shown.contains("sluice_delivery_mode{pipeline=\"traces\",mode=\"exported\"} 1"), "{shown}");
    assert!(shown.contains("sluice_lossy_mode{pipeline=\"traces\"} 0"), "{shown}");
    let clients = clients(&sluice);
    [&first, &second, &third].iter().for_each(|sink| sink.wait_for(1));
    first.say(Says::Taken);
    let lag = |number: usize, items: usize| {
        format!("sluice_destination_lag_items{{exporter=\"otlp_grpc/{number}\",data_type=\"traces\"}} {items}\n")
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while !metrics(&sluice).contains(&lag(0, 0)) || !metrics(&sluice).contains(&lag(1, 4)) {
        assert!(Instant::now() < patience, "{}", metrics(&sluice));
    }
    assert!(clients.iter().all(|client| client.try_recv().is_err()), "the second one has it not");
    second.say(Says::Taken);
    let [grpc, http] = answers(clients);
    assert_eq!((grpc.status, http.status), (0, 200), "{} {}", grpc.text, http.text);
    // What may be lost was not waited for, and is there still.
    assert!(metrics(&sluice).contains(&lag(2, 4)), "{}", metrics(&sluice));
    third.say(Says::Taken);
    ends_well(sluice);
}

#[test]
fn without_confirmation_in_time_clients_are_told_when_to_come_back() {
    let sink = Sink::start(Says::Nothing);
    let sluice = exported("exported_timeout: 200ms", &[(sink.port, "")]);
    for round in 1..=3 {
        let [grpc, http] = answers(clients(&sluice));
        assert_eq!((grpc.status, http.status), (14, 503), "round {round}: {} {}", grpc.text, http.text);
        assert!(grpc.text.contains("no confirmation in time; details: true"), "{}", grpc.text);
        assert!(http.text.contains("retry-after: ") && http.text.contains("no confirmation"), "{}", http.text);
    }
    let refused = "sluice_requests_refused_total{receiver=\"otlp\",cause=\"destination_unavailable\"} 6";
    assert!(metrics(&sluice).contains(refused), "{}", metrics(&sluice));
    balances(sluice.metrics);
    sink.say(Says::Taken);
    let [grpc, http] = answers(clients(&sluice));
    assert_eq!((grpc.status, http.status), (0, 200), "{} {}", grpc.text, http.text);
    let admitted = "sluice_items_admitted_total{pipeline=\"traces\",signal=\"traces\"} 4";
    assert!(metrics(&sluice).contains(admitted), "what was refused is not admitted:\n{}", metrics(&sluice));
    ends_well(sluice);
}

#[test]
fn what_the_destination_rejects_is_told_in_its_words() {
    let sink = Sink::start(Says::Status(3, "no such tenant"));
    let sluice = exported(LONG, &[(sink.port, "")]);
    let [grpc, http] = answers(clients(&sluice));
    assert_eq!((grpc.status, http.status), (3, 400), "{} {}", grpc.text, http.text);
    assert!(
        grpc.text.contains("no such tenant") && http.text.contains("no such tenant"),
        "{} {}",
        grpc.text,
        http.text
    );
    assert!(!http.text.contains("retry-after"), "{}", http.text);
    sink.say(Says::But(1, "one is too old"));
    let told = http_json(&sluice);
    assert!(told.contains("\"rejectedSpans\":\"1\",\"errorMessage\":\"one is too old\""), "{told}");
    // Without a queue, the same.
    let inline = config("ack: exported", "", &[(sink.port, "enabled: false")]);
    let other = Sluice::start(&["-c", &inline]);
    let told = http_json(&other);
    assert!(told.contains("\"rejectedSpans\":\"1\",\"errorMessage\":\"one is too old\""), "{told}");
    sink.say(Says::Status(14, "busy"));
    let [grpc, http] = answers(clients(&other));
    assert_eq!((grpc.status, http.status), (14, 503), "{} {}", grpc.text, http.text);
    // Whoever is not let in at all is not tried any longer than that.
    sink.say(Says::Status(7, "not you"));
    let [grpc, http] = answers(clients(&sluice));
    assert_eq!((grpc.status, http.status), (14, 503), "{} {}", grpc.text, http.text);
    sink.say(Says::Taken);
    ends_well(other);
    ends_well(sluice);
}

/// The body of a success.
fn http_json(sluice: &Sluice) -> String {
    let body = crate::wire::trace_json("x").replace("\"spans\":[", "\"spans\":[{\"name\":\"another\"},");
    let answer = http(sluice.http, "POST", "/v1/traces", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[test]
fn while_a_destination_is_down_requests_are_refused_before_they_are_read() {
    let (port, up) = (free_port(), Sink::start(Says::Taken));
    let sluice = exported(LONG, &[(port, ""), (up.port, "")]);
    let [grpc, http_answer] = answers(clients(&sluice));
    assert_eq!((grpc.status, http_answer.status), (14, 503), "{} {}", grpc.text, http_answer.text);
    // By its head alone: the body never comes.
    let mut stream = TcpStream::connect(("127.0.0.1", sluice.http)).unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/x-protobuf\r\n";
    stream.write_all(format!("{head}content-length: 1000\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    assert_eq!(crate::wire::grpc(sluice.grpc, EXPORT, &[], &frame(b"no export request")).code, 14);
    balances(sluice.metrics);
    // What it has in hand is what it probes with, so it notices by itself that the destination is back.
    let _back = Sink::on(port, Says::Taken);
    let patience = Instant::now() + Duration::from_secs(60);
    while http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &trace("again")).status != 200 {
        assert!(Instant::now() < patience, "the destination is back, and requests are refused");
    }
    ends_well(sluice);
}

#[test]
fn killed_under_load_nothing_that_it_acknowledged_was_only_in_memory() {
    let sinks = [(); 2].map(|()| free_port());
    let (first, second) = (Numbered::start(sinks[0]), Numbered::start(sinks[1]));
    let log = Arc::new(Log::default());
    for round in 1..=number("SLUICE_KILLS").unwrap_or(6) {
        let sluice = exported("", &[(sinks[0], ""), (sinks[1], "")]);
        let load = Load::start(sluice.http, &log);
        log.wait_for(log.acked().len() + 100 + (round as usize * 61) % 400);
        sluice.signal("KILL");
        load.end();
        sluice.end();
        for sink in [&first, &second] {
            let (acked, arrived) = (log.acked(), sink.arrivals());
            let missing = acked.iter().filter(|item| !arrived.contains_key(*item)).count();
            assert_eq!(missing, 0, "round {round}: of {} acknowledged", acked.len());
        }
    }
}

#[test]
fn an_outage_under_load_ends_without_a_trace() {
    let ports = [free_port(), free_port()];
    let first = Numbered::start(ports[0]);
    let sluice = exported(LONG, &[(ports[0], ""), (ports[1], "")]);
    let log = Arc::new(Log::default());
    let load = Load::start(sluice.http, &log);
    let refused = "sluice_requests_refused_total{receiver=\"otlp\",cause=\"destination_unavailable\"} ";
    let patience = Instant::now() + Duration::from_secs(60);
    let count = || metrics(&sluice).lines().find_map(|line| line.strip_prefix(refused)?.parse::<u64>().ok());
    while count().unwrap_or_default() < 200 {
        assert!(Instant::now() < patience, "{}", metrics(&sluice));
    }
    assert!(log.acked().is_empty(), "the second one has nothing");
    let second = Numbered::start(ports[1]);
    log.wait_for(1000);
    balances(sluice.metrics);
    sluice.signal("TERM");
    load.end();
    let (status, told, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(!told.contains("does not balance"), "{told}");
    for sink in [&first, &second] {
        let (acked, arrived) = (log.acked(), sink.arrivals());
        assert!(acked.iter().all(|item| arrived.get(item).is_some_and(|times| times.len() == 1)));
    }
}

#[test]
fn whoever_waits_when_the_process_ends_is_told_to_come_back() {
    let sink = Sink::start(Says::Nothing);
    let sluice = exported(LONG, &[(sink.port, "")]);
    let clients = clients(&sluice);
    sink.wait_for(1);
    let since = Instant::now();
    sluice.signal("TERM");
    let [grpc, http] = answers(clients);
    assert_eq!((grpc.status, http.status), (14, 503), "{} {}", grpc.text, http.text);
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(since.elapsed() < Duration::from_secs(10), "{log}");
}

#[test]
fn one_destination_can_be_waited_for_in_another_mode_and_batching_waits_for_nothing() {
    let (waited, other) = (Sink::start(Says::Nothing), Sink::start(Says::Nothing));
    let config = config("ack: memory", "batch", &[(waited.port, "wait_for_result: true"), (other.port, "")]);
    let sluice = Sluice::start(&["-c", &config]);
    let clients = clients(&sluice);
    // `batch` would wait for a minute.
    waited.wait_for(1);
    assert!(clients.iter().all(|client| client.try_recv().is_err()));
    waited.say(Says::Taken);
    let [grpc, http] = answers(clients);
    assert_eq!((grpc.status, http.status), (0, 200), "{} {}", grpc.text, http.text);
    other.say(Says::Taken);
    let log = ends_well(sluice);
    assert!(log.contains("batching waits for nothing") && log.contains("otlp_grpc/0"), "{log}");
    assert!(!log.contains("exporter=otlp_grpc/1"), "{log}");
}

#[test]
fn with_a_journal_too_one_destination_can_be_waited_for() {
    let folder = Folder::new("waited");
    let extension = format!("journal/main: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display());
    let extensions = format!("yaml:extensions: {{{extension}}}");
    let sink = Sink::start(Says::Nothing);
    let delivery = "ack: durable, journal: journal/main, allow_volatile: true, exported_timeout: 300ms";
    let config = config(delivery, "", &[(sink.port, "wait_for_result: true"), (free_port(), "")]);
    let sluice = Sluice::start(&["-c", &config, "-c", &extensions]);
    let [grpc, http] = answers(clients(&sluice));
    assert_eq!((grpc.status, http.status), (14, 503), "{} {}", grpc.text, http.text);
    sink.say(Says::Taken);
    let patience = Instant::now() + Duration::from_secs(60);
    while answers(clients(&sluice)).map(|answer| answer.status) != [0, 200] {
        assert!(Instant::now() < patience, "the destination takes it, and the one that is down is not waited for");
    }
    ends_well(sluice);
}
