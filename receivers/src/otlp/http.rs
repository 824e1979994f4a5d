//! OTLP/HTTP: protobuf and JSON bodies on three paths.

use std::sync::Arc;

use bytes::Bytes;
use sluice_net::http::{
    Admission, HeaderName, HeaderValue, HttpService, Refusal as NetRefusal, Request, Response, ResponseBody,
    StatusCode, header,
};
use sluice_net::listen::RequestHead;
use sluice_net::{Encoding, Reserve};
use sluice_pdata::Signal;
use sluice_pipeline::answer::{HttpAnswer, RpcStatus};
use sluice_pipeline::outcome::SizeLimit;
use sluice_pipeline::{Accepted, Refusal};

use super::grpc;
use super::intake::{Format, Intake, Sizes};
use crate::cors::Cors;
use crate::gate::Admitted;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The service behind the HTTP listener.
pub(super) struct Http {
    pub(super) intake: Intake,
    pub(super) reserve: Arc<dyn Reserve>,
    /// By signal.
    pub(super) paths: [String; 3],
    pub(super) response_headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) cors: Option<Cors>,
    /// Content encodings that are read.
    pub(super) encodings: Vec<Encoding>,
}

/// Leave to read a body: as whose, and what of.
pub(super) struct Leave {
    admitted: Admitted,
    format: Format,
}

impl HttpService for Http {
    type Route = Signal;
    type Context = Leave;

    fn route(&self, path: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|&signal| self.paths[signal as usize] == path)
    }

    fn other_method(&self, _route: &Signal, head: &RequestHead) -> Option<Response<ResponseBody>> {
        self.cors.as_ref()?.preflight(head)
    }

    async fn admit(&self, signal: &Signal, head: &RequestHead) -> Result<Admission<Leave>, Response<ResponseBody>> {
        let format = format_of(head);
        let refused = |refusal| {
            let response = self.refusal(*signal, &refusal, format.unwrap_or(Format::Protobuf));
            self.marked(head, response)
        };
        // Who has no business here is told nothing about what it sends.
        let (admitted, sizes) = self.intake.admit(*signal, head).await.map_err(refused)?;
        let format = format.ok_or_else(|| refused(Refusal::ContentType))?;
        let context = Leave { admitted, format };
        let Sizes { wire_bytes: max_wire_bytes, decompress } = sizes;
        Ok(Admission { context, reserve: Arc::clone(&self.reserve), max_wire_bytes, decompress })
    }

    async fn call(&self, request: Request<Signal, Leave>) -> Response<ResponseBody> {
        let Request { route: signal, head, context: Leave { admitted, format }, body, must_finish } = request;
        let response = match self.intake.take(signal, &head, admitted, body, format, &must_finish).await {
            Ok(accepted) => self.respond(StatusCode::OK, format, success(signal, &accepted, format)),
            Err(refusal) => self.answer(&refusal, format),
        };
        self.marked(&head, response)
    }

    fn refuse(&self, head: &RequestHead, refusal: &NetRefusal) -> Response<ResponseBody> {
        let response = self.refuse_unmarked(head, refusal);
        self.marked(head, response)
    }

    fn encodings(&self) -> &[Encoding] {
        &self.encodings
    }
}

impl Http {
    /// With what a browser needs to show it to its page.
    fn marked(&self, head: &RequestHead, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        if let Some(cors) = &self.cors {
            cors.mark(head, response.headers_mut());
        }
        response
    }

