//! The server that requests go to: one attempt, and what it answered.

use std::time::Duration;

use bytes::Bytes;
use sluice_net::compression::compress;
use sluice_net::grpc::{self, CallError};
use sluice_net::http::{self, HeaderMap, HeaderValue, Method, SendError, Uri, header};
use sluice_net::tls::{ClientTls, ClientTlsSettings, TlsSettings};
use sluice_net::{Encoding, Endpoint};
use sluice_pdata::wire::{Value, fields};
use sluice_pipeline::Signal;
use sluice_pipeline::answer::Code;
use sluice_pipeline::send::{RetryCause, SendOutcome};

use super::args::{Protocol, TargetArgs};

const GRPC: &str = "127.0.0.1:4317";
const HTTP: &str = "127.0.0.1:4318";

/// A client, ready to send.
pub struct Target {
    client: Client,
    encoding: Option<Encoding>,
    timeout: Duration,
    /// Where to, for people.
    pub name: String,
}

enum Client {
    Grpc(grpc::Client),
    Http { client: Box<http::Client>, base: String, json: bool },
}

impl Target {
    /// Prepares a client; connects with the first request.
    ///
    /// # Errors
    /// The arguments contradict each other, or name files that cannot be used.
    pub fn new(args: &TargetArgs) -> Result<Self, sluice_net::Error> {
        let endpoint = args.endpoint.clone();
        let name = endpoint.unwrap_or_else(|| if args.protocol == Protocol::Grpc { GRPC } else { HTTP }.to_owned());
        let tls = if wants_tls(args) { Some(tls(args)?) } else { None };
        let headers: HeaderMap = args.header.iter().cloned().collect();
        let client = if args.protocol == Protocol::Grpc {
            let mut settings = grpc::ClientSettings::new(Endpoint::parse(&name)?);
            (settings.tls, settings.headers, settings.connect_timeout) = (tls, headers, args.timeout);
            Client::Grpc(grpc::Client::new(settings)?)
        } else {
            let base = match name.split_once("://") {
                Some(_) => name.trim_end_matches('/').to_owned(),
                None => format!("{}://{name}", if tls.is_some() { "https" } else { "http" }),
            };
            let settings =
                http::ClientSettings { tls, headers, connect_timeout: args.timeout, ..http::ClientSettings::default() };
            let json = args.protocol == Protocol::Json;
            Client::Http { client: Box::new(http::Client::new(settings)?), base, json }
        };
        Ok(Target { client, encoding: args.compression, timeout: args.timeout, name })
    }

    /// One attempt.
    pub async fn send(&self, signal: Signal, request: &Bytes) -> SendOutcome {
        match &self.client {
            Client::Grpc(client) => self.over_grpc(client, signal, request).await,
            Client::Http { client, base, json } => self.over_http(client, base, *json, signal, request).await,
        }
    }

    fn compressed(&self, body: Bytes) -> Result<Bytes, SendOutcome> {
        let Some(encoding) = self.encoding else { return Ok(body) };
        compress(encoding, None, &body).map_err(|error| SendOutcome::Internal { message: error.to_string() })
    }

    async fn over_grpc(&self, client: &grpc::Client, signal: Signal, request: &Bytes) -> SendOutcome {
        let message = match self.compressed(request.clone()) {
            Ok(message) => message.into(),
            Err(failed) => return failed,
        };
        let outgoing = grpc::Outgoing {
            path: signal.grpc_path(),
            message,
            encoding: self.encoding,
            timeout: Some(self.timeout),
            headers: HeaderMap::new(),
        };
        let error = match client.call(outgoing).await {
            Ok(response) => return partial(&response.message),
            Err(error) => error,
        };
        let message = error.to_string();
        match error {
            CallError::Status(status) => match status.http_status {
                Some(http) => SendOutcome::from_http(http.as_u16(), status.retry_delay, message),
                None => SendOutcome::from_grpc(Code::from_number(status.code as u32), status.retry_delay, message),
            },
            CallError::Timeout(_) => SendOutcome::Retry { after: None, cause: RetryCause::Ambiguous, message },
            CallError::Connect { certificate: true, .. } => SendOutcome::ConfigError { message },
            CallError::TooLarge { .. } | CallError::Protocol(_) => SendOutcome::Internal { message },
            _ => SendOutcome::Retry { after: None, cause: RetryCause::Connection, message },
        }
    }

