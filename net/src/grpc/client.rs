use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, response};
use bytes::Bytes;
use tokio::time::timeout;

use super::balancer::{Balancer, Balancing};
use super::call::{CallError, CallStatus, Outgoing, Response};
use super::link::Incoming;
use super::server::is_grpc;
use super::timeout as grpc_timeout;
use crate::Error;
use crate::address::Endpoint;
use crate::body::PREFIX;
use crate::compression::{DecompressLimits, Encoding, decompress_yielding};
use crate::connect::Connector;
use crate::http::retry_after;
use crate::listen::Chunk;
use crate::pool::BufferPool;
use crate::proxy::{Proxies, Proxy};
use crate::reserve::{Reserve, Unlimited};
use crate::tls::ClientTls;
use crate::turns::Unseen;

/// HTTP/2 pings that find out whether the server is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time without traffic after which to ping.
    pub time: Duration,
    /// Time to answer.
    pub timeout: Duration,
    /// Ping without calls in progress too.
    pub permit_without_stream: bool,
}

/// How a client is set up (`collector-compat.md` section 2.4).
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Where to. Its scheme decides on TLS, else `tls` does.
    pub endpoint: Endpoint,
    /// `None`: plain text, unless the endpoint says `https://`.
    pub tls: Option<ClientTls>,
    /// Sent with every call, unless the call has one of that name.
    pub headers: HeaderMap,
    /// The `user-agent`.
    pub user_agent: String,
    /// The `:authority`; `None`: the server name override, else the endpoint.
    pub authority: Option<String>,
    /// Pings. `None`: never.
    pub keepalive: Option<Keepalive>,
    /// Time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Calls wait for the connection to come back instead of failing at once.
    pub wait_for_ready: bool,
    /// How calls are spread over the endpoint's addresses.
    pub balancing: Balancing,
    /// Through which proxy, by `CONNECT`.
    pub proxy: Proxy,
    /// Bytes of a response, compressed or not (`security.md` A13).
    pub max_response_bytes: usize,
}

impl ClientSettings {
    /// The defaults for `endpoint`, in plain text.
    pub fn new(endpoint: Endpoint) -> Self {
        ClientSettings {
            endpoint,
            tls: None,
            headers: HeaderMap::new(),
            user_agent: concat!("sluice/", env!("CARGO_PKG_VERSION")).to_owned(),
            authority: None,
            keepalive: None,
            connect_timeout: Duration::from_secs(20),
            wait_for_ready: false,
            balancing: Balancing::RoundRobin,
            proxy: Proxy::default(),
            max_response_bytes: 4 << 20,
        }
    }
}

/// A unary gRPC client. Clones share its connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    balancer: Balancer,
    scheme: Scheme,
    authority: Authority,
    headers: HeaderMap,
    max_response_bytes: usize,
    pool: BufferPool,
}

impl Client {
    /// Prepares a client; connects with the first call, or with [`Client::connect`].
    ///
    /// # Errors
    /// The endpoint, authority or user agent cannot be expressed in HTTP, or TLS cannot be set up.
    pub fn new(settings: ClientSettings) -> Result<Self, Error> {
        let tls = match (settings.endpoint.tls, settings.tls) {
            (Some(false), _) => None,
            (Some(true), None) => Some(ClientTls::new(&Default::default())?),
            (_, tls) => tls,
        };
        let authority = match (&settings.authority, tls.as_ref().and_then(ClientTls::server_name_override)) {
            (Some(authority), _) => authority.clone(),
            (None, Some(name)) => name.to_str().into_owned(),
            (None, None) => settings.endpoint.authority(),
        };
        let authority = Authority::try_from(authority.as_str())
            .map_err(|_| Error::Endpoint { endpoint: authority, reason: "not a valid authority" })?;
        let user_agent = HeaderValue::try_from(settings.user_agent.as_str())
            .map_err(|_| Error::Header(settings.user_agent.clone()))?;
        let mut headers = settings.headers;
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.entry(header::USER_AGENT).or_insert(user_agent);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,zstd"));
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let proxies = Proxies::new(&settings.proxy);
        let connector = Connector::http2(settings.endpoint, tls.as_ref(), &proxies, settings.connect_timeout)?;
        let balancer = Balancer::new(connector, settings.keepalive, settings.wait_for_ready, settings.balancing);
        let max_response_bytes = settings.max_response_bytes;
        let pool = BufferPool::default();
        Ok(Client { inner: Arc::new(Inner { balancer, scheme, authority, headers, max_response_bytes, pool }) })
    }

    /// Begins to connect without waiting for it. Needs a runtime.
    pub fn connect(&self) {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.balancer.link().await.map(drop) });
    }

    /// Whether there is a connection, or one can be made now. Sends no data.
    pub async fn is_reachable(&self) -> bool {
        self.inner.balancer.link().await.is_ok()
    }

    /// Calls a unary method.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, outgoing: Outgoing) -> Result<Response, CallError> {
        match outgoing.timeout {
            None => self.inner.call(&outgoing).await,
            // Around everything: the HTTP library itself would stop the clock at the response's headers.
            Some(limit) => timeout(limit, self.inner.call(&outgoing)).await.unwrap_or(Err(CallError::Timeout(limit))),
        }
    }
}

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

