//! Peers that hold on to a connection and give nothing for it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sluice_net::http::{Client, ClientSettings, HeaderMap, Method, Outgoing, Proxy, header};
use sluice_net::tls::{ClientTls, ClientTlsSettings, TlsSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::arena::{Arena, Attack, Target, is_long};
use super::ask::{connect_from, head};
use super::raw::{
    ACK, CALL, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE,
    block, call, frame,
};
use super::resident;
use crate::sluice::free_port;
use crate::wire::{PROTOBUF, trace};

/// Between two bytes that drip.
const DRIP: Duration = Duration::from_millis(300);
/// A connection that is open for longer is never closed.
const NEVER: Duration = Duration::from_secs(75);

/// Attackers come from 200 addresses.
fn source() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Ipv4Addr::new(127, 0, 3, (NEXT.fetch_add(1, Ordering::Relaxed) % 200) as u8 + 1)
}

async fn connected(port: u16) -> TcpStream {
    connect_from(source(), port).await.expect("a connection")
}

/// Writes `first`, then byte by byte what follows, until the other side closes: whether that was in time.
async fn dripped(port: u16, first: Vec<u8>, drops: Vec<u8>, within: Duration) -> String {
    let stream = connected(port).await;
    let (mut from, mut to) = stream.into_split();
    let began = Instant::now();
    let writing = tokio::spawn(async move {
        let mut going = to.write_all(&first).await.is_ok();
        for drop in drops {
            sleep(DRIP).await;
            going = going && to.write_all(&[drop]).await.is_ok();
        }
        // Held open, in silence.
        std::future::pending::<()>().await;
    });
    let ended = timeout(NEVER, from.read_to_end(&mut Vec::new())).await.is_ok();
    writing.abort();
    in_time(ended, began, within)
}

fn in_time(ended: bool, began: Instant, within: Duration) -> String {
    let took = began.elapsed();
    match (ended, took <= within + Duration::from_millis(1500)) {
        (false, _) => "never closed".to_owned(),
        (true, true) => "closed in time".to_owned(),
        (true, false) => format!("closed after {took:.1?}"),
    }
}

