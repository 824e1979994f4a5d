//! Server spans with ten attributes, one of them an e-mail address.

use super::random::Random;
use super::{Shape, resource, scope};
use crate::wire::Message;

const ROUTES: [&str; 4] =
    ["/api/v1/orders/{id}", "/api/v1/carts/{id}/items", "/api/v1/users/{id}", "/api/v1/payments/{id}"];
const AGENTS: [&str; 3] = ["okhttp/5.1.0", "curl/8.15.0", "shop-ios/8.3"];

pub(super) fn request(shape: &Shape, random: &mut Random) -> Message {
    let mut scope_spans = Message::new();
    scope_spans.message(1, scope("io.opentelemetry.netty-4.1"));
    for item in 0..shape.items {
        scope_spans.message(2, span(shape, item, random));
    }
    let mut resource_spans = Message::new();
    resource_spans.message(1, resource(random.below(1000) as u32)).message(2, scope_spans);
    let mut request = Message::new();
    request.message(1, resource_spans);
    request
}

fn span(shape: &Shape, item: u32, random: &mut Random) -> Message {
    let route = if shape.to_drop(item) { "/healthz" } else { random.pick(&ROUTES) };
    let method = random.pick(&["GET", "POST", "PUT"]);
    let number = 100_000 + random.below(900_000);
    let end = random.below(1_000_000_000);
    let mut span = Message::new();
    span.trace_id(1, &random.id16(), item)
        .span_id(2, &random.id8())
        .bytes(4, &random.id8())
        .string(5, &format!("{method} {route}"))
        .varint(6, 2)
        .time(7, end + 1_000_000 + random.below(200_000_000))
        .time(8, end)
        .attribute(9, "http.request.method", method)
        .attribute(9, "http.route", route)
        .attribute(9, "url.path", &format!("/v1/orders/{number}"))
        .attribute_int(9, "http.response.status_code", if random.below(50) == 0 { 500 } else { 200 })
        .attribute(9, "server.address", "shop")
        .attribute_int(9, "server.port", 8443)
        .attribute(9, "client.address", &random.address())
        .attribute(9, "user_agent.original", random.pick(&AGENTS))
        .attribute(9, "user.email", &random.email())
        .attribute(9, "thread.id", &format!("{}", 1 + random.below(64)))
        .message(15, Message::new())
        .fixed32(16, 0x101);
    span
}
