use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::uri::Scheme;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::addresses::{AddressPolicy, Resolver};
use super::connector::Connector;
use super::retry_after::retry_after;
use crate::Error;
use crate::compression::{DecompressError, DecompressLimits, Encoding, decompress};
use crate::pool::BufferPool;
use crate::proxy::{Proxies, Proxy};
use crate::reserve::Counted;
use crate::tls::ClientTls;

/// How a client is set up (`collector-compat.md` section 2.2).
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// For `https://`. `None`: the system's authorities.
    pub tls: Option<ClientTls>,
    /// Sent with every request, unless the request has one of that name. `Host` overrides the target's.
    pub headers: HeaderMap,
    /// The `User-Agent`.
    pub user_agent: String,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Idle connections kept to one host.
    pub max_idle_per_host: usize,
    /// How long they are kept.
    pub idle_timeout: Duration,
    /// Speak HTTP/2 where TLS offers it.
    pub http2: bool,
    /// Time without traffic after which an HTTP/2 connection is pinged. `None`: never.
    pub http2_read_idle_timeout: Option<Duration>,
    /// Time to answer an HTTP/2 ping.
    pub http2_ping_timeout: Duration,
    /// Bytes of a response (`security.md` A13).
    pub max_response_bytes: usize,
    /// Through which proxy.
    pub proxy: Proxy,
    /// Which addresses may be connected to.
    pub addresses: AddressPolicy,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSettings {
            tls: None,
            headers: HeaderMap::new(),
            user_agent: concat!("sluice/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(20),
            max_idle_per_host: 100,
            idle_timeout: Duration::from_secs(90),
            http2: true,
            http2_read_idle_timeout: None,
            http2_ping_timeout: Duration::from_secs(15),
            max_response_bytes: 4 << 20,
            proxy: Proxy::default(),
            addresses: AddressPolicy::default(),
        }
    }
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The method, mostly POST.
    pub method: Method,
    /// Where to, `http://` or `https://`.
    pub uri: Uri,
    /// Sent besides the configured ones, and instead of those of the same name.
    pub headers: HeaderMap,
    /// The body; it is not copied.
    pub body: Bytes,
    /// For the whole exchange. `None`: no limit.
    pub timeout: Option<Duration>,
}

/// Headers of a response (`security.md` A13).
const HEADER_BYTES: usize = 16 << 10;

/// Any response, whatever its status. Redirects are not followed; their target is in `location`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// `Retry-After`, if it can be read; at most 5 min.
    pub retry_after: Option<Duration>,
    /// `Location`, as sent.
    pub location: Option<String>,
}

impl Answer {
    /// The body in plain, as `Content-Encoding` says; a ratio over 100 is refused (`security.md` A13). Nobody sends
    /// compressed responses unless asked by `Accept-Encoding`.
    ///
    /// # Errors
    /// See [`DecompressError`]; an encoding that is not known is malformed gzip.
    pub fn decompressed(&self, max_bytes: usize) -> Result<Bytes, DecompressError> {
        let name = self.headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("invalid"));
        let unknown = |_| DecompressError::Malformed { encoding: Encoding::Gzip, reason: "unknown Content-Encoding" };
        match Encoding::parse(name.unwrap_or_default()).map_err(unknown)? {
            None if self.body.len() > max_bytes => Err(DecompressError::TooLarge { limit: max_bytes }),
            None => Ok(self.body.clone()),
            Some(encoding) => {
                let limits = DecompressLimits { max_bytes, max_ratio: 100, ..DecompressLimits::default() };
                decompress(encoding, &self.body, &limits, &mut Counted::default(), &BufferPool::new(0, 0))
            }
        }
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection, so nothing was sent.
    #[error("connection error: {message}")]
    Connect {
        /// What happened.
        message: String,
        /// A certificate or a name did not hold: trying again will not help.
        certificate: bool,
    },
    /// The connection broke.
    #[error("connection broken: {0}")]
    Reset(String),
    /// The timeout passed.
    #[error("deadline exceeded after {0:?}")]
    Timeout(Duration),
    /// The response exceeds a limit.
    #[error("response exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The request cannot be expressed in HTTP.
    #[error("invalid request: {0}")]
    Request(String),
}

/// An HTTP client with a pool of connections. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    connector: Connector,
    connect_timeout: Duration,
    headers: HeaderMap,
    proxies: Proxies,
    max_response_bytes: usize,
}

