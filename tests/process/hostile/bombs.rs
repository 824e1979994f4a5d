//! Little that claims to be, or becomes, much: declared lengths and compression bombs.

use std::time::{Duration, Instant};

use sluice_net::Encoding;
use sluice_net::compression::compress;

use super::arena::{Arena, Attack, Target};
use super::ask::{self, Call, grpc, head, post};
use super::malformed::LOOKED_AT;
use crate::wire::{PROTOBUF, flagged, frame, trace};

const GIB: usize = 1 << 30;

/// A zstd frame of runs of zeros, 128 KiB each, with a window of this logarithm.
fn zstd_zeros(window_log: u8, runs: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    for run in 1..=runs {
        let header = 128 << 10 << 3 | 1 << 1 | u32::from(run == runs);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Name, encoding, bytes; status over HTTP and gRPC, and what it is counted as.
type Bomb = (&'static str, &'static str, Vec<u8>, &'static str, &'static str, &'static str);

fn bombs() -> Vec<Bomb> {
    let zeros = vec![0; 64 << 20];
    let packed = |encoding, bytes: &[u8]| compress(encoding, Some(9), bytes).unwrap().to_vec();
    let framed = packed(Encoding::Snappy, &vec![0; 80 << 20]);
    let gzip = packed(Encoding::Gzip, &zeros);
    let member = packed(Encoding::Gzip, &zeros[..1 << 20]);
    let empty = packed(Encoding::Gzip, b"");
    let (large, exhausted, counted) = ("413", "RESOURCE_EXHAUSTED", "too_large");
    let (bad, invalid, malformed) = ("400", "INVALID_ARGUMENT", "malformed");
    let claims = |length: &[u8]| [length, &[0x00, 0x61][..]].concat();
    vec![
        ("gzip of 64 MiB of zeros", "gzip", gzip.clone(), large, exhausted, counted),
        ("gzip, 1,000 members of 1 MiB of zeros", "gzip", member.repeat(1000), large, exhausted, counted),
        ("gzip, 10,000 empty members", "gzip", empty.repeat(10_000), bad, invalid, malformed),
        ("gzip inside gzip", "gzip", packed(Encoding::Gzip, &gzip), bad, invalid, malformed),
        ("gzip, truncated", "gzip", gzip[..100].to_vec(), bad, invalid, malformed),
        ("deflate of 64 MiB of zeros", "deflate", packed(Encoding::Deflate, &zeros), large, exhausted, counted),
        ("zstd of 64 MiB of zeros", "zstd", packed(Encoding::Zstd, &zeros), large, exhausted, counted),
        ("zstd of 16 GiB of zeros", "zstd", zstd_zeros(23, 16 * GIB / (128 << 10)), large, exhausted, counted),
        ("zstd, window of 16 MiB", "zstd", zstd_zeros(24, 1), bad, invalid, malformed),
        ("zstd, window of 2 GiB", "zstd", zstd_zeros(31, 1), bad, invalid, malformed),
        ("snappy that claims 4 GiB", "snappy", claims(&[0xff, 0xff, 0xff, 0xff, 0x0f]), large, exhausted, counted),
        ("snappy that claims 1 GiB", "snappy", claims(&[0x80, 0x80, 0x80, 0x80, 0x04]), large, exhausted, counted),
        ("snappy, framed, of 80 MiB of zeros", "snappy", framed, large, exhausted, counted),
        ("lz4 of 64 MiB of zeros", "lz4", packed(Encoding::Lz4, &zeros), large, exhausted, counted),
    ]
}

#[test]
fn bombs_are_put_out_before_they_grow() {
    let mut arena = Arena::open("Compression bombs", &["-c", LOOKED_AT], true);
    for (name, encoding, bytes, http, code, cause) in bombs() {
        let request = post(&[PROTOBUF, ("content-encoding", encoding)], &bytes);
        let over_http = move |target: Target| ask::http(target.http, request.clone());
        arena.face(Attack::new(name, "http", http, over_http).counted(cause));
        if matches!(encoding, "deflate" | "lz4") {
            continue; // no encoding of gRPC
        }
        let call =
            move |target: Target| grpc(target.grpc, Call::new(flagged(1, &bytes)).with("grpc-encoding", encoding));
        arena.face(Attack::new(name, "grpc", code, call).counted(cause));
    }
    arena.close();
}

/// Bytes of no pattern, compressed: how a bomb begins that is not to be told by its beginning.
fn fuse(encoding: Encoding) -> Vec<u8> {
    compress(encoding, Some(1), &super::malformed::garbage(100 << 10)).unwrap().to_vec()
}

/// Name, encoding, bytes: few on the wire, and as many as a peer can send quickly.
fn crowd() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let zeros = vec![0; 64 << 20];
    let packed = |encoding| compress(encoding, Some(9), &zeros).unwrap().to_vec();
    let gzip = packed(Encoding::Gzip);
    let gibibyte = gzip.repeat(GIB / zeros.len());
    let runs = zstd_zeros(23, (1 << 20) / 4);
    vec![
        ("gzip of 64 MiB of zeros", "gzip", gzip),
        ("deflate of 64 MiB of zeros", "deflate", packed(Encoding::Deflate)),
        ("zstd of 64 MiB of zeros", "zstd", packed(Encoding::Zstd)),
        ("zstd of 4 GiB of zeros", "zstd", zstd_zeros(23, 4 * GIB / (128 << 10))),
        ("1 MiB, gzip of 1 GiB", "gzip", gibibyte.clone()),
        ("1 MiB, zstd of 32 GiB", "zstd", runs.clone()),
        ("1 MiB, gzip of noise and 1 GiB", "gzip", [fuse(Encoding::Gzip), gibibyte].concat()),
        ("1 MiB, zstd of noise and 32 GiB", "zstd", [fuse(Encoding::Zstd), runs].concat()),
    ]
}

/// `security.md` S1. There is no memory for all of them: some are told to come back, and of each kind some what they are.
#[test]
fn a_hundred_bombs_at_once_cost_no_more_than_a_few() {
    let mut arena = Arena::open("A hundred bombs at once", &["-c", LOOKED_AT], true);
    const ATTACKERS: usize = 100;
    for (name, encoding, bytes) in crowd() {
        let request = post(&[PROTOBUF, ("content-encoding", encoding)], &bytes);
        let over_http = move |target: Target| ask::http(target.http, request.clone());
        arena.face(Attack::new(format!("{ATTACKERS} × {name}"), "http", "413|503", over_http).by(ATTACKERS));
        arena.check(arena.seen_last("413") > 0, format!("nobody was told that it is too large: {name}"));
        if encoding == "deflate" {
            continue; // no encoding of gRPC
        }
        let call =
            move |target: Target| grpc(target.grpc, Call::new(flagged(1, &bytes)).with("grpc-encoding", encoding));
        let attack = Attack::new(format!("{ATTACKERS} × {name}"), "grpc", "RESOURCE_EXHAUSTED|UNAVAILABLE", call);
        arena.face(attack.by(ATTACKERS));
        let told = arena.seen_last("RESOURCE_EXHAUSTED");
        arena.check(told > 0, format!("nobody was told that it is too large over gRPC: {name}"));
    }
    arena.close();
}

#[test]
fn a_length_is_not_believed_before_the_bytes_are_there() {
    let mut arena = Arena::open("Declared lengths", &["-c", LOOKED_AT], true);
    let huge = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "1073741824")]);
    let declared = move |target: Target| ask::http(target.http, huge.clone());
    arena.face(Attack::new("Content-Length of 1 GiB", "http", "413", declared).counted("too_large"));
    let absurd = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "18446744073709551615")]);
    let declared = move |target: Target| ask::http(target.http, absurd.clone());
    // The HTTP library takes it for a head that is too large.
    arena.face(Attack::new("Content-Length of 2⁶⁴−1", "http", "431|413", declared));
    for (name, length) in [("gRPC frame of 1 GiB", GIB as u32), ("gRPC frame of 4 GiB", u32::MAX)] {
        let prefix = [&[0][..], &length.to_be_bytes()].concat();
        let call = move |target: Target| grpc(target.grpc, Call::new(prefix.clone()).open());
        arena.face(Attack::new(name, "grpc", "RESOURCE_EXHAUSTED", call).counted("too_large"));
    }
    let endless = |target: Target| async move { endless(target.http).await };
    arena.face(Attack::new("chunks without end", "http", "413", endless).counted("too_large"));
    let oversize = trace(&"x".repeat(21 << 20));
    let request = post(&[PROTOBUF], &oversize);
    let over_http = move |target: Target| ask::http(target.http, request.clone());
    arena.face(Attack::new("body of 21 MiB", "http", "413", over_http).counted("too_large"));
    let call = move |target: Target| grpc(target.grpc, Call::new(frame(&oversize)));
    arena.face(Attack::new("message of 21 MiB", "grpc", "RESOURCE_EXHAUSTED", call).counted("too_large"));
    arena.close();
}

