//! Who may send, and as whom we send.

use serde::{Deserialize, Serialize};

/// `auth`: the extension that authenticates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Id of the extension.
    pub authenticator: String,
    /// Of HTTP servers: parameters of the query that the authenticator reads as if they were headers.
    pub request_params: Vec<String>,
}

/// An entry of `middlewares`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Middleware {
    /// Id of the extension.
    pub id: String,
}
