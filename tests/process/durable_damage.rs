//! A stopped journal with a byte changed: it starts, delivers what is intact, and counts exactly what is not. `SLUICE_DAMAGES`
//! sets how often (10), `SLUICE_SEED` where.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::durable::{Folder, balances, exporter, metrics, terminate, value, waiting, whole};
use crate::durable_kills::{Random, number};
use crate::durable_sink::{Sink, items, name};
use crate::sluice::{NO_STATE, READY, Sluice, free_port};
use crate::wire::{PROTOBUF, http, trace};

/// Three segments of the smallest size.
const ITEMS: u64 = 1000;
const ITEM_BYTES: usize = 20 << 10;
/// What the sink makes of a payload that nobody sent.
const WRONG: u64 = u64::MAX;

/// The request for an item: no two have the same bytes anywhere.
fn request(item: u64) -> Vec<u8> {
    let mut random = Random(item);
    let letters = std::iter::repeat_with(|| char::from(b'a' + random.below(26) as u8));
    trace(&(name(item) + "-" + &letters.take(ITEM_BYTES).collect::<String>()))
}

/// The items of a gRPC body that is a row of whole requests, byte for byte as they were sent.
fn whole_requests(body: &[u8]) -> Vec<u64> {
    let (_frame, mut body) = body.split_at(5);
    let mut found = Vec::new();
    while !body.is_empty() {
        let item = items(&body[..body.len().min(100)]).first().copied();
        let request = item.map(request).filter(|request| body.starts_with(request));
        let (Some(item), Some(request)) = (item, request) else {
            found.push(WRONG);
            return found;
        };
        found.push(item);
        body = &body[request.len()..];
    }
    found
}

/// All files below a directory that can be damaged. The ballast has no content.
fn files(folder: &Path) -> Vec<PathBuf> {
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { vec![path] }
    };
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().flat_map(of).collect();
    all.retain(|path| !path.ends_with("BALLAST") && path.metadata().unwrap().len() > 0);
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(&file, copied).unwrap();
    }
}

/// Changes some bits of a byte: of a segment, four times of five. Says where.
fn damage(folder: &Path, random: &mut Random) -> String {
    let mut candidates = files(folder);
    if random.below(5) > 0 {
        candidates.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    }
    let path = &candidates[random.below(candidates.len() as u64) as usize];
    let mut content = std::fs::read(path).unwrap();
    let offset = random.below(content.len() as u64) as usize;
    content[offset] ^= 1 + random.below(255) as u8;
    std::fs::write(path, content).unwrap();
    format!("byte {offset} of {}", path.strip_prefix(folder).unwrap().display())
}

#[test]
fn a_damaged_journal_starts_and_loses_exactly_what_it_counts() {
    let damages = number("SLUICE_DAMAGES").unwrap_or(10);
    let seed = number("SLUICE_SEED").unwrap_or(u64::from(std::process::id()));
    let mut random = Random(seed);
    let folder = Folder::new("damage");
    let (stopped, journal) = (folder.path().join("stopped"), folder.path().join("journal"));
    let port = free_port();
    let extension = format!(
        "journal/main: {{directory: '{}', max_size: 256MiB, segment_size: 8MiB}}",
        folder.path().join("journal").display()
    );
    let exporter = exporter(0, port, "");
    let config = whole(&extension, &exporter, "ack: durable, journal: journal/main, ", "", "otlp_grpc/0");
    let sluice = Sluice::start(&["-c", &config]);
    for item in 0..ITEMS {
        assert_eq!(http(sluice.http, "POST", "/v1/traces", &[PROTOBUF], &request(item)).status, 200);
    }
    terminate(sluice, 1);
    std::fs::rename(&journal, &stopped).unwrap();

    let sink = Sink::reading(port, whole_requests);
    let (mut with_loss, mut lost) = (0, 0);
    for round in 0..damages {
        copy(&stopped, &journal);
        let place = damage(&journal, &mut random);
        let context = format!("seed {seed}, round {round}, {place}");
        sink.forget();
        let mut sluice = Sluice::spawn(&["-c", &config], NO_STATE);
        sluice.wait_for(READY);
        let all: BTreeSet<u64> = (0..ITEMS).collect();
        let drained = || waiting(sluice.metrics, 0) == 0;
        let missing = sink.missing_when(&all, drained);
        let arrived = sink.arrivals();
        assert!(arrived.keys().all(|&item| item < ITEMS), "{context}: a payload arrived that nobody sent");
        let told = metrics(sluice.metrics);
        let counted = value(&told, "sluice_journal_corrupt_items_total");
        assert_eq!(missing.len() as u64, counted, "{context}: missing, and counted as corrupt\n{told}");
        balances(sluice.metrics);
        terminate(sluice, 1);
        with_loss += u64::from(counted > 0);
        lost += counted;
    }
    println!("{damages} damages, seed {seed}: {with_loss} cost items, {lost} of {ITEMS} each in all");
}