/// Chunks of 64 KiB until the answer comes.
async fn endless(port: u16) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(stream) = ask::connect_from(ask::ATTACKER, port).await else { return "no connection".to_owned() };
    let (mut from, mut to) = stream.into_split();
    let chunk = [b"10000\r\n".to_vec(), vec![0; 0x10000], b"\r\n".to_vec()].concat();
    let writing = tokio::spawn(async move {
        let begun = head("POST", "/v1/traces", &[PROTOBUF, ("transfer-encoding", "chunked")]);
        let mut going = to.write_all(&begun).await.is_ok();
        while going {
            going = to.write_all(&chunk).await.is_ok();
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(ask::PATIENCE, from.read_to_end(&mut answer)).await;
    writing.abort();
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).map(str::to_owned);
    status.unwrap_or_else(|| if read.is_ok() { "closed".to_owned() } else { "silence".to_owned() })
}

/// Senders who declare much and send nothing of it may not keep the room of those who send.
#[test]
fn declared_bytes_that_do_not_come_take_no_room_from_others() {
    let mut arena = Arena::open("Hoarders of memory", &["-c", LOOKED_AT], true);
    let begun = Instant::now();
    let lasts = Duration::from_secs(2);
    let hoard = [head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "20000000")]), vec![0; 4096]].concat();
    let over_http = move |target: Target| held(target.http, hoard.clone(), lasts);
    arena.face(Attack::new("100 bodies of 20 MB, declared and not sent", "http", "held|503", over_http).by(100));
    let over_grpc = move |target: Target| async move {
        let prefix = [&[0][..], &20_000_000_u32.to_be_bytes(), &[0; 4096]].concat();
        let call = Call::new(prefix).open();
        match tokio::time::timeout(lasts, grpc(target.grpc, call)).await {
            Ok(told) => told,
            Err(_) => "held".to_owned(),
        }
    };
    arena.face(
        Attack::new("100 messages of 20 MB, declared and not sent", "grpc", "held|UNAVAILABLE", over_grpc).by(100),
    );
    arena.check(begun.elapsed() < Duration::from_secs(120), "hoarders were waited for");
    arena.close();
}

/// Keeps a request open for some time: `held`, or what was answered.
async fn held(port: u16, bytes: Vec<u8>, time: Duration) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = ask::connect_from(ask::ATTACKER, port).await else { return "no connection".to_owned() };
    let _ = stream.write_all(&bytes).await;
    let mut answer = [0; 64];
    match tokio::time::timeout(time, stream.read(&mut answer)).await {
        Err(_) => "held".to_owned(),
        Ok(Ok(read @ 1..)) => String::from_utf8_lossy(&answer[..read]).split(' ').nth(1).unwrap_or_default().to_owned(),
        Ok(_) => "closed".to_owned(),
    }
}