impl Client {
    /// Prepares a client. Nothing is connected yet.
    ///
    /// # Errors
    /// TLS cannot be set up, or the user agent is not a header value.
    pub fn new(settings: ClientSettings) -> Result<Self, Error> {
        let tls = match settings.tls {
            Some(tls) => tls,
            None => ClientTls::new(&Default::default())?,
        };
        let policy = Arc::new(settings.addresses);
        let mut tcp =
            HttpConnector::new_with_resolver(Resolver { policy: Arc::clone(&policy), system: GaiResolver::new() });
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        let proxies = Proxies::new(&settings.proxy);
        let connector = Connector { tcp, tls, http2: settings.http2, proxies: proxies.clone(), policy };
        let mut builder = Pool::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.max_idle_per_host)
            .http1_max_buf_size(HEADER_BYTES)
            .http2_max_header_list_size(HEADER_BYTES as u32)
            .http2_keep_alive_timeout(settings.http2_ping_timeout);
        if let Some(interval) = settings.http2_read_idle_timeout {
            builder.http2_keep_alive_interval(interval).http2_keep_alive_while_idle(true);
        }
        let mut headers = settings.headers;
        let user_agent = HeaderValue::try_from(settings.user_agent.as_str())
            .map_err(|_| Error::Header(settings.user_agent.clone()))?;
        headers.entry(header::USER_AGENT).or_insert(user_agent);
        Ok(Client {
            pool: builder.build(connector.clone()),
            connector,
            connect_timeout: settings.connect_timeout,
            headers,
            proxies,
            max_response_bytes: settings.max_response_bytes,
        })
    }

    /// Sends a request and receives the whole response.
    ///
    /// # Errors
    /// See [`SendError`]; an error status of the server is no error here.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Answer, SendError> {
        match outgoing.timeout {
            None => self.exchange(outgoing).await,
            Some(limit) => timeout(limit, self.exchange(outgoing)).await.unwrap_or(Err(SendError::Timeout(limit))),
        }
    }

    /// Whether a connection to the host of `uri` can be made now, TLS and proxy included. It is closed at once.
    pub async fn is_reachable(&self, uri: &Uri) -> bool {
        let connected = timeout(self.connect_timeout, self.connector.clone().connect(uri.clone())).await;
        matches!(connected, Ok(Ok(_)))
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<Answer, SendError> {
        let mut request = Request::new(Full::new(outgoing.body));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.uri;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(outgoing.headers);
        if request.uri().scheme() == Some(&Scheme::HTTP)
            && let Some(Ok(proxy)) = self.proxies.of(request.uri())
            && let Some(credentials) = proxy.credentials
        {
            // In plain text the proxy sees every request; through a tunnel it sees only the connection.
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        let response = self.pool.request(request).await.map_err(|error| sending(&error))?;
        receive(response, self.max_response_bytes).await
    }
}

/// Takes a whole response, up to a limit.
pub(super) async fn receive(response: Response<Incoming>, limit: usize) -> Result<Answer, SendError> {
    let (head, mut body) = response.into_parts();
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| SendError::Reset(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if received.len() + data.len() > limit {
                return Err(SendError::TooLarge { limit });
            }
            received.extend_from_slice(&data);
        }
    }
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(Answer {
        status: head.status,
        retry_after: text(header::RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now())),
        location: text(header::LOCATION).map(str::to_owned),
        body: received.freeze(),
        headers: head.headers,
    })
}

fn sending(error: &hyper_util::client::legacy::Error) -> SendError {
    use std::error::Error as _;
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        causes.push(current);
        cause = current.source();
    }
    let message = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() {
        let certificate = causes
            .iter()
            .filter_map(|cause| tls_error(*cause))
            .any(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
        SendError::Connect { message, certificate }
    } else if causes.iter().any(|cause| is_hyper(*cause, hyper::Error::is_parse_too_large)) {
        SendError::TooLarge { limit: HEADER_BYTES }
    } else if causes.iter().any(|cause| is_hyper(*cause, hyper::Error::is_user)) {
        SendError::Request(message)
    } else {
        SendError::Reset(message)
    }
}

fn is_hyper(error: &(dyn std::error::Error + 'static), what: fn(&hyper::Error) -> bool) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(what)
}

/// The error of TLS inside an I/O error, however often that is wrapped.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut error = error;
    loop {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        error = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}
