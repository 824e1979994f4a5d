//! HTTP/2 frames by hand: what no library would send, and what comes back.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ask::{ATTACKER, EXPORT, connect_from};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const WITH_PRIORITY: u8 = 0x20;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    framed(payload.len() as u32, kind, flags, stream, payload)
}

/// A frame whose length may not be that of its payload.
pub fn framed(length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block in which nothing is indexed and nothing is Huffman-coded.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), 0x7f, &mut block);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer of HPACK behind a prefix of which all bits are free.
pub fn integer(value: usize, most: usize, out: &mut Vec<u8>) {
    if value < most {
        return out.push(value as u8);
    }
    out.push(most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The fields of an export that is right.
pub const CALL: [(&str, &str); 6] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", EXPORT),
    (":authority", "sluice"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
];

/// HEADERS that begin such an export.
pub fn call(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&CALL))
}

/// One frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// A connection of frames.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    /// Connects and says nothing.
    pub async fn silent(port: u16) -> Option<Self> {
        Self::from(ATTACKER, port).await
    }

    pub async fn from(source: Ipv4Addr, port: u16) -> Option<Self> {
        Some(Raw { stream: connect_from(source, port).await.ok()? })
    }

    /// Connects, says the preface and has the settings of the other side.
    pub async fn open(port: u16) -> Option<Self> {
        let mut raw = Self::silent(port).await?;
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        raw.send(&frame(SETTINGS, ACK, 0, &[])).await;
        Some(raw)
    }

    /// Whether it could be written.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(Duration::from_secs(5), self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, payload })
    }

    /// What comes first of all that decides: `GOAWAY x`, `RST x`, `answered`, `pong`, `closed`; `open` if nothing does for a while.
    pub async fn verdict(&mut self, patience: Duration) -> String {
        let deciding = async {
            loop {
                let Some(frame) = self.next().await else { return "closed".to_owned() };
                match frame.kind {
                    HEADERS => return "answered".to_owned(),
                    RST_STREAM => return format!("RST {}", reason(&frame.payload)),
                    GOAWAY => return format!("GOAWAY {}", reason(frame.payload.get(4..).unwrap_or_default())),
                    PING if frame.flags & ACK != 0 => return "pong".to_owned(),
                    _ => {}
                }
            }
        };
        timeout(patience, deciding).await.unwrap_or_else(|_| "open".to_owned())
    }
}

/// The name of an error code.
fn reason(payload: &[u8]) -> String {
    let code = payload.first_chunk().map_or(u32::MAX, |code| u32::from_be_bytes(*code));
    format!("{:?}", h2::Reason::from(code))
}