    async fn over_http(
        &self,
        client: &http::Client,
        base: &str,
        json: bool,
        signal: Signal,
        request: &Bytes,
    ) -> SendOutcome {
        let Ok(uri) = format!("{base}{}", signal.http_path()).parse::<Uri>() else {
            return SendOutcome::ConfigError { message: format!("{base} is not a URL") };
        };
        let mut body = request.clone();
        if json {
            let mut text = Vec::new();
            if let Err(error) = sluice_pdata::json::write(signal, request, &mut text) {
                return SendOutcome::Internal { message: error.to_string() };
            }
            body = text.into();
        }
        let body = match self.compressed(body) {
            Ok(body) => body,
            Err(failed) => return failed,
        };
        let mut headers = HeaderMap::new();
        let content_type = if json { "application/json" } else { "application/x-protobuf" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(encoding) = self.encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
        }
        let outgoing = http::Outgoing { method: Method::POST, uri, headers, body, timeout: Some(self.timeout) };
        match client.send(outgoing).await {
            Ok(answer) if answer.status.is_success() && json => partial_json(&answer.body),
            Ok(answer) if answer.status.is_success() => partial(&answer.body),
            Ok(answer) => {
                let message = format!("{}: {}", answer.status, reason(&answer.body, json));
                SendOutcome::from_http(answer.status.as_u16(), answer.retry_after, message)
            }
            Err(error) => {
                let message = error.to_string();
                match error {
                    SendError::Connect { certificate: true, .. } | SendError::Request(_) => {
                        SendOutcome::ConfigError { message }
                    }
                    SendError::TooLarge { .. } => SendOutcome::Internal { message },
                    SendError::Timeout(_) => SendOutcome::Retry { after: None, cause: RetryCause::Ambiguous, message },
                    _ => SendOutcome::Retry { after: None, cause: RetryCause::Connection, message },
                }
            }
        }
    }
}

fn wants_tls(args: &TargetArgs) -> bool {
    let asked = args.tls || args.insecure_skip_verify || args.server_name.is_some();
    let files = args.ca.is_some() || args.cert.is_some();
    asked || files || args.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("https://"))
}

fn tls(args: &TargetArgs) -> Result<ClientTls, sluice_net::Error> {
    let common = TlsSettings {
        ca_file: args.ca.clone(),
        cert_file: args.cert.clone(),
        key_file: args.key.clone(),
        ..TlsSettings::default()
    };
    let settings = ClientTlsSettings {
        common,
        insecure: false,
        insecure_skip_verify: args.insecure_skip_verify,
        server_name_override: args.server_name.clone(),
    };
    settings.validate()?;
    ClientTls::new(&settings)
}

const PARTIAL_SUCCESS: u32 = 1;
const REJECTED: u32 = 1;
const ERROR_MESSAGE: u32 = 2;

/// Reads an `Export*ServiceResponse`: the three are alike.
fn partial(response: &[u8]) -> SendOutcome {
    let (mut rejected, mut message) = (0u64, String::new());
    for field in fields(response).flatten() {
        let (PARTIAL_SUCCESS, Value::Len(partial)) = (field.number, field.value) else { continue };
        for field in fields(partial).flatten() {
            match (field.number, field.value) {
                (REJECTED, Value::Varint(count)) => rejected = count,
                (ERROR_MESSAGE, Value::Len(text)) => message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
    }
    outcome(rejected, message)
}

/// The same as OTLP/JSON.
fn partial_json(response: &[u8]) -> SendOutcome {
    let response: serde_json::Value = serde_json::from_slice(response).unwrap_or_default();
    let partial = &response["partialSuccess"];
    let counts = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"].map(|name| match &partial[name] {
        serde_json::Value::String(count) => count.parse().unwrap_or(0),
        count => count.as_u64().unwrap_or(0),
    });
    outcome(counts.into_iter().max().unwrap_or(0), partial["errorMessage"].as_str().unwrap_or_default().to_owned())
}

fn outcome(rejected: u64, message: String) -> SendOutcome {
    match (usize::try_from(rejected).unwrap_or(usize::MAX), message) {
        (0, message) if message.is_empty() => SendOutcome::delivered(),
        (rejected, message) => SendOutcome::Partial { rejected, message },
    }
}

/// The text of an HTTP refusal: that of a `google.rpc.Status`, or the body as it is.
fn reason(body: &[u8], json: bool) -> String {
    const MESSAGE: u32 = 2;
    let status = serde_json::from_slice::<serde_json::Value>(body).ok();
    let of_json = status.as_ref().and_then(|status| status["message"].as_str()).map(str::to_owned);
    let of_protobuf = fields(body).flatten().find_map(|field| match (field.number, field.value) {
        (MESSAGE, Value::Len(text)) if !json => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    of_json.or(of_protobuf).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_success_is_read_in_both_forms() {
        let refused = SendOutcome::Partial { rejected: 3, message: "no".to_owned() };
        assert_eq!(partial(&[10, 6, 8, 3, 18, 2, b'n', b'o']), refused);
        assert_eq!(partial_json(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#), refused);
        assert_eq!(partial_json(br#"{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"no"}}"#), refused);
        for nothing in [&b""[..], &[10, 0]] {
            assert_eq!(partial(nothing), SendOutcome::delivered());
        }
        assert_eq!(partial_json(b"{}"), SendOutcome::delivered());
        let warned = SendOutcome::Partial { rejected: 0, message: "no".to_owned() };
        assert_eq!(partial(&[10, 4, 18, 2, b'n', b'o']), warned);
    }

    #[test]
    fn the_reason_is_found_in_every_form_of_refusal() {
        assert_eq!(reason(br#"{"code":14,"message":"full"}"#, true), "full");
        assert_eq!(reason(&[8, 14, 18, 4, b'f', b'u', b'l', b'l'], false), "full");
        assert_eq!(reason(b"Bad Gateway", true), "Bad Gateway");
    }
}
