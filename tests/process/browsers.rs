//! Requests of pages in browsers (CORS).

use crate::auth::TRACES;
use crate::sluice::Sluice;
use crate::wire::{PROTOBUF, http, trace};

#[test]
fn pages_in_browsers_are_let_in_by_their_origin() {
    let cors = "receivers.otlp.protocols.http.cors={allowed_origins: ['https://*.example.com'], \
                allowed_headers: [x-team], exposed_headers: [x-seen], max_age: 600}";
    let sluice = Sluice::start(&["--set", cors]);
    let (origin, other) = (("origin", "https://a.example.com"), ("origin", "https://a.example.net"));
    let method = ("access-control-request-method", "POST");
    let ask = |headers: &[(&str, &str)]| http(sluice.http, "OPTIONS", TRACES, headers, b"");
    let answer = ask(&[origin, method, ("access-control-request-headers", "content-type, X-Team")]);
    assert_eq!(answer.status, 204);
    for line in [
        "access-control-allow-origin: https://a.example.com",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: post",
        "access-control-allow-headers: content-type, x-team",
        "access-control-max-age: 600",
    ] {
        assert!(answer.headers.contains(line), "{line} in {}", answer.headers);
    }
    for refused in [
        vec![other, method],
        vec![method],
        vec![origin, ("access-control-request-method", "PUT")],
        vec![origin, method, ("access-control-request-headers", "x-other")],
    ] {
        let answer = ask(&refused);
        assert_eq!(answer.status, 204, "{refused:?}");
        assert!(!answer.headers.contains("access-control-allow"), "{refused:?}: {}", answer.headers);
    }
    assert_eq!(ask(&[origin]).status, 405, "no preflight");
    for (body, status) in [(trace("x"), 200), (b"\x0a\xff\xff".to_vec(), 400)] {
        let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF, origin], &body);
        assert_eq!(answer.status, status);
        assert!(answer.headers.contains("access-control-allow-origin: https://a.example.com"), "{}", answer.headers);
        assert!(answer.headers.contains("access-control-expose-headers: x-seen"), "{}", answer.headers);
    }
    let answer = http(sluice.http, "POST", TRACES, &[PROTOBUF, other], &trace("x"));
    assert!(!answer.headers.contains("access-control-allow"), "{}", answer.headers);
}
