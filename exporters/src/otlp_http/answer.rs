//! What a destination's answer means (delivery §7), and what is told of it (security A13).

use sluice_net::compression::DecompressError;
use sluice_net::http::{Answer, SendError, Uri, header};
use sluice_pipeline::send::{RetryCause, SendOutcome};

use super::endpoints::shown;
use crate::client::sanitised;
use crate::export_response::{PartialSuccess, status_message};

/// Bytes of a response, as received and as decompressed (security A13).
pub(super) const MAX_RESPONSE: usize = 4 << 20;
/// Bytes of an error's body that is looked at; a larger one says nothing (security A13).
const MAX_ERROR: usize = 64 << 10;

/// Reads an answer.
pub(super) fn outcome(answer: &Answer, uri: &Uri) -> SendOutcome {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return success(answer);
    }
    SendOutcome::from_http(status, answer.retry_after, error_text(answer, uri))
}

fn success(answer: &Answer) -> SendOutcome {
    match answer.decompressed(MAX_RESPONSE) {
        // What is not OTLP says nothing: the status has said it.
        Ok(body) => match content(answer) {
            Content::Protobuf => PartialSuccess::from_protobuf(&body).outcome(),
            Content::Json => PartialSuccess::from_json(&body).outcome(),
            Content::Other => SendOutcome::delivered(),
        },
        Err(DecompressError::Malformed { .. }) => SendOutcome::delivered(),
        Err(error) => SendOutcome::Internal { message: format!("response: {error}") },
    }
}

/// What went wrong, in upstream's words, with what the destination says about it.
fn error_text(answer: &Answer, uri: &Uri) -> String {
    let status = answer.status.as_u16();
    let mut text = format!("request to {} responded with HTTP Status Code {status}", shown(uri));
    if let Some(location) = answer.location.as_deref().filter(|_| answer.status.is_redirection()) {
        let place = sanitised(location.split(['?', '#']).next().unwrap_or_default());
        text.push_str(&format!(", redirects to {place:?} are not followed"));
    }
    if answer.body.len() <= MAX_ERROR
        && let Ok(body) = answer.decompressed(MAX_ERROR)
    {
        let message = match content(answer) {
            Content::Protobuf => status_message(&body, false),
            Content::Json => status_message(&body, true),
            Content::Other => Some(sanitised(&String::from_utf8_lossy(&body))).filter(|text| !text.is_empty()),
        };
        if let Some(message) = message {
            text.push_str(&format!(", Message={message}"));
        }
    }
    text
}

/// What happened instead of an answer.
pub(super) fn failure(error: &SendError) -> SendOutcome {
    let message = sanitised(&error.to_string());
    let retry = |cause, message| SendOutcome::Retry { after: None, cause, message };
    match error {
        SendError::Connect { certificate: true, .. } => SendOutcome::ConfigError { message },
        SendError::Connect { .. } => retry(RetryCause::Connection, message),
        // It may have the payload.
        SendError::Timeout(_) | SendError::Reset(_) => retry(RetryCause::Ambiguous, message),
        SendError::TooLarge { .. } | SendError::Request(_) => SendOutcome::Internal { message },
    }
}

enum Content {
    Protobuf,
    Json,
    Other,
}

fn content(answer: &Answer) -> Content {
    let value = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf") || kind.eq_ignore_ascii_case("application/protobuf") {
        Content::Protobuf
    } else if kind.eq_ignore_ascii_case("application/json") {
        Content::Json
    } else {
        Content::Other
    }
}