/// An HTTP/2 peer that answers pings and acknowledges settings, and otherwise sends the frame of `drops` so often: how its
/// stream ended, and whether in time.
async fn attentive(port: u16, first: Vec<u8>, drops: Option<(Duration, Vec<u8>)>, within: Duration) -> String {
    let Some(mut raw) = Raw::from(source(), port).await else { return "no connection".to_owned() };
    let began = Instant::now();
    raw.send(&first).await;
    let (mut from, mut to) = raw.stream.into_split();
    let (answer, mut answers) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let writing = tokio::spawn(async move {
        loop {
            let bytes = match &drops {
                Some((every, drop)) => timeout(*every, answers.recv()).await.unwrap_or_else(|_| Some(drop.clone())),
                None => answers.recv().await,
            };
            let Some(bytes) = bytes else { return };
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let ending = async {
        loop {
            let mut head = [0; 9];
            if from.read_exact(&mut head).await.is_err() {
                return "closed in time";
            }
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if from.read_exact(&mut payload).await.is_err() {
                return "closed in time";
            }
            match kind {
                PING if flags & ACK == 0 => drop(answer.send(frame(PING, ACK, 0, &payload))),
                SETTINGS if flags & ACK == 0 => drop(answer.send(frame(SETTINGS, ACK, 0, &[]))),
                RST_STREAM if payload == 8_u32.to_be_bytes() => return "RST CANCEL",
                RST_STREAM | GOAWAY => return "another end",
                _ => {}
            }
        }
    };
    let ended = timeout(NEVER, ending).await;
    writing.abort();
    let is_late = began.elapsed() > within + Duration::from_millis(1500);
    match ended {
        Err(_) => "never closed".to_owned(),
        Ok(end) if is_late => format!("{end} after {:.1?}", began.elapsed()),
        Ok(end) => end.to_owned(),
    }
}

/// Asks again and again and reads none of the answers, or `sip` bytes of them now and then. Its time begins when nothing
/// moves any more: a busy collector has yet to answer what it has read.
async fn never_reads(port: u16, sip: usize, within: Duration) -> String {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind((source(), 0).into()).unwrap();
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
    let own = stream.local_addr().unwrap();
    let request = b"POST /v1/nonsense HTTP/1.1\r\nhost: sluice\r\ncontent-length: 0\r\n\r\n".repeat(200);
    // What is left of a piece is written before the next one, or it would be no request.
    let (mut left, mut queued, mut began) = (&request[..], None, Instant::now());
    while began.elapsed() < NEVER {
        let moved = match stream.try_write(left) {
            Ok(written) => {
                left = if written == left.len() { &request } else { &left[written..] };
                true
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return in_time(true, began, within),
            Err(_) => false,
        };
        if moved {
            began = Instant::now();
            tokio::task::yield_now().await;
            continue;
        }
        if sip > 0 {
            let _ = stream.try_read(&mut vec![0; sip]);
        } else {
            let now = resident::queued_for(own);
            if now != queued {
                (queued, began) = (now, Instant::now());
            }
        }
        sleep(DRIP).await;
    }
    in_time(false, began, within)
}

/// What a TLS client says first.
async fn hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = tokio::spawn(over_tls(port, None));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = vec![0; 16 << 10];
    let read = stream.read(&mut hello).await.unwrap();
    client.abort();
    hello.truncate(read);
    hello
}

/// A good request over a TLS connection of its own: its status.
async fn over_tls(port: u16, authority: Option<PathBuf>) -> String {
    let common = TlsSettings { ca_file: authority, ..TlsSettings::default() };
    let tls = ClientTls::new(&ClientTlsSettings { common, ..ClientTlsSettings::default() }).unwrap();
    let settings = ClientSettings { tls: Some(tls), proxy: Proxy::None, ..ClientSettings::default() };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, PROTOBUF.1.parse().unwrap());
    let outgoing = Outgoing {
        method: Method::POST,
        uri: format!("https://localhost:{port}/v1/traces").parse().unwrap(),
        headers,
        body: trace("x").into(),
        timeout: Some(Duration::from_secs(4)),
    };
    match Client::new(settings).unwrap().send(outgoing).await {
        Ok(answer) => answer.status.as_u16().to_string(),
        Err(error) => error.to_string(),
    }
}

/// Where upstream has a setting for a time, it is short, so that this test is; the rest has its default.
fn config(tls: u16, certificate: &std::path::Path) -> String {
    let (quick, pings) = if is_long() {
        ("", "")
    } else {
        (
            "write_timeout: 3s, idle_timeout: 4s, read_header_timeout: 5s, ",
            "keepalive: {server_parameters: {time: 2s, timeout: 2s}}",
        )
    };
    format!(
        "yaml:receivers:
  otlp: {{protocols: {{grpc: {{{pings}}}, http: {{{quick}}}}}}}
  otlp/tls: {{protocols: {{http: {{endpoint: '127.0.0.1:{tls}', tls: {{cert_file: '{0}/tls.pem', key_file: '{0}/tls.key'}}}}}}}}
exporters: {{nop: }}
service: {{pipelines: {{traces: {{receivers: [otlp, otlp/tls], exporters: [nop]}}}}}}",
        certificate.display()
    )
}

#[test]
fn who_is_slow_is_closed_in_time_and_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("tls.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), own.signing_key.serialize_pem()).unwrap();
    let tls = free_port();
    let mut arena = Arena::open("Slow peers, all at the same time", &["-c", &config(tls, folder.path())], true);
    let descriptors = resident::descriptors(arena.sluice.id());
    let greeting = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(hello());
    let each = if is_long() { 200 } else { 40 };
    let seconds = Duration::from_secs;
    let settings = || [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let (ping, idle, write) = if is_long() { (30, 60, 30) } else { (4, 4, 3) };
    let http = |name: &str, first: Vec<u8>, drops: Vec<u8>, within: u64| {
        Attack::new(format!("{name}, {within} s"), "http", "closed in time", move |target: Target| {
            dripped(target.http, first.clone(), drops.clone(), seconds(within))
        })
    };
    let grpc = |name: &str, first: Vec<u8>, drops: Vec<u8>, within: u64| {
        Attack::new(format!("{name}, {within} s"), "grpc", "closed in time", move |target: Target| {
            dripped(target.grpc, first.clone(), drops.clone(), seconds(within))
        })
    };
    let stalled = |name: &str, first: Vec<u8>, within: u64| {
        Attack::new(format!("{name}, {within} s"), "tls", "closed in time", move |_| {
            dripped(tls, first.clone(), Vec::new(), seconds(within))
        })
    };
    let post = head("POST", "/v1/traces", &[PROTOBUF, ("content-length", "100000")]);
    let good = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        trace("x").len()
    );
    let served = [good.as_bytes(), &trace("x")].concat();
    let drip = vec![b'a'; 200];
    // A record of 512 bytes, of which these are the first.
    let half = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 20]].concat();
    let dripping = [&settings()[..], &call(1), &frame(DATA, 0, 1, &[0, 0, 1, 0, 0])].concat();
    // No window for any response.
    let unread = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    let nonsense = CALL.map(|(name, value)| (name, if name == ":path" { "/v1/nonsense" } else { value }));
    let asked = [&unread[..], &frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&nonsense))].concat();
    // A byte each time, of an answer that is longer than there is time for.
    let ajar = (seconds(write) / 10, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
    let mut attacks = vec![
        http("silence", Vec::new(), Vec::new(), 10).counted("slow"),
        http("head, byte by byte", b"POST /v1/traces HTTP/1.1\r\nx-drip: ".to_vec(), drip.clone(), 5).counted("slow"),
        http("half a head", b"POST /v1/tr".to_vec(), Vec::new(), 5).counted("slow"),
        http("body, byte by byte", post.clone(), drip.clone(), 11).counted("slow"),
        http("body, never sent", post, Vec::new(), 11).counted("slow"),
        http("idle behind a request", served, Vec::new(), idle),
        http("HTTP/2 preface, byte by byte", PREFACE[..1].to_vec(), PREFACE[1..].to_vec(), 5).counted("slow"),
        grpc("silence", Vec::new(), Vec::new(), 10).counted("slow"),
        grpc("preface, byte by byte", PREFACE[..1].to_vec(), PREFACE[1..].to_vec(), 5).counted("slow"),
        grpc("HEADERS without an end", [&settings()[..], &frame(HEADERS, 0, 1, &[0x82])].concat(), Vec::new(), 5)
            .counted("slow"),
        grpc("half a HEADERS frame", [&settings()[..], &call(1)[..30]].concat(), Vec::new(), 5).counted("slow"),
        grpc("deaf to pings", settings(), Vec::new(), ping),
        Attack::new("DATA, byte by byte, 11 s", "grpc", "RST CANCEL", move |target: Target| {
            attentive(target.grpc, dripping.clone(), Some((DRIP, frame(DATA, 0, 1, &[7]))), seconds(11))
        })
        .counted("slow"),
        Attack::new(format!("window shut, {write} s"), "http", "RST CANCEL", {
            let asked = asked.clone();
            move |target: Target| attentive(target.http, asked.clone(), None, seconds(write))
        })
        .counted("slow"),
        // The HTTP library has taken over the answer, so that its connection has to end.
        Attack::new(
            format!("window opened byte by byte, {write} s"),
            "http",
            "closed in time",
            move |target: Target| attentive(target.http, asked.clone(), Some(ajar.clone()), seconds(write + 1)),
        )
        .counted("slow"),
        stalled("TLS, silence", Vec::new(), 5),
        stalled("TLS, half a hello", half, 5),
    ];
    if is_long() {
        let message = crate::wire::frame(&trace("x"));
        let whole = [&unread[..], &call(1), &frame(DATA, 1, 1, &message)].concat();
        attacks.push(
            Attack::new("window shut, 30 s", "grpc", "RST CANCEL", move |target: Target| {
                attentive(target.grpc, whole.clone(), None, seconds(31))
            })
            .counted("slow"),
        );
    }
    let mut attacks: Vec<_> = attacks.into_iter().map(|attack| attack.by(each)).collect();
    let unread = move |target: Target| never_reads(target.http, 0, seconds(write + 3));
    attacks.push(
        Attack::new(format!("reads no answer, {write} s"), "http", "closed in time", unread).counted("slow").by(3),
    );
    let sipped = move |target: Target| never_reads(target.http, 200, seconds(write + 10));
    attacks.push(
        Attack::new(format!("reads its answers in sips, {write} s"), "http", "closed in time", sipped)
            .counted("slow")
            .by(3),
    );
    // More than may shake hands at one time, and somebody who comes with good intent.
    let stalls = move |_| dripped(tls, greeting.clone(), Vec::new(), seconds(5));
    attacks.push(Attack::new("TLS, nothing behind the hello, 5 s", "tls", "closed in time", stalls).by(100));
    let mut attacks: Vec<_> = attacks.into_iter().map(|attack| attack.lasting(Duration::ZERO)).collect();
    let authority = folder.path().join("tls.pem");
    let good = move |_| over_tls(tls, Some(authority.clone()));
    attacks.push(Attack::new("TLS, a good client meanwhile", "tls", "200", good).lasting(seconds(5)));
    arena.face_all(attacks);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut now = resident::descriptors(arena.sluice.id());
    while now > descriptors + 5 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
        now = resident::descriptors(arena.sluice.id());
    }
    arena.check(now <= descriptors + 5, format!("{now} descriptors instead of {descriptors}"));
    arena.close();
}
