//! `sluice queue`: dead letters of a running instance and of one that is stopped.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;
use sluice_journal::clock::SystemClock;
use sluice_journal::dlq::{Cause, DeadLetter, Keep};
use sluice_journal::observer::Unobserved;
use sluice_journal::rng::SystemRng;
use sluice_journal::vfs::disk::DiskVfs;
use sluice_journal::{Config, DestSpec, Journal, Parts, ReadLimit};

use crate::admin::{admin, ledger};
use crate::durable::{Folder, balances, config};
use crate::durable_sink::{Sink, name};
use crate::sluice::{NO_STATE, READY, Sluice, free_port, run, text};
use crate::wire::{PROTOBUF, http, trace};

/// The destination that [`config`] makes of the first port.
pub const DEST: &str = "otlp_grpc/0";
const ALL: ReadLimit = ReadLimit { records: usize::MAX, items: usize::MAX, bytes: usize::MAX };

/// An instance with its state in the folder, and the port of its admin API.
pub fn start(folder: &Folder, config: &str) -> (Sluice, u16) {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let state = folder.path().to_str().unwrap();
    let mut sluice = Sluice::spawn(&["-c", config, "--data-dir", state, "--admin", &address], NO_STATE);
    sluice.wait_for(READY);
    (sluice, port)
}

pub fn terminate(sluice: Sluice) {
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

fn open(journal: &Path) -> Journal {
    let vfs = DiskVfs::open(journal, false).unwrap();
    let specs: Vec<DestSpec> = Journal::names_in(&vfs).unwrap().into_iter().map(DestSpec::new).collect();
    let parts = Parts {
        vfs: Arc::new(vfs),
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(SystemRng),
        observer: Arc::new(Unobserved),
        config: Config::sized(256 << 20),
    };
    Journal::open(parts, &specs).unwrap().0
}

/// Makes dead letters of everything that waits in a stopped journal.
fn park(journal: &Journal) {
    let dest = journal.destination(DEST).unwrap();
    let letters = journal.letters(DEST).unwrap();
    for entry in journal.read(dest, ALL).unwrap() {
        let letter = DeadLetter {
            id: 0,
            cause: Cause {
                reason: "permanent_error".to_owned(),
                status: "INVALID_ARGUMENT: never".to_owned(),
                origin_seq: entry.seq,
                parked_ms: journal.clock().now().wall_ms(),
            },
            keep: Keep::Evictable,
            signal: entry.signal,
            items: entry.items,
            tenant: entry.tenant,
            ingest_ms: entry.ingest_ms,
            context: entry.context,
            payload: entry.payload,
        };
        letters.park(&[letter]).unwrap();
        journal.complete(dest, entry.seq, |_, _| {});
    }
}

/// A stopped instance with a dead letter for each of these items, and the port of its destination, where nobody listens.
pub fn with_dead(folder: &Folder, items: std::ops::RangeInclusive<u64>) -> (String, u16) {
    let port = free_port();
    let config = config(folder, &[port]);
    let (sluice, _) = start(folder, &config);
    for item in items {
        assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &trace(&name(item))).status, 200);
    }
    terminate(sluice);
    let journal = open(&folder.path().join("journal"));
    park(&journal);
    journal.close().unwrap();
    (config, port)
}

/// `sluice queue` on the folder's state.
fn queue(folder: &Folder, arguments: &[&str]) -> Output {
    let state = folder.path().to_str().unwrap();
    run(&[&["queue"], arguments, &["--data-dir", state]].concat())
}

fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&ok(output)).unwrap()
}

fn ids(folder: &Folder) -> Vec<String> {
    let listed = json(&queue(folder, &["list", DEST, "-o", "json"]));
    let letters = listed["dead_letters"].as_array().unwrap();
    letters.iter().map(|letter| letter["id"].to_string()).collect()
}

