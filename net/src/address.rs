use std::hash::{BuildHasher, RandomState};

use crate::Error;

/// A random number in `0.0..1.0`, for jitter; not for secrets.
pub(crate) fn random_unit() -> f64 {
    // The standard library seeds every hasher differently, from the system's randomness.
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Where a client connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `Some` when a scheme says whether to use TLS: `https://` forces it, `http://` forbids it.
    pub tls: Option<bool>,
}

impl Endpoint {
    /// Reads an endpoint of a gRPC client: `host:port`, `http://…`, `https://…` or `dns:///host:port`
    /// (`collector-compat.md` section 2.4).
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::Endpoint { endpoint: text.to_owned(), reason };
        let (rest, tls, default_port) = if let Some(rest) = text.strip_prefix("https://") {
            (rest, Some(true), Some(443))
        } else if let Some(rest) = text.strip_prefix("http://") {
            (rest, Some(false), Some(80))
        } else if let Some(rest) = text.strip_prefix("dns://") {
            // dns://authority/host:port; resolvers other than the system's are not supported.
            let name = rest.strip_prefix('/').ok_or_else(|| invalid("a DNS server cannot be chosen"))?;
            (name, None, Some(443))
        } else if text.contains("://") {
            return Err(invalid("unknown scheme"));
        } else {
            (text, None, None)
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(invalid("expected only a host and a port"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(|| invalid("missing `]`"))?;
                (host, after.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => return Err(invalid("IPv6 addresses need brackets")),
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| invalid("invalid port"))?,
            None => default_port.ok_or_else(|| invalid("missing port"))?,
        };
        if host.is_empty() {
            return Err(invalid("missing host"));
        }
        Ok(Endpoint { host: host.to_owned(), port, tls })
    }

    /// `host:port`, with brackets around IPv6 addresses.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_upstream_writes_them() {
        let cases = [
            ("localhost:4317", "localhost", 4317, None),
            ("http://collector:4317", "collector", 4317, Some(false)),
            ("https://collector", "collector", 443, Some(true)),
            ("https://collector:1/", "collector", 1, Some(true)),
            ("dns:///collector.ns:4317", "collector.ns", 4317, None),
            ("[::1]:4317", "::1", 4317, None),
            ("http://[::1]:4317", "::1", 4317, Some(false)),
        ];
        for (text, host, port, tls) in cases {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint, Endpoint { host: host.into(), port, tls }, "{text}");
        }
        assert_eq!(Endpoint::parse("[::1]:4317").unwrap().authority(), "[::1]:4317");
        for bad in ["", "host", ":4317", "host:x", "host:99999", "::1:4317", "[::1:4317", "ftp://h:1", "http://h/path"]
        {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        assert!(Endpoint::parse("dns://8.8.8.8/host:1").is_err());
    }

    #[test]
    fn random_numbers_differ_and_stay_in_range() {
        let drawn: Vec<f64> = (0..100).map(|_| random_unit()).collect();
        assert!(drawn.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert!(drawn.iter().any(|unit| *unit != drawn[0]));
    }
}
