//! Log records with an e-mail address in the body and another in the attributes.

use super::random::Random;
use super::{Shape, resource, scope};
use crate::wire::Message;

const ERROR: u64 = 17;
const WARN: u64 = 13;
const INFO: u64 = 9;
const DEBUG: u64 = 5;

pub(super) fn request(shape: &Shape, random: &mut Random) -> Message {
    let mut scope_logs = Message::new();
    scope_logs.message(1, scope("com.example.shop.checkout"));
    for item in 0..shape.items {
        scope_logs.message(2, record(shape, item, random));
    }
    let mut resource_logs = Message::new();
    resource_logs.message(1, resource(random.below(1000) as u32)).message(2, scope_logs);
    let mut request = Message::new();
    request.message(1, resource_logs);
    request
}

fn record(shape: &Shape, item: u32, random: &mut Random) -> Message {
    let (number, text) = if shape.to_drop(item) {
        (DEBUG, "DEBUG")
    } else {
        match random.below(20) {
            0 => (ERROR, "ERROR"),
            1 | 2 => (WARN, "WARN"),
            _ => (INFO, "INFO"),
        }
    };
    let age = random.below(1_000_000_000);
    let mut body = Message::new();
    body.string(
        1,
        &format!(
            "order {} of {} accepted: {} items for {}.{:02} EUR, will ship to warehouse {}",
            100_000 + random.below(900_000),
            random.email(),
            1 + random.below(20),
            random.below(500),
            random.below(100),
            random.below(40)
        ),
    );
    let mut record = Message::new();
    record
        .time(1, age)
        .varint(2, number)
        .string(3, text)
        .message(5, body)
        .attribute(6, "code.function.name", "com.example.shop.checkout.OrderService.accept")
        .attribute_int(6, "code.line.number", 100 + random.below(400))
        .attribute(6, "thread.name", &format!("worker-{}", random.below(64)))
        .attribute(6, "user.email", &random.email())
        .attribute(6, "order.state", random.pick(&["accepted", "accepted", "on hold"]))
        .fixed32(8, 1)
        .trace_id(9, &random.id16(), item)
        .span_id(10, &random.id8())
        .time(11, age.saturating_sub(1_000_000));
    record
}