/// What can be seen of three dead letters is the same whoever is asked.
fn looks(folder: &Folder) {
    let listed = json(&queue(folder, &["list", "-o", "json"]));
    let found = &listed["queues"][0];
    assert_eq!((listed["total"].as_u64(), found["id"].as_str()), (Some(1), Some(DEST)), "{listed}");
    assert_eq!((found["kept"].as_str(), found["records"].as_u64()), (Some("disk"), Some(0)), "{listed}");
    let dead = &found["dead_letters"];
    assert_eq!((dead["count"].as_u64(), dead["items"].as_u64()), (Some(3), Some(3)), "{listed}");
    let table = ok(&queue(folder, &["list"]));
    assert!(table.starts_with("DESTINATION") && table.contains("3 (3 items"), "{table}");
    let table = ok(&queue(folder, &["list", DEST]));
    let row = table.lines().last().unwrap();
    assert!(row.contains("permanent_error") && row.ends_with("INVALID_ARGUMENT: never"), "{table}");

    let ids = ids(folder);
    let shown = ok(&queue(folder, &["peek", DEST]));
    for item in 1..=3 {
        assert!(shown.contains(&name(item)), "{shown}");
    }
    let shown = ok(&queue(folder, &["peek", DEST, "--id", &ids[1]]));
    assert!(shown.contains(&name(2)) && !shown.contains(&name(1)) && !shown.contains(&name(3)), "{shown}");
    assert!(shown.contains("ResourceSpans #0") && shown.contains("INVALID_ARGUMENT: never"), "{shown}");
    let shown = json(&queue(folder, &["peek", DEST, "-n", "2", "-o", "json"]));
    let letters = shown["letters"].as_array().unwrap();
    let names: Vec<_> =
        letters.iter().map(|letter| &letter["item"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"]).collect();
    assert_eq!(names, [name(1).as_str(), name(2).as_str()], "{shown}");
    let bytes = queue(folder, &["peek", DEST, "--id", &ids[2], "-o", "otlp"]).stdout;
    assert_eq!(bytes, trace(&name(3)), "as it came");
    let several = queue(folder, &["peek", DEST, "-o", "otlp"]).stdout;
    assert_eq!(several, [trace(&name(1)), trace(&name(2)), trace(&name(3))].concat());
}

#[test]
fn dead_letters_of_a_running_instance_are_shown_sent_again_and_dropped() {
    let folder = Folder::new("queue");
    let (config, port) = with_dead(&folder, 1..=3);
    let sink = Sink::start(port);
    let (sluice, api) = start(&folder, &config);
    looks(&folder);
    assert_eq!(ledger(api)["parked"], 3, "found at the start");
    let ids = ids(&folder);

    let unasked = queue(&folder, &["drop", DEST, "--all"]);
    assert_eq!(unasked.status.code(), Some(2), "nobody can be asked: {}", text(&unasked.stderr));
    let done = ok(&queue(&folder, &["replay", DEST, "--id", &ids[0], "--yes"]));
    assert_eq!(done, format!("sent again: 1 dead letter (1 item) of {DEST}\n"));
    assert!(sink.missing(&[1].into()).is_empty());
    let done = json(&queue(&folder, &["drop", DEST, "--id", &ids[1], "--yes", "-o", "json"]));
    assert_eq!((&done["letters"], &done["left"]), (&1.into(), &0.into()), "{done}");
    let again = queue(&folder, &["replay", DEST, "--id", &ids[1], "--yes"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
    let done = ok(&queue(&folder, &["replay", DEST, "--all", "--yes"]));
    assert_eq!(done, format!("sent again: 1 dead letter (1 item) of {DEST}\n"));
    assert!(sink.missing(&[3].into()).is_empty());
    assert!(!sink.arrivals().contains_key(&2), "it was dropped");
    assert_eq!(ok(&queue(&folder, &["replay", DEST, "--all", "--yes"])).split(' ').nth(2), Some("0"));

    balances(sluice.metrics);
    let ledger = ledger(api);
    assert_eq!((&ledger["parked"], &ledger["lost"]), (&0.into(), &0.into()), "{ledger}");
    let row = &ledger["rows"][0];
    assert_eq!((&row["reason"], &row["group"], &row["items"]), (&"operator_purge".into(), &"choice".into(), &1.into()));
    terminate(sluice);
    assert!(ok(&queue(&folder, &["list"])).trim_end().ends_with('-'), "no dead letters are left");
}

#[test]
fn dead_letters_of_a_stopped_instance_are_shown_sent_again_and_dropped() {
    let folder = Folder::new("queue-offline");
    let (config, port) = with_dead(&folder, 1..=3);
    looks(&folder);
    let ids = ids(&folder);
    let done = ok(&queue(&folder, &["replay", DEST, "--id", &ids[2], "--yes"]));
    assert_eq!(done, format!("sent again: 1 dead letter (1 item) of {DEST}\n"));
    assert!(ok(&queue(&folder, &["drop", DEST, "--id", &ids[0], "--yes"])).starts_with("dropped: 1 dead letter"));
    let listed = json(&queue(&folder, &["list", "-o", "json"]));
    let found = &listed["queues"][0];
    assert_eq!((&found["records"], &found["dead_letters"]["count"]), (&1.into(), &1.into()), "{listed}");

    let sink = Sink::start(port);
    let (sluice, api) = start(&folder, &config);
    assert!(sink.missing(&[3].into()).is_empty(), "what was sent again waited for the start");
    balances(sluice.metrics);
    assert_eq!(ledger(api)["parked"], 1);
    terminate(sluice);
    assert_eq!(sink.arrivals().keys().collect::<Vec<_>>(), [&3]);
}

#[test]
fn a_look_at_a_stopped_journal_changes_nothing_that_a_start_would_notice() {
    let folder = Folder::new("queue-look");
    let port = free_port();
    let config = config(&folder, &[port]);
    let (sluice, _) = start(&folder, &config);
    let body = trace(&name(7));
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &body).status, 200);
    sluice.signal("KILL");
    sluice.end();
    for _ in 0..3 {
        let listed = json(&queue(&folder, &["list", "-o", "json"]));
        assert_eq!(listed["queues"][0]["items"]["traces"], 1, "{listed}");
    }
    let sink = Sink::start(port);
    let (sluice, _) = start(&folder, &config);
    assert!(sink.missing(&[7].into()).is_empty());
    balances(sluice.metrics);
    terminate(sluice);
}

#[test]
fn what_is_sent_again_in_the_journal_of_a_killed_instance_is_not_lost() {
    let folder = Folder::new("queue-killed");
    let (config, port) = with_dead(&folder, 1..=2);
    let (sluice, _) = start(&folder, &config);
    let body = trace(&name(3));
    assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &body).status, 200);
    sluice.signal("KILL");
    sluice.end();
    let done = ok(&queue(&folder, &["replay", DEST, "--all", "--yes"]));
    assert_eq!(done, format!("sent again: 2 dead letters (2 items) of {DEST}\n"));
    let listed = json(&queue(&folder, &["list", "-o", "json"]));
    let found = &listed["queues"][0];
    assert_eq!((&found["items"]["traces"], &found["dead_letters"]["count"]), (&3.into(), &0.into()), "{listed}");
    let sink = Sink::start(port);
    let (sluice, api) = start(&folder, &config);
    assert!(sink.missing(&[1, 2, 3].into()).is_empty());
    balances(sluice.metrics);
    assert_eq!(ledger(api)["lost"], 0);
    terminate(sluice);
}

