//! Clients that send one request after another on connections that stay, and remember what was acknowledged.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wire::{frame, trace, trace_json};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Sent>>,
}

/// What clients have seen.
#[derive(Default)]
pub struct Sent {
    /// Names of spans that were acknowledged.
    pub acknowledged: Vec<String>,
    /// What went wrong.
    pub failed: Vec<String>,
    /// Connections beyond the first one.
    pub reconnected: usize,
}

impl Load {
    /// This many clients of each protocol.
    pub fn start(grpc: u16, http: u16, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |client: Box<dyn FnOnce(&AtomicBool) -> Sent + Send>| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || client(&stop))
        };
        let mut all = Vec::new();
        for number in 0..clients {
            all.push(spawn(Box::new(move |stop| over_grpc(grpc, &format!("grpc-{number}"), stop))));
            all.push(spawn(Box::new(move |stop| over_http(http, &format!("http-{number}"), stop))));
        }
        Load { stop, clients: all }
    }

    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Sent::default();
        for client in self.clients {
            let sent = client.join().unwrap();
            all.acknowledged.extend(sent.acknowledged);
            all.failed.extend(sent.failed);
            all.reconnected += sent.reconnected;
        }
        all
    }
}

fn over_grpc(port: u16, client: &str, stop: &AtomicBool) -> Sent {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut sent = Sent::default();
        let mut sender = connect(port).await.unwrap();
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            let name = format!("{client}-{number}");
            match export(sender.clone(), &name).await {
                Ok(0) => {
                    sent.acknowledged.push(name);
                    number += 1;
                }
                Ok(code) => {
                    sent.failed.push(format!("{name}: grpc-status {code}"));
                    number += 1;
                }
                // As gRPC clients do: what the server has surely not begun is sent again.
                Err(error) if error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM) => {
                    sent.reconnected += 1;
                    sender = connect(port).await.unwrap();
                }
                Err(error) => {
                    sent.failed.push(format!("{name}: {error}"));
                    sender = connect(port).await.unwrap();
                    number += 1;
                }
            }
        }
        sent
    })
}

pub async fn connect(port: u16) -> Result<h2::client::SendRequest<bytes::Bytes>, h2::Error> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The status of one request with one span.
pub async fn export(sender: h2::client::SendRequest<bytes::Bytes>, name: &str) -> Result<u16, h2::Error> {
    let mut sender = sender.ready().await?;
    let request = http::Request::post(format!("http://sluice{EXPORT}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(frame(&trace(name)).into(), true)?;
    let (head, mut incoming) = response.await?.into_parts();
    let mut status = head.headers.get("grpc-status").cloned();
    if status.is_none() {
        while let Some(data) = incoming.data().await {
            let _ = incoming.flow_control().release_capacity(data?.len());
        }
        status = incoming.trailers().await?.and_then(|trailers| trailers.get("grpc-status").cloned());
    }
    Ok(status.and_then(|status| status.to_str().ok()?.parse().ok()).unwrap_or(u16::MAX))
}

fn over_http(port: u16, client: &str, stop: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let mut stream = open(port);
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let name = format!("{client}-{number}");
        number += 1;
        match post(&mut stream, &name) {
            Ok((200, closes)) => {
                sent.acknowledged.push(name);
                if closes {
                    sent.reconnected += 1;
                    stream = open(port);
                }
            }
            Ok((code, _)) => sent.failed.push(format!("{name}: {code}")),
            Err(error) => {
                sent.failed.push(format!("{name}: {error}"));
                stream = open(port);
            }
        }
    }
    sent
}

fn open(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

/// The status, and whether the connection ends.
fn post(stream: &mut BufReader<TcpStream>, name: &str) -> std::io::Result<(u16, bool)> {
    let body = trace_json(name);
    let request = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let broken = || std::io::Error::other(format!("no answer but {line:?}"));
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let (mut length, mut closes) = (0, false);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        closes |= header == "connection: close";
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok((status, closes))
}
