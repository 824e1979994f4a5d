//! The first bytes of a connection, until it is known what it speaks and there is something to do. The HTTP library could tell
//! that, too, but without a clock, and with buffers of many times what has come.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Versions;
use super::connection::{Conn, LINGER};
use super::counters::Counters;
use super::transport::Stream;

/// What an HTTP/2 client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Read at first, and kept of a head at most before the HTTP library is called.
const FIRST: usize = 256;
const MOST: usize = 2 << 10;
/// Fields of a head that is kept; with more of them it goes to the library.
const FIELDS: usize = 32;

/// How the first bytes of a connection read.
pub(super) enum Opening {
    /// With a whole head, or one that the HTTP library is to judge.
    Http1(Bytes),
    Http2(Bytes),
}

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Nothing yet, or the beginning of what HTTP/2 begins with.
    Little,
    /// The beginning of a head.
    HalfHead,
    Http1,
    Http2,
}

/// Tells HTTP/1 from HTTP/2, and waits for the first head of HTTP/1. `None`: the connection ends.
pub(super) async fn detect(
    stream: &mut Stream,
    versions: Versions,
    conn: &Conn,
    mut leave: watch::Receiver<bool>,
) -> Option<Opening> {
    let limits = &conn.shared.limits;
    let mut left = pin!(async {
        let _ = leave.wait_for(|leave| *leave).await;
        if conn.is_retiring() {
            sleep(LINGER).await;
        }
    });
    let mut first = BytesMut::with_capacity(FIRST);
    let mut deadline = Instant::now() + limits.first_byte_timeout;
    let mut said = Said::Little;
    loop {
        let read = tokio::select! {
            read = timeout_at(deadline, stream.read_buf(&mut first)) => read,
            // How a request ends that has begun, the library knows.
            () = &mut left => return (said == Said::HalfHead).then(|| Opening::Http1(first.freeze())),
        };
        match read {
            Err(_) => {
                let counters = conn.counters();
                Counters::add(if first.is_empty() { &counters.first_byte_timeouts } else { &counters.header_timeouts });
                return None;
            }
            Ok(Err(_) | Ok(0)) => return None,
            Ok(Ok(read)) if read == first.len() => deadline = Instant::now() + limits.header_timeout,
            Ok(Ok(_)) => {}
        }
        said = look(&first, said);
        match (&said, versions) {
            (Said::Little, _) => {}
            (Said::Http2, _) => return Some(Opening::Http2(first.freeze())),
            (Said::HalfHead | Said::Http1, Versions::Http2) => {
                Counters::add(&conn.counters().unknown_protocol);
                return None;
            }
            (Said::Http1, Versions::Both) => return Some(Opening::Http1(first.freeze())),
            (Said::HalfHead, Versions::Both) => {
                // From here its time runs, whoever reads the rest.
                conn.traffic.head_begins();
                first.reserve(MOST.saturating_sub(first.len()));
            }
        }
    }
}

/// `before`: what the bytes said when there were fewer of them.
fn look(first: &[u8], before: Said) -> Said {
    let seen = first.len().min(PREFACE.len());
    if first.get(..seen) == PREFACE.get(..seen) {
        return if seen == PREFACE.len() { Said::Http2 } else { Said::Little };
    }
    let is_head = || {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        httparse::Request::new(&mut fields).parse(first).is_ok_and(|parsed| parsed.is_partial())
    };
    // Parsed once, so that what is none is refused at once; later it is enough to look for the end, as the library does.
    if first.len() < MOST && !has_end(first) && (before == Said::HalfHead || is_head()) {
        Said::HalfHead
    } else {
        Said::Http1
    }
}

/// Whether there is an empty line.
fn has_end(head: &[u8]) -> bool {
    head.windows(3).any(|end| end == b"\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_kept_until_its_end_however_it_is_cut() {
        let head = b"POST /v1/traces HTTP/1.1\r\nhost: sluice\r\nx: y\r\n\r\nbody\n\n";
        let end = head.len() - 6;
        for step in 1..head.len() {
            let mut said = Said::Little;
            for at in (step..=head.len()).step_by(step) {
                said = look(&head[..at], said);
                let expected = match at {
                    1 => Said::Little, // of both
                    _ if at < end => Said::HalfHead,
                    _ => Said::Http1,
                };
                assert_eq!(said, expected, "step {step} at {at}");
            }
        }
        assert!(has_end(b"GET / HTTP/1.1\nhost: x\n\n") && !has_end(b"\r\nGET / HTTP/1.1\r\n"));
    }

    #[test]
    fn what_is_no_head_or_a_long_one_goes_to_the_library_at_once() {
        let long = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'x'; MOST]].concat();
        let many = [b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".repeat(FIELDS + 1)].concat();
        for bytes in [&long[..], &many, b"\x16\x03\x01", b"GET  /", b"GET / HTTP/9", b"GET / HTTP/1.1\r\nx y"] {
            assert_eq!(look(bytes, Said::Little), Said::Http1, "{:?}", bytes.escape_ascii().to_string());
        }
        assert_eq!(look(&long[..MOST - 1], Said::Little), Said::HalfHead);
        assert_eq!(look(PREFACE, Said::Little), Said::Http2);
        assert_eq!(look(&PREFACE[..23], Said::Little), Said::Little);
        assert_eq!(look(b"PRI * HTTP/2.0\r\n\r\nS\r", Said::Little), Said::Http1);
    }
}
