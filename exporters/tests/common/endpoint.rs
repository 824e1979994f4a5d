//! An HTTP endpoint that answers as it is told, byte for byte, and keeps what it was sent. For all exporters that are HTTP clients.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What happens behind a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An answer of HTTP.
    Reply { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These bytes.
    Bytes(Vec<u8>),
    /// The connection is closed.
    HangUp,
    /// Nothing, ever.
    Silence,
    /// These bytes, then the same piece again and again.
    Endless(Vec<u8>, Vec<u8>),
}

/// An answer with headers and a body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer::Reply { status, headers, body: body.as_ref().to_vec() }
}

/// An answer with a status alone.
pub fn status(status: u16) -> Answer {
    answer(status, &[], "")
}

impl Answer {
    /// The same with another header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        match &mut self {
            Answer::Reply { headers, .. } => headers.push((name.to_owned(), value.to_string())),
            other => panic!("{other:?} has no headers"),
        }
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn body(mut self, text: &str) -> Self {
        match &mut self {
            Answer::Reply { body, .. } => *body = text.as_bytes().to_vec(),
            other => panic!("{other:?} has no body"),
        }
        self
    }
}

/// The bytes of an answer of HTTP.
fn bytes(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST /path HTTP/1.1`.
    pub line: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

struct State {
    /// Behind the script.
    afterwards: Answer,
    answers: VecDeque<Answer>,
    received: Vec<Received>,
}

/// The endpoint.
#[derive(Clone)]
pub struct Endpoint {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Endpoint {
    /// One that hangs up when its script has ended.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_at("", answers, Answer::HangUp).await
    }

    /// One whose URL has this path, and that answers with `afterwards` when its script has ended.
    pub async fn start_at(path: &str, answers: impl IntoIterator<Item = Answer>, afterwards: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let answers = answers.into_iter().collect();
        let state = Arc::new(Mutex::new(State { afterwards, answers, received: Vec::new() }));
        let endpoint = Endpoint { url, state };
        let serving = endpoint.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        endpoint
    }

    /// Answers these next.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    /// How many requests came since the last call of [`Endpoint::received`].
    pub fn count(&self) -> usize {
        self.state.lock().unwrap().received.len()
    }

    /// What came since the last call.
    pub fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    /// The only request since the last call.
    pub fn only(&self) -> Received {
        let [only] = <[Received; 1]>::try_from(self.received()).unwrap();
        only
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(received) = read(&mut stream).await {
            let answer = {
                let mut state = self.state.lock().unwrap();
                state.received.push(received);
                state.answers.pop_front().unwrap_or_else(|| state.afterwards.clone())
            };
            match answer {
                Answer::Reply { status, headers, body } => {
                    if stream.write_all(&bytes(status, &headers, &body)).await.is_err() {
                        return;
                    }
                }
                Answer::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Answer::HangUp => return,
                Answer::Silence => return std::future::pending().await,
                Answer::Endless(head, piece) => {
                    let mut next = stream.write_all(&head).await;
                    while next.is_ok() {
                        next = stream.write_all(&piece).await;
                    }
                    return;
                }
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&len| len > 0)?;
    let start = line.trim_end().to_owned();
    let path = start.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { line: start, path, headers, body })
}
