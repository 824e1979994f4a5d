//! The ports that a component opens, as its config has them: known before anything is opened (security §4.1).

use crate::blocks::{GrpcServer, HttpServer};

/// One listener of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Path of its block within the component, such as `protocols::grpc`; empty if it is the component's own.
    pub at: &'static str,
    pub address: ListenAddress,
    /// Clients prove who they are, or nobody can listen on the wire.
    pub guarded: bool,
    /// `allow_insecure`, or nothing that it serves or takes is worth guarding.
    pub exempt: bool,
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`, as written or by default.
    Tcp(String),
    Unix(String),
}

impl Listening {
    pub fn grpc(at: &'static str, server: &GrpcServer, endpoint: &str) -> Self {
        let guarded = server.tls.is_some() || server.auth.is_some();
        Self::new(at, &server.transport, endpoint, guarded, server.allow_insecure)
    }

    pub fn http(at: &'static str, server: &HttpServer, endpoint: &str) -> Self {
        let guarded = server.tls.is_some() || server.auth.is_some();
        Self::new(at, &server.transport, endpoint, guarded, server.allow_insecure)
    }

    fn new(at: &'static str, transport: &str, endpoint: &str, guarded: bool, exempt: bool) -> Self {
        let address = match transport {
            "unix" => ListenAddress::Unix(endpoint.to_owned()),
            _ => ListenAddress::Tcp(endpoint.to_owned()),
        };
        Listening { at, address, guarded, exempt }
    }

    /// Whether anybody on the network can send to it, or read along.
    pub fn is_exposed(&self) -> bool {
        !self.guarded && !self.exempt && self.address.is_remote()
    }
}

impl ListenAddress {
    /// Whether it can be reached from other machines, so far as the text says.
    pub fn is_remote(&self) -> bool {
        match self {
            ListenAddress::Unix(_) => false,
            ListenAddress::Tcp(endpoint) => !matches!(host(endpoint), Host::Loopback),
        }
    }

    /// Whether both cannot be listened on at once: the same socket, or the same port on the same or on every address.
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one == other,
            (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
                let (here, there) = (host(one), host(other));
                port(one).is_some_and(|port| port != 0)
                    && port(one) == port(other)
                    && (here == there || here == Host::Any || there == Host::Any)
            }
            _ => false,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Host<'a> {
    Any,
    Loopback,
    Named(&'a str),
}

fn host(endpoint: &str) -> Host<'_> {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        _ if host.is_empty() => Host::Any,
        _ if host.eq_ignore_ascii_case("localhost") => Host::Loopback,
        Ok(address) if address.is_unspecified() => Host::Any,
        Ok(address) if address.is_loopback() => Host::Loopback,
        _ => Host::Named(host),
    }
}

fn port(endpoint: &str) -> Option<u16> {
    endpoint.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(endpoint: &str) -> ListenAddress {
        ListenAddress::Tcp(endpoint.to_owned())
    }

    #[test]
    fn what_only_this_machine_reaches_is_not_exposed() {
        for endpoint in ["localhost:1", "LOCALHOST:1", "127.0.0.1:1", "127.8.0.1:1", "[::1]:1"] {
            assert!(!tcp(endpoint).is_remote(), "{endpoint}");
        }
        for endpoint in ["0.0.0.0:1", ":1", "[::]:1", "10.0.0.1:1", "node.example:1", "[2001:db8::1]:1"] {
            assert!(tcp(endpoint).is_remote(), "{endpoint}");
        }
        assert!(!ListenAddress::Unix("/run/otlp.sock".to_owned()).is_remote());
    }

    #[test]
    fn guards_and_exemptions_end_the_exposure() {
        let open = GrpcServer::default();
        assert!(Listening::grpc("", &open, "0.0.0.0:1").is_exposed());
        let allowed = GrpcServer { allow_insecure: true, ..GrpcServer::default() };
        assert!(!Listening::grpc("", &allowed, "0.0.0.0:1").is_exposed());
        let guarded = HttpServer { tls: Some(Default::default()), ..HttpServer::default() };
        assert!(!Listening::http("", &guarded, "0.0.0.0:1").is_exposed());
    }

    #[test]
    fn listeners_collide_on_a_port_of_one_address() {
        for (one, other, collide) in [
            ("localhost:1", "127.0.0.1:1", true),
            ("localhost:1", "0.0.0.0:1", true),
            (":1", "[::]:1", true),
            ("10.0.0.1:1", "10.0.0.2:1", false),
            ("localhost:1", "localhost:2", false),
            ("localhost:0", "localhost:0", false),
        ] {
            assert_eq!(tcp(one).collides(&tcp(other)), collide, "{one} and {other}");
        }
        let socket = |path: &str| ListenAddress::Unix(path.to_owned());
        assert!(socket("/a").collides(&socket("/a")) && !socket("/a").collides(&socket("/b")));
        assert!(!socket("/a").collides(&tcp(":1")));
    }
}