#[test]
fn exit_codes_tell_what_is_wrong() {
    let folder = Folder::new("queue-codes");
    let code = |output: Output, code: i32, words: &[&str]| {
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} in {error}");
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    };
    code(queue(&folder, &["list"]), 5, &["no journal"]);
    let socket = folder.path().join("nobody.sock");
    code(run(&["queue", "list", "--socket", socket.to_str().unwrap()]), 5, &["nobody.sock"]);
    code(run(&["queue", "list", "--url", &format!("http://127.0.0.1:{}", free_port())]), 5, &["does not answer"]);
    code(run(&["queue", "list", "--url", "http://example.com:7070"]), 2, &["https"]);
    code(run(&["queue", "list", "--url", "7070"]), 2, &["http://"]);
    code(run(&["queue", "replay", DEST, "--yes"]), 2, &["--all"]);
    code(run(&["queue", "drop", DEST, "--id", "1", "--all"]), 2, &["--all"]);

    let config = config(&folder, &[free_port()]);
    let state = folder.path().to_str().unwrap();
    let mut locked = Sluice::spawn(&["-c", &config, "--data-dir", state, "--admin", "off"], NO_STATE);
    locked.wait_for(READY);
    code(queue(&folder, &["list"]), 75, &["in use by process", &locked.id().to_string()]);
    terminate(locked);
    code(queue(&folder, &["peek", "otlp_grpc/9"]), 1, &["otlp_grpc/9", DEST]);
    code(queue(&folder, &["peek", DEST, "--id", "9"]), 1, &["no dead letter 9"]);
    let (sluice, port) = start(&folder, &config);
    code(queue(&folder, &["peek", "otlp_grpc/9"]), 1, &["otlp_grpc/9", DEST]);
    code(queue(&folder, &["drop", DEST, "--id", "9", "--yes"]), 1, &["no dead letter 9"]);
    assert_eq!(admin(port, "GET", "/readyz", &[], b"").status, 200);
    terminate(sluice);
}
