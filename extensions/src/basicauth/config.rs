//! Upstream's fields, and ours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_config::{Problems, Secret};
use sluice_pipeline::factory::{Validate, field};

use super::htpasswd;
use crate::grant::{Grant, check_scopes};

/// `extensions: basicauth:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// For receivers.
    pub htpasswd: Option<Htpasswd>,
    /// For exporters.
    pub client_auth: Option<Client>,
    /// Ours: take passwords in the clear and SHA-1 digests.
    pub allow_weak_hashes: bool,
    /// Ours: whose data it is that comes with one of the passwords.
    pub tenant: String,
    /// Ours: what the passwords allow.
    pub scopes: Option<Vec<String>>,
    /// Ours: the same for single users.
    pub users: BTreeMap<String, User>,
}

/// `htpasswd`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Htpasswd {
    /// Path of the file; read again when it changes.
    pub file: Option<PathBuf>,
    /// Counts before the file.
    pub inline: Secret,
}

/// `client_auth`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// The name that is sent.
    pub username: String,
    /// The password that is sent.
    pub password: Secret,
    /// File that holds the name; read again when it changes.
    pub username_file: Option<PathBuf>,
    /// File that holds the password; read again when it changes.
    pub password_file: Option<PathBuf>,
}

/// An entry of `users`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// Whose data it is.
    pub tenant: String,
    /// What the user may do.
    pub scopes: Option<Vec<String>>,
}

impl Config {
    /// What a user may do.
    pub fn grant(&self, user: &str) -> Grant {
        let own = self.users.get(user);
        let tenant = own.map(|own| own.tenant.as_str()).filter(|tenant| !tenant.is_empty());
        let scopes = own.and_then(|own| own.scopes.as_deref());
        Grant::new(tenant.unwrap_or(&self.tenant), scopes.or(self.scopes.as_deref()))
    }
}

impl Validate for Config {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        match (&self.htpasswd, &self.client_auth) {
            (None, None) => {
                problems.error(at, "no credential source provided");
            }
            (Some(_), Some(_)) => {
                problems.error(at, "only one of `htpasswd` or `client_auth` can be specified");
            }
            _ => {}
        }
        if let Some(source) = &self.htpasswd {
            if source.file.is_none() && source.inline.is_empty() {
                problems.error(&field(at, "htpasswd"), "no credential source provided");
            }
            if let Err(text) = htpasswd::parse(source.inline.expose(), self.allow_weak_hashes) {
                problems.error(&field(at, "htpasswd::inline"), text);
            }
        }
        if let Some(client) = &self.client_auth {
            if client.username.is_empty() && client.username_file.is_none() {
                problems.error(&field(at, "client_auth::username"), "`username` or `username_file` must be set");
            }
            if client.username.contains(':') {
                problems.error(&field(at, "client_auth::username"), "a user name must not contain a colon");
            }
        }
        check_scopes(self.scopes.as_deref(), at, problems);
        for (name, user) in &self.users {
            check_scopes(user.scopes.as_deref(), &field(at, &format!("users::{name}")), problems);
        }
    }
}