impl Inner {
    async fn call(&self, outgoing: &Outgoing) -> Result<Response, CallError> {
        let sent = self.attempt(outgoing).await;
        match sent {
            // The server did not look at it, e.g. because it closes old connections: nobody needs to know.
            Err(CallError::Reset { unprocessed: true, .. }) => self.attempt(outgoing).await,
            sent => sent,
        }
    }

    async fn attempt(&self, outgoing: &Outgoing) -> Result<Response, CallError> {
        let message = Chunk::message(outgoing.encoding.is_some(), outgoing.message.clone())
            .ok_or(CallError::Protocol("message over 4 GiB"))?;
        let request = self.request(outgoing)?;
        let link = self.balancer.link().await?;
        let (head, body) = link.send(request, message).await?;
        self.receive(head, body).await
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<()>, CallError> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::from_static(outgoing.path))
            .build()
            .map_err(|_| CallError::Protocol("invalid path"))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        headers.extend(outgoing.headers.clone());
        if let Some(encoding) = outgoing.encoding {
            headers.insert(ENCODING, HeaderValue::from_static(encoding.name()));
        }
        if let Some(limit) = outgoing.timeout
            && let Ok(limit) = HeaderValue::try_from(grpc_timeout::format(limit))
        {
            headers.insert(TIMEOUT, limit);
        }
        Ok(request)
    }

    async fn receive(&self, head: response::Parts, mut body: Incoming) -> Result<Response, CallError> {
        let accept_encoding =
            || head.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let failed = |mut status: CallStatus| {
            status.accept_encoding = accept_encoding();
            CallError::Status(Box::new(status))
        };
        if let Some(status) = CallStatus::from_headers(&head.headers) {
            // Trailers-only. OK without a message answers no unary call.
            return Err(match status.code {
                tonic::Code::Ok => CallError::Protocol("OK without a message"),
                _ => failed(status),
            });
        }
        if head.status != ::http::StatusCode::OK || !is_grpc(head.headers.get(header::CONTENT_TYPE)) {
            let mut status = CallStatus::from_http(head.status);
            status.retry_delay = head
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
            return Err(failed(status));
        }
        let mut data = Collected::default();
        while let Some(piece) = body.data().await? {
            data.add(piece, self.max_response_bytes)?;
        }
        let trailers = body.trailers().await?;
        let status = trailers
            .as_ref()
            .and_then(CallStatus::from_headers)
            .ok_or(CallError::Protocol("response without grpc-status"))?;
        if status.code != tonic::Code::Ok {
            return Err(failed(status));
        }
        let encoding = head.headers.get(ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let message = self.message(&data.into_bytes(), encoding).await?;
        Ok(Response { message, headers: head.headers })
    }

    /// Takes the one message out of its framing.
    async fn message(&self, data: &Bytes, encoding: &str) -> Result<Bytes, CallError> {
        let (Some(&[flag, a, b, c, d]), Some(_)) = (data.first_chunk::<PREFIX>(), data.get(PREFIX..)) else {
            return Err(CallError::Protocol("response without a message"));
        };
        let message = data.slice(PREFIX..);
        if u64::from(u32::from_be_bytes([a, b, c, d])) != message.len() as u64 {
            return Err(CallError::Protocol("response is not exactly one message"));
        }
        match flag {
            0 => Ok(message),
            1 => {
                let encoding: Encoding = Encoding::parse(encoding)
                    .ok()
                    .flatten()
                    .ok_or(CallError::Protocol("compressed response without a known encoding"))?;
                let limits =
                    DecompressLimits { max_bytes: self.max_response_bytes, max_ratio: 100, ..Default::default() };
                let mut reservation =
                    Unlimited.reserve(0).await.map_err(|_| CallError::Protocol("no memory for the response"))?;
                let mut unseen = Unseen::none(&self.pool);
                decompress_yielding(encoding, &message, &limits, reservation.as_mut(), &mut unseen, &self.pool)
                    .await
                    .map_err(|error| match error {
                        crate::compression::DecompressError::Malformed { .. } => {
                            CallError::Protocol("malformed compressed response")
                        }
                        _ => CallError::TooLarge { limit: self.max_response_bytes },
                    })
            }
            _ => Err(CallError::Protocol("invalid compression flag in the response")),
        }
    }
}

/// The pieces of a response, mostly just one.
#[derive(Default)]
struct Collected {
    first: Bytes,
    more: Vec<u8>,
}

impl Collected {
    fn add(&mut self, piece: Bytes, limit: usize) -> Result<(), CallError> {
        if self.first.len() + self.more.len() + piece.len() > limit.saturating_add(PREFIX) {
            return Err(CallError::TooLarge { limit });
        }
        if self.first.is_empty() && self.more.is_empty() {
            self.first = piece;
        } else {
            self.more.extend_from_slice(&std::mem::take(&mut self.first));
            self.more.extend_from_slice(&piece);
        }
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { Bytes::from(self.more) }
    }
}
