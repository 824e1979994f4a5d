//! What exporters that are clients have in common.

use std::sync::Arc;

use sluice_config::Headers;
use sluice_net::http::{HeaderMap, HeaderName, HeaderValue, Proxy};
use sluice_net::tls::ClientTls;
use sluice_pipeline::blocks::{Auth, Middleware, TlsClient};
use sluice_pipeline::component::Environment;
use sluice_pipeline::extension::{ClientAuth, NoCredentials};
use sluice_pipeline::send::{RetryCause, SendOutcome};
use sluice_pipeline::telemetry::show_certificates;
use sluice_pipeline::{ComponentId, Context, Error};

/// Bytes of a peer's text that are told.
const MAX_TEXT: usize = 1024;

/// Loads what a `tls` block names, and shows from now on how it is doing.
pub(crate) fn tls(block: &TlsClient, environment: &Environment) -> Result<ClientTls, Error> {
    let settings = block.settings();
    let invalid = Error::Network;
    settings.validate().map_err(invalid)?;
    let tls = ClientTls::new(&settings).map_err(invalid)?;
    show_certificates(&environment.telemetry, &[("exporter", environment.id.as_str())], tls.watch());
    Ok(tls)
}

/// The proxy that `proxy_url` names, or those of the environment (collector-compat §2.2).
pub(crate) fn proxy(written: &str) -> Proxy {
    match written {
        "" => Proxy::Environment,
        url => Proxy::Url(url.to_owned()),
    }
}

/// Whether requests can be sent through the proxy that `proxy_url` names. Unwritten is fine.
pub(crate) fn check_proxy(written: &str) -> Result<(), String> {
    if !written.is_empty() && !written.contains("://") {
        return Err("`proxy_url` must be a URL such as http://proxy.example.com:3128".to_owned());
    }
    proxy(written).check().map_err(|reason| format!("`proxy_url` cannot be used: {reason}"))
}

/// The configured `headers`. Their values are never shown.
pub(crate) fn headers(written: &Headers) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in written.iter() {
        let invalid = || Error::config(format!("invalid header {name:?}"));
        let name: HeaderName = name.parse().map_err(|_| invalid())?;
        let mut value: HeaderValue = value.expose().parse().map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Who adds credentials to requests, as `auth` names it (collector-compat §2.6). Of `middlewares` there are none for clients.
pub(crate) fn auth(
    written: Option<&Auth>,
    middlewares: &[Middleware],
    protocol: &str,
    environment: &Environment,
) -> Result<Option<Arc<dyn ClientAuth>>, Error> {
    if let Some(Middleware { id }) = middlewares.first() {
        let is_there = environment.extensions.get(&ComponentId::from(id.as_str())).is_some();
        let what = if is_there { "requested extension is not a client middleware" } else { "middleware not found" };
        return Err(Error::config(format!("failed to resolve middleware {id:?}: {what}")));
    }
    let Some(auth) = written else { return Ok(None) };
    let name = &auth.authenticator;
    let Some(extension) = environment.extensions.get(&ComponentId::from(name.as_str())) else {
        return Err(Error::config(format!("failed to resolve authenticator {name:?}: authenticator not found")));
    };
    match extension.client_auth() {
        Some(auth) => Ok(Some(auth)),
        None => {
            Err(Error::config(format!("{name:?}: requested authenticator is not a {protocol} client authenticator")))
        }
    }
}

/// The headers of an authenticator for the next request; none without one.
///
/// # Errors
/// What becomes of the payload without them.
pub(crate) async fn credentials(auth: Option<&dyn ClientAuth>, context: &Context) -> Result<HeaderMap, SendOutcome> {
    let mut headers = HeaderMap::new();
    let Some(auth) = auth else { return Ok(headers) };
    let told = |error: NoCredentials| {
        let message = format!("authentication: {error}");
        match error {
            NoCredentials::Now(_) => SendOutcome::Retry { after: None, cause: RetryCause::Unavailable, message },
            NoCredentials::ForThis(_) => SendOutcome::Permanent { message },
        }
    };
    for (name, value) in auth.headers(context).await.map_err(told)? {
        let invalid = |what: &str| told(NoCredentials::ForThis(format!("invalid {what} of header {name:?}")));
        let key: HeaderName = name.parse().map_err(|_| invalid("name"))?;
        let mut value: HeaderValue = value.expose().parse().map_err(|_| invalid("value"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The metadata keys by which payloads must be kept apart for the sake of an authenticator.
pub(crate) fn partition(auth: Option<&Arc<dyn ClientAuth>>) -> Vec<String> {
    auth.map(|auth| auth.metadata_keys()).unwrap_or_default()
}

/// What a peer says, fit to be logged and handed on: short, on one line, without control characters (security A13).
pub(crate) fn sanitised(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_TEXT));
    for character in text.trim().chars() {
        if clean.len() >= MAX_TEXT {
            clean.push('…');
            break;
        }
        // Besides controls: marks that change the direction or the lines of what is around them.
        let steers = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || steers {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::{check_proxy, sanitised};

    #[test]
    fn proxies_are_reached_in_plain_text() {
        for good in ["", "http://p:3128", "http://user:pass@p:3128", "http://p"] {
            assert_eq!(check_proxy(good), Ok(()), "{good}");
        }
        for bad in ["p:3128", "https://p:3128", "socks5://p:1080", "http://", "http://p:0", "http://p:70000"] {
            assert!(check_proxy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_peer_says_is_short_and_has_no_control_characters() {
        assert_eq!(sanitised(" quota of tenant 7 exceeded\n"), "quota of tenant 7 exceeded");
        assert_eq!(sanitised("a\x1b[31mb\r\nc\u{202e}d"), "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{202e}d");
        let long = sanitised(&"ä".repeat(5000));
        assert!(long.len() < 1100 && long.ends_with("ä…"), "{}", long.len());
        assert!(sanitised(&"\x01".repeat(5000)).len() < 1100);
    }
}
