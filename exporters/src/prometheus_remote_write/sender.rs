//! One request to an endpoint, redirects followed.

use std::time::Duration;

use sluice_net::http::{Answer, Client, HeaderMap, HeaderName, HeaderValue, Method, Outgoing, SendError, Uri, header};
use tokio::time::Instant;

use super::response::{Reading, Reply};
use super::series::Request;
use super::version::Version;

/// Headers that the protocol sets.
pub const RESERVED_HEADERS: [&str; 4] =
    ["Content-Encoding", "Content-Type", "User-Agent", "X-Prometheus-Remote-Write-Version"];

const MAX_REDIRECTS: usize = 10;
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");

/// Sends requests.
pub struct Sender {
    pub client: Client,
    pub endpoint: Uri,
    /// As configured; they may hold credentials.
    pub headers: HeaderMap,
    /// For one request, redirects included.
    pub timeout: Duration,
    pub reading: Reading,
}

impl Sender {
    /// Sends one request, with the headers of an authenticator, which like the configured ones must not reach another host.
    /// `attempt` counts from 0.
    pub async fn send(&self, request: &Request, credentials: &HeaderMap, version: Version, attempt: u32) -> Reply {
        let mut headers = protocol_headers(version, attempt);
        headers.extend(self.headers.clone());
        headers.extend(credentials.clone());
        match self.exchange(request, headers, version, attempt).await {
            Ok(answer) => self.reading.answer(&answer),
            Err(error) => self.reading.failure(&error),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        mut headers: HeaderMap,
        version: Version,
        attempt: u32,
    ) -> Result<Answer, SendError> {
        let deadline = Instant::now() + self.timeout;
        let mut uri = self.endpoint.clone();
        for _ in 0..=MAX_REDIRECTS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(SendError::Timeout(self.timeout));
            }
            let outgoing = Outgoing {
                method: Method::POST,
                uri: uri.clone(),
                headers: headers.clone(),
                body: request.body.clone(),
                timeout: Some(left),
            };
            let answer = self.client.send(outgoing).await?;
            let target = match (answer.status.as_u16(), &answer.location) {
                (307 | 308, Some(location)) => resolve(&uri, location),
                _ => None,
            };
            let Some(target) = target else { return Ok(answer) };
            if !same_host(&uri, &target) {
                headers = protocol_headers(version, attempt);
            }
            uri = target;
        }
        Err(SendError::Request(format!("stopped after {MAX_REDIRECTS} redirects")))
    }
}

fn protocol_headers(version: Version, attempt: u32) -> HeaderMap {
    let (content_type, number) = match version {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VERSION, HeaderValue::from_static(number));
    if attempt > 0 {
        headers.insert(RETRY_ATTEMPT, HeaderValue::from(attempt));
    }
    headers
}

/// Where a `Location` points, seen from `from`.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let absolute = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    super::validate::endpoint(&absolute)
}

/// Whether credentials for `from` may be shown to `to`: the same scheme, host and port, or the same host by TLS.
fn same_host(from: &Uri, to: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let upgraded = from.scheme_str() == Some("http") && to.scheme_str() == Some("https");
    host(from) == host(to) && (upgraded || from.scheme_str() == to.scheme_str() && port(from) == port(to))
}

#[cfg(test)]
mod tests;
