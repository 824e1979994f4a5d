//! Answers of the API: JSON, and errors as JSON.

use bytes::Bytes;
use serde::Serialize;
use sluice_net::http::{HeaderName, HeaderValue, Response, ResponseBody, StatusCode, header};

use crate::queue::report::{Problem, Refused};

/// No page may embed, sniff or keep what is answered (security §9).
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Why a request was not done.
#[derive(Debug)]
pub struct Trouble {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub help: &'static str,
}

impl Trouble {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Trouble { status, code, message: message.into(), help: "" }
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The disk.
    pub fn io(error: &sluice_journal::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "journal", error.to_string())
    }

    /// A letter that could not be done.
    pub fn not_now(error: &sluice_pipeline::Error) -> Self {
        Self::new(StatusCode::CONFLICT, "not_done", error.to_string())
    }
}

/// Text, as probes and scrapers want it.
pub fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<ResponseBody> {
    match serde_json::to_vec(body) {
        Ok(bytes) => text(status, "application/json", bytes),
        Err(error) => trouble(&Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())),
    }
}

/// `{"error": …}`.
pub fn trouble(trouble: &Trouble) -> Response<ResponseBody> {
    refused(trouble.status, trouble.code, trouble.message.clone(), trouble.help)
}

/// The same from its parts.
pub fn refused(status: StatusCode, code: &str, message: String, help: &str) -> Response<ResponseBody> {
    let body = Refused { error: Problem { code: code.to_owned(), message, help: help.to_owned() } };
    // Strings always serialize.
    let mut response = text(status, "application/json", serde_json::to_vec(&body).unwrap_or_default());
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
