use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

use super::settings::TlsSettings;
use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tls12,
    Tls13,
}

/// The versions from `min_version` to `max_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    min: Version,
    max: Version,
}

impl Range {
    pub(super) fn new(min: &str, max: Option<&str>) -> Result<Self, Error> {
        let unsupported = |version: &str| Error::Tls(format!("unsupported TLS version: {version:?}"));
        let parse = |version: &str| match version {
            "1.2" => Ok(Version::Tls12),
            "1.3" => Ok(Version::Tls13),
            other => Err(unsupported(other)),
        };
        let (min, max) = (parse(min)?, max.map_or(Ok(Version::Tls13), parse)?);
        if min > max {
            return Err(Error::Tls(
                "invalid TLS configuration: min_version cannot be greater than max_version".to_owned(),
            ));
        }
        Ok(Range { min, max })
    }

    pub(super) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match (self.min, self.max) {
            (Version::Tls12, Version::Tls12) => &ONLY_12,
            (Version::Tls12, Version::Tls13) => &BOTH,
            (Version::Tls13, _) => &ONLY_13,
        }
    }
}

/// aws-lc-rs, narrowed to the configured suites and groups. What is not known here is warned of; it is an error only
/// when nothing remains.
pub(super) fn provider(settings: &TlsSettings) -> Result<Arc<CryptoProvider>, Error> {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        let known = provider.cipher_suites.clone();
        // The names of TLS 1.3 suites differ by their prefix; upstream cannot choose among them, so all stay.
        let (v13, v12): (Vec<_>, Vec<_>) = known.into_iter().partition(|suite| suite.tls13().is_some());
        let mut chosen = Vec::new();
        for name in &settings.cipher_suites {
            match v12.iter().find(|suite| suite.suite().as_str() == Some(name.as_str())) {
                Some(suite) => chosen.push(*suite),
                None => tracing::warn!(suite = %name, "cipher suite is not supported"),
            }
        }
        if chosen.is_empty() {
            return Err(Error::Tls("none of the configured cipher suites is supported".to_owned()));
        }
        provider.cipher_suites = v13.into_iter().chain(chosen).collect();
    }
    if !settings.curve_preferences.is_empty() {
        let mut chosen = Vec::new();
        for name in &settings.curve_preferences {
            match group(name) {
                Some(group) => chosen.push(group),
                None => tracing::warn!(curve = %name, "curve is not supported"),
            }
        }
        if chosen.is_empty() {
            return Err(Error::Tls("none of the configured curves is supported".to_owned()));
        }
        provider.kx_groups = chosen;
    }
    Ok(Arc::new(provider))
}

fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    match name {
        "X25519MLKEM768" => Some(aws_lc_rs::kx_group::X25519MLKEM768),
        "X25519" => Some(aws_lc_rs::kx_group::X25519),
        "P256" => Some(aws_lc_rs::kx_group::SECP256R1),
        "P384" => Some(aws_lc_rs::kx_group::SECP384R1),
        _ => None,
    }
}
