//! An HTTP endpoint that answers as it is told and keeps what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One answer: status and headers; status 0 hangs up without one, status 1 never comes.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

/// An answer without headers.
pub fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

/// What a version 2 receiver says it has written.
pub fn written(code: u16, samples: usize, histograms: usize, exemplars: usize) -> Answer {
    status(code)
        .with("X-Prometheus-Remote-Write-Samples-Written", samples)
        .with("X-Prometheus-Remote-Write-Histograms-Written", histograms)
        .with("X-Prometheus-Remote-Write-Exemplars-Written", exemplars)
}

impl Answer {
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether it is a version 2 message.
    pub fn is_v2(&self) -> bool {
        self.header("x-prometheus-remote-write-version") == Some("2.0.0")
    }
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    received: Vec<Received>,
}

/// The endpoint; answers 500 when its script has ended.
#[derive(Clone)]
pub struct Endpoint {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Endpoint {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { answers: answers.into_iter().collect(), received: Vec::new() }));
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

    /// What came since the last call.
    pub fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().unwrap().received)
    }

    /// How many requests came since the last call of [`Endpoint::received`].
    pub fn count(&self) -> usize {
        self.state.lock().unwrap().received.len()
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(received) = read(&mut stream).await {
            let answer = {
                let mut state = self.state.lock().unwrap();
                state.received.push(received);
                state.answers.pop_front().unwrap_or(status(500))
            };
            if answer.status == 0 {
                return;
            }
            if answer.status == 1 {
                return std::future::pending().await;
            }
            let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            head.push_str(answer.body);
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&len| len > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
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
    Some(Received { path, headers, body })
}
