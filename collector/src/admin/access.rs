//! Who may do what (experience §11, security §9).
//!
//! On the unix socket the kernel says who asks: our own user and root may do everything. On TCP reading is granted, and the
//! rest needs the token; requests that a browser may have been talked into are refused.

use std::net::SocketAddr;

use sluice_net::RequestHead;
use sluice_net::http::{Method, StatusCode};

use super::token::Token;

/// Every request on TCP that changes something has this header: no page of another origin can send it.
pub const MARK: &str = "x-sluice-request";

/// What a route shows or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// For everybody who can connect.
    Public,
    /// How the instance does.
    Read,
    /// Telemetry itself.
    Tap,
    /// Changes something.
    Write,
}

/// A request that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct Denied {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: &'static str,
    pub help: &'static str,
}

const fn forbidden(code: &'static str, message: &'static str, help: &'static str) -> Denied {
    Denied { status: StatusCode::FORBIDDEN, code, message, help }
}

const fn unauthorized(code: &'static str, message: &'static str, help: &'static str) -> Denied {
    Denied { status: StatusCode::UNAUTHORIZED, code, message, help }
}

const STRANGER: Denied =
    forbidden("wrong_user", "the socket is for the user of this process and for root", "run the command as that user");
const HOST: Denied =
    forbidden("wrong_host", "the Host header names another host", "use the address that is listened on");
const ORIGIN: Denied = forbidden("cross_origin", "requests from other origins are refused", "");
const UNMARKED: Denied =
    forbidden("not_marked", "requests that change something need the header X-Sluice-Request", "set it to any value");
const NO_TOKEN: Denied = unauthorized(
    "no_token",
    "this needs the admin token",
    "send Authorization: Bearer with the contents of admin.token, or use the admin socket",
);
const WRONG_TOKEN: Denied = unauthorized("wrong_token", "the token is not that of this instance", NO_TOKEN.help);
const NO_TOKEN_HERE: Denied =
    forbidden("tokenless", "this instance has no token, for it has no state directory", "start it with --data-dir");

/// What is compared with requests.
pub struct Gate {
    pub token: Option<Token>,
    /// Who we are.
    pub uid: u32,
}

impl Gate {
    /// Whether a request may go on.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, class: Class, head: &RequestHead) -> Result<(), Denied> {
        let Some(local) = head.connection.local else {
            let known = head.connection.uid.is_some_and(|uid| uid == self.uid || uid == 0);
            return if known { Ok(()) } else { Err(STRANGER) };
        };
        if !names(head, local) {
            return Err(HOST);
        }
        if class == Class::Public {
            return Ok(());
        }
        same_origin(head)?;
        if head.method != Method::GET && head.method != Method::HEAD && !head.headers.contains_key(MARK) {
            return Err(UNMARKED);
        }
        match (head.headers.contains_key("authorization"), &self.token) {
            (false, _) if class == Class::Read => Ok(()),
            (_, None) if class == Class::Read => Ok(()),
            (_, None) => Err(NO_TOKEN_HERE),
            (false, Some(_)) => Err(NO_TOKEN),
            (true, Some(token)) if bearer(head).is_some_and(|given| token.is(given)) => Ok(()),
            (true, Some(_)) => Err(WRONG_TOKEN),
        }
    }
}

fn bearer(head: &RequestHead) -> Option<&str> {
    let (scheme, token) = head.single("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the request is meant for this listener: a name that was made to point here (DNS rebinding) is none of ours.
fn names(head: &RequestHead, local: SocketAddr) -> bool {
    let authority = head.uri.authority().map(|authority| authority.as_str());
    authority.or_else(|| head.single("host")).is_some_and(|host| is_own(host, local))
}

fn is_own(host: &str, local: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse() == Ok(local.port()) => name,
        // Port 80 is not written.
        _ if local.port() == 80 => host,
        _ => return false,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse() == Ok(local.ip())
}

/// Browsers say where a request comes from.
fn same_origin(head: &RequestHead) -> Result<(), Denied> {
    let site = head.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(ORIGIN);
    }
    let Some(origin) = head.headers.get("origin") else { return Ok(()) };
    let host = head.uri.authority().map(|authority| authority.as_str()).or_else(|| head.single("host"));
    let own = host.is_some_and(|host| origin.as_bytes() == format!("http://{host}").as_bytes());
    if own { Ok(()) } else { Err(ORIGIN) }
}

#[cfg(test)]
mod tests;
