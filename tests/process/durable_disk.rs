//! A disk that is full, by us or by a neighbour: what comes is refused, what is there goes out, and it goes on by itself.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::durable::{Folder, balances, config};
use crate::durable_sink::{Sink, name};
use crate::sluice::{Sluice, free_port};
use crate::wire::{Answer, PROTOBUF, http, traces};

const MIB: usize = 1 << 20;
/// Ready again after room came free (delivery D6).
const RESUMES: Duration = Duration::from_secs(2);

/// A file system of this size in a folder, where the system lets us.
struct Disk<'f>(&'f Folder);

impl<'f> Disk<'f> {
    fn mount(folder: &'f Folder, mib: usize) -> Option<Self> {
        let options = format!("size={mib}m,mode=0700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        command.output().ok().filter(|output| output.status.success()).map(|_| Disk(folder))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn post(port: u16, items: std::ops::Range<u64>) -> Answer {
    let names: Vec<String> = items.map(name).collect();
    http(port, "POST", "/v1/traces", &[PROTOBUF], &traces(&names))
}

/// Sends until the answer has this status; the items of the last request.
fn until(port: u16, status: u16, next: &mut u64, acked: &mut Vec<u64>) -> Answer {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let items = *next..*next + 10;
        *next = items.end;
        let answer = post(port, items.clone());
        if answer.status == 200 {
            acked.extend(items);
        }
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < patience, "no {status}, but {} {}", answer.status, answer.body);
    }
}

#[test]
fn with_the_disk_full_it_refuses_and_drains_and_resumes_by_itself() {
    let folder = Folder::new("full");
    let Some(_disk) = Disk::mount(&folder, 320) else {
        eprintln!("no file system can be mounted here: the simulation alone covers full disks");
        return;
    };
    let port = free_port();
    let sluice = Sluice::start(&["-c", &config(&folder, &[port])]);
    let (mut next, mut acked) = (0, Vec::new());
    until(sluice.http, 200, &mut next, &mut acked);
    let neighbour = folder.path().join("neighbour");
    let mut file = std::fs::File::create(&neighbour).unwrap();
    while file.write_all(&[1; MIB]).is_ok() {}
    drop(file);
    let refusal = until(sluice.http, 503, &mut next, &mut acked);
    assert!(refusal.headers.contains("retry-after"), "{}", refusal.headers);
    let metrics = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    assert!(metrics.contains("sluice_journal_drain_only{journal=\"journal/main\"} 1"), "{metrics}");
    // What is there goes out while nothing comes in.
    let sink = Sink::start(port);
    assert!(sink.missing(&acked.iter().copied().collect()).is_empty());
    std::fs::remove_file(&neighbour).unwrap();
    let since = Instant::now();
    until(sluice.http, 200, &mut next, &mut acked);
    assert!(since.elapsed() <= RESUMES, "it took {:?}", since.elapsed());
    assert!(sink.missing(&acked.iter().copied().collect()).is_empty());
    balances(sluice.metrics);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
}
