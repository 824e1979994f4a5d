//! Upstream's fields, and ours.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Secret};
use sluice_net::http::HeaderName;
use sluice_pipeline::factory::{Validate, field};

use crate::grant::{Grant, check_scopes};

/// `extensions: bearertokenauth:`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What stands before the token; empty for nothing.
    pub scheme: String,
    /// The header.
    pub header: String,
    /// The token.
    pub token: Secret,
    /// Several, of which each is taken; the first is sent.
    pub tokens: Vec<Secret>,
    /// A token on each line. Counts instead of `token` and `tokens`.
    pub filename: Option<PathBuf>,
    /// Ours: SHA-256 digests of tokens, one on each line.
    pub token_hashes_file: Option<PathBuf>,
    /// Ours: whose data it is that comes with one of the tokens.
    pub tenant: String,
    /// Ours: what the tokens allow.
    pub scopes: Option<Vec<String>>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            scheme: "Bearer".to_owned(),
            header: "Authorization".to_owned(),
            token: Secret::default(),
            tokens: Vec::new(),
            filename: None,
            token_hashes_file: None,
            tenant: String::new(),
            scopes: None,
        }
    }
}

impl Config {
    /// What the tokens allow that say nothing else.
    pub fn grant(&self) -> Grant {
        Grant::new(&self.tenant, self.scopes.as_deref())
    }

    /// The tokens in the configuration itself.
    pub fn written(&self) -> Vec<Secret> {
        let tokens = std::iter::once(&self.token).chain(&self.tokens);
        tokens.filter(|token| !token.is_empty()).cloned().collect()
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        let written = !self.token.is_empty() || !self.tokens.is_empty();
        if !written && self.filename.is_none() && self.token_hashes_file.is_none() {
            problems.error(at, "no bearer token provided");
        }
        if !self.token.is_empty() && !self.tokens.is_empty() {
            problems.error(&field(at, "tokens"), "either tokens or token should be set, not both");
        }
        for (index, _) in self.tokens.iter().enumerate().filter(|(_, token)| token.is_empty()) {
            problems.error(&field(at, &format!("tokens::{index}")), "a token must not be empty");
        }
        if written && self.filename.is_some() {
            problems.add("W0518", &field(at, "filename"), "`filename` counts, and `token` and `tokens` do not");
        }
        if self.header.parse::<HeaderName>().is_err() {
            problems.error(&field(at, "header"), format!("invalid header name {:?}", self.header));
        }
        if self.scheme.contains(|character: char| !character.is_ascii_graphic()) {
            problems.error(&field(at, "scheme"), "`scheme` must be one word");
        }
        check_scopes(self.scopes.as_deref(), at, problems);
    }
}
