//! SIGHUP with a journal: destinations come and go, the journal itself stays what it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::durable::{Folder, balances, config};
use crate::durable_load::{Load, Log};
use crate::durable_sink::Sink;
use crate::sluice::{Sluice, free_port};
use crate::wire::{http, trace_json};

const DONE: &str = "Configuration reloaded";
const REFUSED: &str = "Configuration not reloaded";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A configuration file beside the journal.
struct File(String);

impl File {
    fn new(folder: &Folder, yaml: &str) -> Self {
        let file = File(folder.path().join("sluice.yaml").display().to_string());
        file.write(yaml);
        file
    }

    fn write(&self, yaml: &str) {
        std::fs::write(&self.0, yaml.trim_start_matches("yaml:")).unwrap();
    }

    fn reload(&self, sluice: &mut Sluice, yaml: &str, outcome: &str) -> String {
        self.write(yaml);
        sluice.signal("HUP");
        sluice.wait_for(outcome);
        http(sluice.metrics, "GET", "/metrics", &[], b"").body
    }
}

fn terminate(sluice: Sluice) -> String {
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}

fn accepts(sluice: &Sluice) {
    let answer = http(sluice.http, "POST", "/v1/traces", &[JSON], trace_json("one more").as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn nothing_is_missing(sink: &Sink, wanted: &BTreeSet<u64>) {
    let missing = sink.missing(wanted);
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), wanted.len());
}

#[test]
fn destinations_come_and_go_under_load_and_the_journal_stays() {
    let folder = Folder::new("reload");
    let (up, down) = (free_port(), free_port());
    let (one, both) = (config(&folder, &[up]), config(&folder, &[up, down]));
    let file = File::new(&folder, &one);
    let mut sluice = Sluice::start(&["-c", &file.0]);
    let sink = Sink::start(up);
    let log = Arc::new(Log::default());
    let load = Load::start(sluice.http, &log);
    log.wait_for(500);
    file.reload(&mut sluice, &both, DONE);
    // What is sent from here on goes to both.
    let from = log.end();
    log.wait_for(log.acked().len() + 500);
    let mut both_have: BTreeSet<u64> = log.acked().range(from..).copied().collect();
    let shown = file.reload(&mut sluice, &one, DONE);
    assert!(!shown.contains("sluice_destination_lag_items{exporter=\"otlp_grpc/1\""), "{shown}");
    log.wait_for(log.acked().len() + 500);
    // It was gone for less than the time of grace.
    let shown = file.reload(&mut sluice, &both, DONE);
    assert!(shown.contains("sluice_destination_lag_items{exporter=\"otlp_grpc/1\""), "{shown}");
    let again = log.end();
    log.wait_for(log.acked().len() + 500);
    terminate(sluice);
    load.end();
    both_have.extend(log.acked().range(again..));
    let late = Sink::start(down);
    let sluice = Sluice::start(&["-c", &file.0]);
    nothing_is_missing(&sink, &log.acked());
    nothing_is_missing(&late, &both_have);
    balances(sluice.metrics);
    terminate(sluice);
}

#[test]
fn another_journal_or_none_needs_a_restart() {
    let folder = Folder::new("restart");
    let kept = config(&folder, &[free_port()]);
    let file = File::new(&folder, &kept);
    let mut sluice = Sluice::start(&["-c", &file.0]);
    let others = [
        kept.replace("/journal', ", "/other', "),
        kept.replace("256MiB", "512MiB"),
        kept.replace("ack: durable", "ack: memory"),
    ];
    for other in &others {
        let shown = file.reload(&mut sluice, other, REFUSED);
        assert!(shown.contains("sluice_config_last_reload_success 0"), "{shown}");
        assert!(shown.contains("sluice_delivery_mode{pipeline=\"traces\",mode=\"durable\"} 1"), "{shown}");
        accepts(&sluice);
    }
    file.reload(&mut sluice, &kept, DONE);
    balances(sluice.metrics);
    let log = terminate(sluice);
    assert_eq!(log.matches("needs a restart").count(), others.len(), "{log}");
    assert!(!folder.path().join("other").exists());
    // The other way round.
    file.write(&others[2]);
    let mut sluice = Sluice::start(&["-c", &file.0]);
    let shown = file.reload(&mut sluice, &kept, REFUSED);
    assert!(shown.contains("sluice_delivery_mode{pipeline=\"traces\",mode=\"memory\"} 1"), "{shown}");
    accepts(&sluice);
}

#[test]
fn the_first_destination_may_bring_the_journal() {
    let folder = Folder::new("first");
    let port = free_port();
    let kept = config(&folder, &[port]);
    let observed =
        kept.replace("exporters: [otlp_grpc/0]", "exporters: [debug]").replace("exporters: {", "exporters: {debug: , ");
    let file = File::new(&folder, &observed);
    let mut sluice = Sluice::start(&["-c", &file.0]);
    assert!(!folder.path().join("journal").exists());
    let shown = file.reload(&mut sluice, &kept, DONE);
    assert!(shown.contains("sluice_delivery_mode{pipeline=\"traces\",mode=\"durable\"} 1"), "{shown}");
    let log = Arc::new(Log::default());
    let load = Load::start(sluice.http, &log);
    log.wait_for(200);
    terminate(sluice);
    load.end();
    let sink = Sink::start(port);
    let _sluice = Sluice::start(&["-c", &file.0]);
    nothing_is_missing(&sink, &log.acked());
}
