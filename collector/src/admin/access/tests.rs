use std::sync::Arc;

use sluice_net::http::{HeaderMap, HeaderName};
use sluice_net::listen::Ending;
use sluice_net::{ConnectionInfo, Peer};

use super::*;

const OWN: u32 = 1000;

fn gate() -> Gate {
    Gate { token: Token::new("right"), uid: OWN }
}

fn head(method: Method, headers: &[(&'static str, &str)], connection: ConnectionInfo) -> RequestHead {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
    let uri = "/admin/v1/queues".parse().unwrap();
    let version = sluice_net::http::Version::HTTP_11;
    RequestHead { method, uri, headers, version, connection: Arc::new(connection), deadline: None }
}

fn tcp(class: Class, method: Method, headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
    let local = Some("127.0.0.1:7070".parse().unwrap());
    let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
    let connection = ConnectionInfo {
        peer,
        uid: None,
        local,
        tls: false,
        client_certificates: Vec::new(),
        ending: Ending::default(),
    };
    gate().check(class, &head(method, headers, connection)).map_err(|denied| denied.code)
}

fn unix(class: Class, uid: Option<u32>) -> Result<(), &'static str> {
    let connection = ConnectionInfo {
        peer: Peer::Unix,
        uid,
        local: None,
        tls: false,
        client_certificates: Vec::new(),
        ending: Ending::default(),
    };
    gate().check(class, &head(Method::POST, &[], connection)).map_err(|denied| denied.code)
}

#[test]
fn every_class_by_every_credential() {
    const HOST: (&str, &str) = ("host", "127.0.0.1:7070");
    const MARKED: (&str, &str) = (MARK, "1");
    let wrong = ("authorization", "Bearer wrong");
    let right = ("authorization", "Bearer right");
    let basic = ("authorization", "Basic right");
    use Class::{Public, Read, Tap, Write};
    for (class, method, none, bad) in [
        (Public, Method::GET, Ok(()), Ok(())),
        (Read, Method::GET, Ok(()), Err("wrong_token")),
        (Tap, Method::GET, Err("no_token"), Err("wrong_token")),
        (Write, Method::POST, Err("no_token"), Err("wrong_token")),
    ] {
        assert_eq!(tcp(class, method.clone(), &[HOST, MARKED]), none, "{class:?} without a token");
        assert_eq!(tcp(class, method.clone(), &[HOST, MARKED, wrong]), bad, "{class:?} with a bad token");
        assert_eq!(tcp(class, method.clone(), &[HOST, MARKED, basic]), bad, "{class:?} with another scheme");
        assert_eq!(tcp(class, method, &[HOST, MARKED, right]), Ok(()), "{class:?} with the token");
        assert_eq!(unix(class, Some(OWN)), Ok(()));
        assert_eq!(unix(class, Some(0)), Ok(()));
        assert_eq!(unix(class, Some(OWN + 1)), Err("wrong_user"));
        assert_eq!(unix(class, None), Err("wrong_user"));
    }
    assert_eq!(tcp(Write, Method::POST, &[HOST, right]), Err("not_marked"));
    let mut several = HeaderMap::new();
    several.append("host", "127.0.0.1:7070".parse().unwrap());
    several.append("authorization", "Bearer right".parse().unwrap());
    several.append("authorization", "Bearer right".parse().unwrap());
    let local = Some("127.0.0.1:7070".parse().unwrap());
    let peer = Peer::Ip("127.0.0.1:50000".parse().unwrap());
    let connection = ConnectionInfo {
        peer,
        uid: None,
        local,
        tls: false,
        client_certificates: Vec::new(),
        ending: Ending::default(),
    };
    let mut head = head(Method::GET, &[], connection);
    head.headers = several;
    assert_eq!(gate().check(Tap, &head).map_err(|denied| denied.code), Err("wrong_token"), "which one is meant?");
    head.headers.append("host", "evil.example".parse().unwrap());
    assert_eq!(gate().check(Public, &head).map_err(|denied| denied.code), Err("wrong_host"));
}

#[test]
fn only_names_of_this_listener_are_answered() {
    for (host, allowed) in [
        ("127.0.0.1:7070", true),
        ("localhost:7070", true),
        ("LocalHost:7070", true),
        ("127.0.0.1", false),
        ("127.0.0.1:7071", false),
        ("evil.example:7070", false),
        ("127.0.0.1.evil.example:7070", false),
        ("", false),
    ] {
        let expected = if allowed { Ok(()) } else { Err("wrong_host") };
        assert_eq!(tcp(Class::Public, Method::GET, &[("host", host)]), expected, "{host}");
    }
    assert_eq!(tcp(Class::Public, Method::GET, &[]), Err("wrong_host"));
    assert!(is_own("[::1]:7070", "[::1]:7070".parse().unwrap()));
    assert!(is_own("localhost", "127.0.0.1:80".parse().unwrap()));
}

#[test]
fn pages_of_other_origins_get_nothing() {
    let ask = |name, value| tcp(Class::Read, Method::GET, &[("host", "localhost:7070"), (name, value)]);
    assert_eq!(ask("origin", "http://localhost:7070"), Ok(()));
    assert_eq!(ask("sec-fetch-site", "same-origin"), Ok(()));
    assert_eq!(ask("sec-fetch-site", "none"), Ok(()));
    assert_eq!(ask("origin", "http://evil.example"), Err("cross_origin"));
    assert_eq!(ask("origin", "null"), Err("cross_origin"));
    assert_eq!(ask("origin", "https://localhost:7070"), Err("cross_origin"));
    assert_eq!(ask("sec-fetch-site", "cross-site"), Err("cross_origin"));
    assert_eq!(ask("sec-fetch-site", "same-site"), Err("cross_origin"));
}
