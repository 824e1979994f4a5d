//! Frames that cost the peer nothing and the collector something, as many as it takes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::arena::{Arena, Attack, Target};
use super::ask::{self, ATTACKER, connect_from};
use super::malformed::LOOKED_AT;
use super::raw::{
    ACK, CALL, CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, call, frame, integer,
};

/// A connection that is not cut after this many bytes is never cut.
const ENOUGH: usize = 64 << 20;
/// The same after this time.
const LONG: Duration = Duration::from_secs(20);

/// Sends what `next` makes, in bursts, and reads all that comes: how the connection ended. A flood whose answers are under way
/// when it is cut is not told why.
async fn flood(port: u16, mut next: impl FnMut() -> Vec<u8> + Send + 'static) -> String {
    let Ok(stream) = connect_from(ATTACKER, port).await else { return "no connection".to_owned() };
    let (mut from, mut to) = stream.into_split();
    let writing = tokio::spawn(async move {
        let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat();
        let mut sent = begun.len();
        let mut going = to.write_all(&begun).await.is_ok();
        while going && sent < ENOUGH {
            let mut burst = Vec::new();
            while burst.len() < 16 << 10 {
                burst.extend(next());
            }
            sent += burst.len();
            going = to.write_all(&burst).await.is_ok();
        }
        if going {
            std::future::pending().await
        }
    });
    let began = Instant::now();
    let (mut sink, mut last) = (vec![0; 64 << 10], Vec::new());
    let ended = loop {
        match tokio::time::timeout(LONG.saturating_sub(began.elapsed()), from.read(&mut sink)).await {
            Ok(Ok(read @ 1..)) => {
                last.extend_from_slice(&sink[..read]);
                last.drain(..last.len().saturating_sub(GOODBYE));
            }
            Ok(_) if is_goaway(&last) => break "told and cut",
            Ok(_) => break "cut",
            Err(_) => break "goes on",
        }
    };
    writing.abort();
    ended.to_owned()
}

/// More than a GOAWAY takes, with words.
const GOODBYE: usize = 64;

/// Whether a connection ended with a GOAWAY that says that this is too much.
fn is_goaway(last: &[u8]) -> bool {
    let (head, reason) = ([GOAWAY, 0, 0, 0, 0, 0], u32::from(h2::Reason::ENHANCE_YOUR_CALM).to_be_bytes());
    last.windows(head.len() + 8).any(|frame| frame.starts_with(&head) && frame.ends_with(&reason))
}

/// Either way of ending: the HTTP library ends some floods by itself.
const ENDED: &str = "told and cut|cut";

/// A flood of the same bytes.
fn of(name: &str, unit: Vec<u8>) -> Attack {
    Attack::new(name, "grpc", ENDED, move |target: Target| {
        let unit = unit.clone();
        flood(target.grpc, move || unit.clone())
    })
}

/// A flood with a new stream each time.
fn by_stream(name: &str, unit: impl Fn(u32) -> Vec<u8> + Clone + Send + Sync + 'static) -> Attack {
    Attack::new(name, "grpc", ENDED, move |target: Target| {
        let (unit, mut stream) = (unit.clone(), 1);
        flood(target.grpc, move || {
            let bytes = unit(stream);
            stream += 2;
            bytes
        })
    })
}

#[test]
fn floods_of_frames_end_their_connection_and_nothing_else() {
    let mut arena = Arena::open("Floods over HTTP/2", &["-c", LOOKED_AT], true);
    let rapid = |stream| [call(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat();
    arena.face(by_stream("rapid reset", rapid).counted("flood"));
    // A frame that the collector has to answer with a reset of its own.
    let made = |stream| [call(stream), frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat();
    arena.face(by_stream("made to reset", made).counted("flood"));
    let open = |stream| call(stream);
    arena.face(by_stream("streams without end", open).counted("streams"));
    // These are ours to end.
    for (name, frame) in [
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS with values", frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0].repeat(100))),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("frames of an unknown kind", frame(77, 0, 0, b"x")),
    ] {
        arena.face(of(name, frame).counted("flood"));
        arena.check(arena.seen_last("told and cut") > 0, format!("nobody was told why {name} was cut"));
    }
    let data = frame(DATA, 0, 1, &[]);
    arena.face(
        Attack::new("empty DATA", "grpc", ENDED, move |target: Target| {
            let (data, mut begun) = (data.clone(), false);
            flood(target.grpc, move || if std::mem::replace(&mut begun, true) { data.clone() } else { call(1) })
        })
        .counted("flood"),
    );
    for (name, piece) in [("empty CONTINUATION", 0), ("CONTINUATION of 1 KiB", 1 << 10)] {
        arena.face(
            Attack::new(name, "grpc", ENDED, move |target: Target| {
                let mut begun = false;
                let value = "y".repeat(piece);
                flood(target.grpc, move || {
                    if std::mem::replace(&mut begun, true) {
                        let block = if piece == 0 { Vec::new() } else { block(&[("x-a", &value)]) };
                        frame(CONTINUATION, 0, 1, &block)
                    } else {
                        frame(HEADERS, 0, 1, &block(&CALL))
                    }
                })
            })
            .counted("flood"),
        );
    }
    arena.face(
        Attack::new("HPACK bomb", "grpc", ENDED, |target: Target| {
            let mut begun = false;
            let mut stream = 1;
            flood(target.grpc, move || {
                let mut fields = block(&CALL);
                if !std::mem::replace(&mut begun, true) {
                    // Into the table, with the name and the value as they are.
                    fields.push(0x40);
                    for text in ["x-bomb", &"y".repeat(3_900)] {
                        integer(text.len(), 0x7f, &mut fields);
                        fields.extend(text.as_bytes());
                    }
                }
                fields.extend([0xbe; 16 << 10]);
                stream += 2;
                frame(HEADERS, END_HEADERS, stream - 2, &fields)
            })
        })
        .counted("flood"),
    );
    let body = |target: Target| reset(target.http, false);
    arena.face(Attack::new("TCP reset in the middle of a body", "http", "reset", body).by(20));
    let message = |target: Target| reset(target.grpc, true);
    arena.face(Attack::new("TCP reset in the middle of a message", "grpc", "reset", message).by(20));
    arena.close();
}

/// Begins a request and breaks off the connection.
async fn reset(port: u16, is_grpc: bool) -> String {
    let Ok(mut stream) = connect_from(ATTACKER, port).await else { return "no connection".to_owned() };
    stream.set_zero_linger().unwrap();
    let bytes = if is_grpc {
        let begun = frame(DATA, 0, 1, &[0, 0, 1, 0, 0, 7, 7]);
        [PREFACE, &frame(SETTINGS, 0, 0, &[]), &call(1), &begun].concat()
    } else {
        [&ask::head("POST", "/v1/traces", &[crate::wire::PROTOBUF, ("content-length", "100000")])[..], &[7; 5000]]
            .concat()
    };
    let _ = stream.write_all(&bytes).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    drop(stream);
    "reset".to_owned()
}
