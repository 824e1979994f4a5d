//! The processors written plainly on the generated types, with random configs: what the laws compare with.
//!
//! Nothing in here calls a processor, but for the verifiers of redaction's detectors, which say what an address or a card
//! number is. A model gets a request as [`tree::Request`] and edits it as the documentation of the
//! processor says; [`chain`] makes random chains of models and of the real steps with the same config.

#![allow(dead_code, reason = "each test target uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod attributes;
pub mod chain;
pub mod condition;
pub mod eval;
pub mod filter;
pub mod matcher;
pub mod operand;
pub mod pairs;
pub mod plant;
pub mod redaction;
pub mod redaction_settings;
pub mod replace;
pub mod rules;
pub mod small;
pub mod text;
pub mod tree;
pub mod value;
pub mod walk;

/// Keys, texts and names of the generator of requests, so that configs meet what is drawn. No action takes an empty key.
pub const KEYS: [&str; 10] = [
    "service.name",
    "host.name",
    "k8s.pod.name",
    "http.request.method",
    "http.route",
    "user.email",
    "card",
    "url.full",
    "schlüssel",
    "session.id",
];
pub const TEXTS: [&str; 9] = [
    "",
    "GET",
    "/healthz",
    "checkout",
    "alice@example.com",
    "378282246310005",
    "naïve 🦀 Ω",
    "line\nbreak \"quoted\" back\\slash \u{0}\u{1f}\u{7f}",
    "null",
];
pub const NAMES: [&str; 6] = ["GET /api", "checkout", "io.example.instrumentation", "", "1.2.3", "größe"];
pub const METRICS: [&str; 4] = ["http.server.request.duration", "requests_total", "", "température"];
