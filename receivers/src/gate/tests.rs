//! Penalties, tenants, scopes.

use sluice_net::http::HeaderValue;
use sluice_pipeline::BoxFuture;
use sluice_pipeline::clock::VirtualClock;

use super::*;

/// Lets in who says `yes`, with these scopes.
struct Toy(&'static [&'static str]);

impl ServerAuth for Toy {
    fn authenticate<'a>(&'a self, request: AuthRequest<'a>) -> BoxFuture<'a, Result<Principal, Denied>> {
        let right = request.headers.values("authorization") == ["yes"] && !request.penalised;
        let scopes = self.0.iter().map(|scope| (*scope).into()).collect();
        let identity = Identity { subject: "toy".into(), scopes, attributes: Vec::new() };
        let principal = Principal { identity, tenant: Some(Tenant::new("own")) };
        Box::pin(std::future::ready(if right { Ok(principal) } else { Err(Denied::Wrong) }))
    }

    fn challenge(&self) -> &str {
        "Toy"
    }
}

fn gate(scopes: &'static [&'static str], clock: &VirtualClock) -> Gate {
    Gate::new(Some(Arc::new(Toy(scopes))), ComponentId::from("otlp"), Transport::HTTP, Arc::new(clock.clone()))
}

fn head(peer: &str, headers: &[(&'static str, &'static str)]) -> RequestHead {
    let connection = ConnectionInfo {
        peer: Peer::Ip(peer.parse().unwrap()),
        uid: None,
        local: None,
        tls: false,
        client_certificates: Vec::new(),
        ending: sluice_net::listen::Ending::default(),
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    RequestHead {
        method: sluice_net::http::Method::POST,
        uri: sluice_net::http::Uri::from_static("/v1/traces"),
        headers: map,
        version: Default::default(),
        connection: Arc::new(connection),
        deadline: None,
    }
}

const YES: (&str, &str) = ("authorization", "yes");
const ALL: &[&str] = &["write:traces", "tenant:any"];

#[tokio::test]
async fn a_tenant_header_is_believed_from_who_may_name_any() {
    let clock = VirtualClock::default();
    let tenant = |headers: &'static [(&str, &str)], scopes: &'static [&str]| {
        let gate = gate(scopes, &clock);
        async move {
            let admitted = gate.admit(Signal::Traces, &head("192.0.2.1:1", headers)).await?;
            Ok::<_, Refusal>(admitted.into_parts().1.name().to_owned())
        }
    };
    assert_eq!(tenant(&[YES, ("x-scope-orgid", "other")], &["write:traces"]).await, Ok("own".to_owned()));
    assert_eq!(tenant(&[YES, ("x-scope-orgid", "other")], ALL).await, Ok("other".to_owned()));
    assert_eq!(tenant(&[YES], ALL).await, Ok("own".to_owned()));
    assert_eq!(tenant(&[YES, ("x-scope-orgid", "../x")], ALL).await, Err(Refusal::PermissionDenied));
    let two = &[YES, ("x-scope-orgid", "a"), ("x-scope-orgid", "b")];
    assert_eq!(tenant(two, ALL).await, Err(Refusal::PermissionDenied));
    let open = Gate::new(None, ComponentId::from("otlp"), Transport::HTTP, Arc::new(clock.clone()));
    let admitted = open.admit(Signal::Traces, &head("192.0.2.1:1", &[("x-scope-orgid", "other")])).await.unwrap();
    assert_eq!(admitted.into_parts(), (None, Tenant::default()), "nobody has said who it is");
}

#[tokio::test]
async fn a_signal_needs_its_scope_and_two_credentials_are_none() {
    let clock = VirtualClock::default();
    let gate = gate(&["write:logs"], &clock);
    let gate = &gate;
    let refused = |signal, head| async move { gate.admit(signal, &head).await.map(drop) };
    assert_eq!(refused(Signal::Traces, head("192.0.2.1:1", &[YES])).await, Err(Refusal::PermissionDenied));
    assert_eq!(refused(Signal::Logs, head("192.0.2.1:1", &[YES])).await, Ok(()));
    assert_eq!(refused(Signal::Logs, head("192.0.2.1:1", &[YES, YES])).await, Err(Refusal::Unauthenticated));
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_penalised_alone_and_for_a_time() {
    let clock = VirtualClock::default();
    let gate = gate(ALL, &clock);
    for _ in 0..50 {
        let wrong = head("192.0.2.1:1", &[]);
        assert_eq!(gate.admit(Signal::Traces, &wrong).await.map(drop), Err(Refusal::Unauthenticated));
    }
    let from = |peer: &str| head(peer, &[YES]);
    assert!(gate.admit(Signal::Traces, &from("192.0.2.1:2")).await.is_err(), "the toy believes nothing");
    assert!(gate.admit(Signal::Traces, &from("192.0.2.2:1")).await.is_ok());
    clock.advance(Duration::from_millis(100));
    assert!(gate.admit(Signal::Traces, &from("192.0.2.1:3")).await.is_ok());
    // One network of IPv6 is one sender, and an IPv4 address is the same in either form.
    assert_eq!(
        address(&Peer::Ip("[2001:db8::1]:1".parse().unwrap())),
        address(&Peer::Ip("[2001:db8::ffff]:2".parse().unwrap()))
    );
    assert_ne!(
        address(&Peer::Ip("[2001:db8::1]:1".parse().unwrap())),
        address(&Peer::Ip("[2001:db9::1]:1".parse().unwrap()))
    );
    assert_eq!(
        address(&Peer::Ip("[::ffff:192.0.2.1]:1".parse().unwrap())),
        address(&Peer::Ip("192.0.2.1:1".parse().unwrap()))
    );
}

#[tokio::test]
async fn the_table_of_addresses_does_not_grow_without_bound() {
    let clock = VirtualClock::default();
    let gate = gate(ALL, &clock);
    for number in 0..ADDRESSES as u32 + 100 {
        let peer = format!("{}:1", std::net::Ipv4Addr::from(number));
        let _ = gate.admit(Signal::Traces, &head(&peer, &[])).await;
    }
    assert!(gate.penalties.lock().unwrap().len() <= ADDRESSES);
}

#[tokio::test]
async fn a_parameter_of_the_query_stands_for_a_header_if_it_is_named() {
    let clock = VirtualClock::default();
    let asked = |params: &[&str], uri: &'static str, headers: &'static [(&str, &str)]| {
        let params: Vec<String> = params.iter().map(|&param| param.to_owned()).collect();
        let gate = gate(&["write:traces"], &clock).with_params(&params);
        let mut head = head("192.0.2.1:1", headers);
        head.uri = sluice_net::http::Uri::from_static(uri);
        async move { gate.admit(Signal::Traces, &head).await.map(drop) }
    };
    let named = ["authorization"];
    let (uri, refused) = ("/v1/traces?authorization=yes", Err(Refusal::Unauthenticated));
    assert_eq!(asked(&named, uri, &[]).await, Ok(()));
    assert_eq!(asked(&["Authorization"], "/v1/traces?Authorization=y%65s", &[]).await, Ok(()), "headers have no case");
    assert_eq!(asked(&[], uri, &[]).await, refused, "only those that are named");
    assert_eq!(asked(&named, "/v1/traces?authorization=no", &[]).await, refused);
    assert_eq!(asked(&named, "/v1/traces?authorization=yes&authorization=yes", &[]).await, refused);
    assert_eq!(asked(&named, uri, &[YES]).await, refused, "two credentials are none");
    assert_eq!(asked(&named, "/v1/traces", &[YES]).await, Ok(()));
}
