//! The tokens that are known. Of those that senders show, only digests are kept.

use std::sync::Arc;

use sluice_config::Secret;
use sluice_pipeline::Error;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::extension::Principal;

use super::config::Config;
use crate::credential::{Digest, digest};
use crate::grant::{Grant, is_scope};

/// The credentials of one moment.
pub struct Tokens {
    /// With who shows it.
    pub known: Vec<(Digest, Principal)>,
    /// The value that exporters send: the first token.
    pub sent: Option<Secret>,
}

impl Tokens {
    /// From the configuration and the contents of `filename` and `token_hashes_file`.
    ///
    /// # Errors
    /// A line of a file that cannot be understood, by its number, and no token at all.
    pub fn new(config: &Config, id: &str, file: Option<&Secret>, hashes: Option<&Secret>) -> Result<Self, Error> {
        let plain = match file {
            Some(file) => {
                let lines = file.expose().lines().map(str::trim).filter(|line| !line.is_empty());
                lines.map(Secret::new).collect()
            }
            None => config.written(),
        };
        let grant = config.grant();
        let holder = || grant.to(id.into(), Vec::new());
        let mut known: Vec<_> = plain.iter().map(|token| (digest(token.expose()), holder())).collect();
        if let Some(hashes) = hashes {
            for (number, line) in hashes.expose().lines().enumerate() {
                let entry = of_line(line, id, &grant)
                    .map_err(|what| Error::config(format!("token_hashes_file: line {}: {what}", number + 1)))?;
                known.extend(entry);
            }
        }
        if known.is_empty() {
            return Err(Error::config("no bearer token provided"));
        }
        let sent = plain.first().map(|token| {
            let separator = if config.scheme.is_empty() { "" } else { " " };
            Secret::new([config.scheme.as_str(), separator, token.expose()].concat())
        });
        Ok(Tokens { known, sent })
    }
}

/// `<SHA-256 in hex> [subject=…] [tenant=…] [scopes=…,…]`; nothing for comments and empty lines.
fn of_line(line: &str, id: &str, grant: &Grant) -> Result<Option<(Digest, Principal)>, String> {
    let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
    let Some(hex) = words.next() else { return Ok(None) };
    let digest = of_hex(hex).ok_or("does not begin with 64 hexadecimal digits")?;
    let (mut subject, mut grant): (Arc<str>, Grant) = (id.into(), grant.clone());
    for word in words {
        match word.split_once('=') {
            Some(("subject", name)) => subject = name.into(),
            Some(("tenant", name)) => grant.tenant = Some(Tenant::new(name)),
            Some(("scopes", names)) if names.split(',').all(is_scope) => {
                grant.scopes = names.split(',').map(Arc::from).collect();
            }
            Some(("scopes", _)) => return Err("unknown scope".to_owned()),
            _ => return Err("only subject=, tenant= and scopes= may follow the digest".to_owned()),
        }
    }
    Ok(Some((digest, grant.to(subject, Vec::new()))))
}

fn of_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}