    fn refuse_unmarked(&self, head: &RequestHead, refusal: &NetRefusal) -> Response<ResponseBody> {
        let refusal = match refusal {
            NetRefusal::NotFound => Refusal::UnknownPath,
            NetRefusal::MethodNotAllowed => {
                let signal = self.route(head.path()).unwrap_or(Signal::Traces);
                self.intake.count_refusal(signal, &Refusal::Method { allow: "POST" });
                return self.method_not_allowed();
            }
            NetRefusal::UriTooLong => Refusal::Uri,
            NetRefusal::HeadersTooLarge => Refusal::Headers,
            NetRefusal::UnsupportedEncoding(encoding) => Refusal::UnknownEncoding { encoding: encoding.clone() },
            NetRefusal::TooLarge { limit } => {
                Refusal::TooLarge { what: SizeLimit::Wire, size: *limit as u64 + 1, limit: *limit as u64 }
            }
            NetRefusal::Inflates { limit } => {
                Refusal::TooLarge { what: SizeLimit::Decompressed, size: *limit as u64 + 1, limit: *limit as u64 }
            }
            NetRefusal::Malformed => Refusal::Malformed { message: refusal.to_string() },
            NetRefusal::Busy => Refusal::Memory,
            NetRefusal::ShuttingDown => Refusal::ShuttingDown,
            NetRefusal::Internal => Refusal::Internal,
        };
        let signal = self.route(head.path()).unwrap_or(Signal::Traces);
        self.refusal(signal, &refusal, format_of(head).unwrap_or(Format::Protobuf))
    }
}

fn format_of(head: &RequestHead) -> Option<Format> {
    let kind = head.content_type()?;
    if kind.eq_ignore_ascii_case(PROTOBUF) {
        Some(Format::Protobuf)
    } else if kind.eq_ignore_ascii_case(JSON) {
        Some(Format::Json)
    } else {
        None
    }
}

impl Http {
    fn refusal(&self, signal: Signal, refusal: &Refusal, format: Format) -> Response<ResponseBody> {
        self.intake.count_refusal(signal, refusal);
        self.answer(refusal, format)
    }

    fn answer(&self, refusal: &Refusal, format: Format) -> Response<ResponseBody> {
        match refusal.http(self.intake.delay()) {
            HttpAnswer::Status { http, status, retry_after, allow, close } => {
                let code = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = self.respond(code, format, body_of(&status, format));
                let headers = response.headers_mut();
                if let Some(seconds) = retry_after {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if let Some(Ok(allow)) = allow.map(HeaderValue::from_str) {
                    headers.insert(header::ALLOW, allow);
                }
                if code == StatusCode::UNAUTHORIZED
                    && let Some(Ok(challenge)) = self.intake.gate.challenge().map(HeaderValue::from_str)
                {
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
                if close {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            // Resets and closes are the listener's own refusals and never come from a batch.
            HttpAnswer::Reset(_) | HttpAnswer::Close => {
                self.respond(StatusCode::SERVICE_UNAVAILABLE, format, Bytes::new())
            }
        }
    }

    /// Upstream answers a wrong method with plain text.
    fn method_not_allowed(&self) -> Response<ResponseBody> {
        let text = Bytes::from_static(b"405 method not allowed, supported: [POST]");
        let mut response = self.respond(StatusCode::METHOD_NOT_ALLOWED, Format::Protobuf, text);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        response
    }

    fn respond(&self, status: StatusCode, format: Format, body: Bytes) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::from(body));
        *response.status_mut() = status;
        let content_type = match format {
            Format::Protobuf => HeaderValue::from_static(PROTOBUF),
            Format::Json => HeaderValue::from_static(JSON),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        for (name, value) in &self.response_headers {
            headers.insert(name.clone(), value.clone());
        }
        response
    }
}

fn body_of(status: &RpcStatus, format: Format) -> Bytes {
    match format {
        Format::Protobuf => Bytes::from(status.to_protobuf()),
        Format::Json => Bytes::from(status.to_json()),
    }
}

fn success(signal: Signal, accepted: &Accepted, format: Format) -> Bytes {
    match (format, &accepted.partial) {
        (Format::Protobuf, _) => grpc::response(accepted),
        (Format::Json, None) => Bytes::from_static(b"{}"),
        (Format::Json, Some(partial)) => {
            let field = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
            };
            let mut message = String::new();
            for character in partial.message.chars() {
                match character {
                    '"' => message.push_str("\\\""),
                    '\\' => message.push_str("\\\\"),
                    control if control.is_control() => message.push_str(&format!("\\u{:04x}", control as u32)),
                    other => message.push(other),
                }
            }
            let rejected = partial.rejected;
            Bytes::from(format!("{{\"partialSuccess\":{{\"{field}\":\"{rejected}\",\"errorMessage\":\"{message}\"}}}}"))
        }
    }
}
