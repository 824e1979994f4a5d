//! Data points: about a third each monotonic sums, gauges and histograms of 15 buckets. As Prometheus samples a sum or a
//! gauge is one and a histogram 17 (15 buckets with `+Inf`, count, sum): 34 + 34 + 32 % make 6.12 samples a point. Each
//! body of the ring has a service instance of its own, so each point of the ring is a series of its own.

use super::random::Random;
use super::{Shape, resource, scope};
use crate::wire::Message;

/// Points of one kind in a hundred.
const SUMS: u32 = 34;
const GAUGES: u32 = 34;
/// Points that share a metric.
const POINTS_A_METRIC: u32 = 20;
const CUMULATIVE: u64 = 2;
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// The start of every cumulative series: ten minutes before the send.
const START_AGE: u64 = 600_000_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Gauge,
    Histogram,
}

pub(super) fn request(shape: &Shape, index: u32, random: &mut Random) -> Message {
    let mut scope_metrics = Message::new();
    scope_metrics.message(1, scope("io.opentelemetry.runtime"));
    let of_kind = |share: u32| (u64::from(shape.items) * u64::from(share) / 100) as u32;
    let (sums, gauges) = if shape.tracked { (0, shape.items) } else { (of_kind(SUMS), of_kind(GAUGES)) };
    let kinds = [(Kind::Sum, sums), (Kind::Gauge, gauges), (Kind::Histogram, shape.items - sums - gauges)];
    let mut item = 0;
    for (kind, count) in kinds {
        let mut left = count;
        while left > 0 {
            let points = left.min(POINTS_A_METRIC);
            scope_metrics.message(2, metric(kind, item, points, random));
            item += points;
            left -= points;
        }
    }
    let mut resource_metrics = Message::new();
    resource_metrics.message(1, resource(index)).message(2, scope_metrics);
    let mut request = Message::new();
    request.message(1, resource_metrics);
    request
}

fn metric(kind: Kind, first: u32, points: u32, random: &mut Random) -> Message {
    let number = first / POINTS_A_METRIC;
    let mut data = Message::new();
    for item in first..first + points {
        data.message(
            1,
            if kind == Kind::Histogram { histogram(item, random) } else { number_point(kind, item, random) },
        );
    }
    let mut metric = Message::new();
    match kind {
        Kind::Sum => {
            data.varint(2, CUMULATIVE).varint(3, 1);
            metric
                .string(1, &format!("shop.orders.processed_{number}"))
                .string(2, "Orders that were processed")
                .string(3, "{order}")
                .message(7, data);
        }
        Kind::Gauge => {
            metric
                .string(1, &format!("shop.queue.depth_{number}"))
                .string(2, "Messages that wait in the queue")
                .string(3, "{message}")
                .message(5, data);
        }
        Kind::Histogram => {
            data.varint(2, CUMULATIVE);
            metric
                .string(1, &format!("http.server.request.duration_{number}"))
                .string(2, "Duration of HTTP server requests")
                .string(3, "s")
                .message(9, data);
        }
    }
    metric
}

fn labels(point: &mut Message, field: u32, item: u32, random: &mut Random) {
    point
        .attribute(field, "http.request.method", random.pick(&["GET", "POST", "PUT"]))
        .attribute(field, "http.route", &format!("/api/v1/orders/{{id}}/part-{}", item % POINTS_A_METRIC))
        .attribute_int(field, "http.response.status_code", 200)
        .attribute(field, "server.address", "shop.example.com");
}

fn number_point(kind: Kind, item: u32, random: &mut Random) -> Message {
    let mut point = Message::new();
    if kind == Kind::Sum {
        point.time(2, START_AGE);
    }
    point.time(3, 0).value(4, random.below(1_000_000) as f64 / 8.0, item);
    labels(&mut point, 7, item, random);
    point
}

fn histogram(item: u32, random: &mut Random) -> Message {
    let counts: Vec<u64> = (0..=BOUNDS.len()).map(|_| random.below(1000)).collect();
    let packed = |values: &mut dyn Iterator<Item = u64>| values.flat_map(u64::to_le_bytes).collect::<Vec<u8>>();
    let mut point = Message::new();
    point
        .time(2, START_AGE)
        .time(3, 0)
        .fixed64(4, counts.iter().sum())
        .double(5, random.below(10_000_000) as f64 / 1024.0)
        .bytes(6, &packed(&mut counts.iter().copied()))
        .bytes(7, &packed(&mut BOUNDS.iter().map(|bound| bound.to_bits())));
    labels(&mut point, 9, item, random);
    point
}
