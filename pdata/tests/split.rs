//! Parts of a split request hold the same items in the same order, each with its resource and scope, within the limits.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use sluice_pdata::schema::{Kind, Message};
use sluice_pdata::split::{concat, count, halves, slice, split};
use sluice_pdata::testing::{Decoded, Meaning, Node, Rng, Shape, laws, meaning, odd_request, request, request_of};
use sluice_pdata::wire::{put_len, put_message};
use sluice_pdata::{Signal, canonical};

/// Every item (or envelope without items) as the list of what stands around it and itself.
fn items(signal: Signal, request: &[u8]) -> Vec<Vec<(u32, Meaning)>> {
    // A metric written in pieces is one metric: bring it together first.
    let plain = canonical::envelopes(signal, request).unwrap();
    let mut out = Vec::new();
    collect(signal.request(), meaning(signal.request(), &plain).unwrap(), 0, &mut Vec::new(), &mut out);
    out
}

fn is_item_field(name: &str) -> bool {
    matches!(name, "spans" | "log_records" | "data_points")
}

fn leads_to_items(schema: &Message, name: &str) -> bool {
    let envelope = name.starts_with("resource_") || name.starts_with("scope_") || name == "metrics";
    let data = schema.name == "Metric" && ["gauge", "sum", "summary"].contains(&name) || name.ends_with("histogram");
    envelope || data || is_item_field(name)
}

fn collect(
    schema: &'static Message,
    mut content: Meaning,
    number: u32,
    around: &mut Vec<(u32, Meaning)>,
    out: &mut Vec<Vec<(u32, Meaning)>>,
) {
    let mut children = Vec::new();
    for field in schema.fields {
        if let (true, Kind::Message(inner)) = (leads_to_items(schema, field.name), field.kind) {
            let nodes = content.0.remove(&field.number).unwrap_or_default();
            children.extend(nodes.into_iter().map(|node| (field, inner, node)));
        }
    }
    around.push((number, content));
    for (field, inner, node) in &mut children {
        let Node::Message(content) = node else { unreachable!("a message") };
        if is_item_field(field.name) {
            let mut item = around.clone();
            item.push((field.number, std::mem::take(content)));
            out.push(item);
        } else {
            collect(inner, std::mem::take(content), field.number, around, out);
        }
    }
    if children.is_empty() && around.len() > 1 {
        out.push(around.clone());
    }
    around.pop();
}

fn parts(signal: Signal, whole: &Bytes, max_items: usize, max_bytes: usize) -> Vec<Bytes> {
    split(signal, whole, max_items, max_bytes).unwrap().collect::<Result<_, _>>().unwrap()
}

fn check_parts(signal: Signal, whole: &Bytes, max_items: usize, max_bytes: usize) {
    let parts = parts(signal, whole, max_items, max_bytes);
    let mut union = Vec::new();
    for part in &parts {
        let items_here = count(signal, part).unwrap();
        let leaves = items(signal, part);
        assert!(items_here <= max_items, "{items_here} items");
        let heads_too_long = || {
            let alone = split(signal, part, 1, usize::MAX).unwrap().map(Result::unwrap).last();
            alone.is_some_and(|alone| alone.len() > max_bytes / 2)
        };
        assert!(
            part.len() <= max_bytes || leaves.len() == 1 || heads_too_long(),
            "{} bytes in {} leaves",
            part.len(),
            leaves.len()
        );
        union.extend(leaves);
    }
    assert!(union == items(signal, whole));
    let sum: usize = parts.iter().map(|part| count(signal, part).unwrap()).sum();
    assert_eq!(sum, Decoded::new(signal, whole).unwrap().items());
    let joined = Decoded::new(signal, &concat(&parts)).unwrap();
    assert_eq!(joined.items(), sum);
}

#[test]
fn law_the_union_of_the_parts_is_the_whole_within_the_limits() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed ^ 99);
        let whole = Bytes::from(if rng.chance(50) { request(signal, seed) } else { odd_request(signal, seed) });
        let max_items = if rng.chance(30) { usize::MAX } else { 1 + rng.below(8) };
        let max_bytes = if rng.chance(30) { usize::MAX } else { 1 + rng.below(8000) };
        check_parts(signal, &whole, max_items, max_bytes);
    });
}

#[test]
fn law_a_request_within_the_limits_is_the_same_allocation() {
    laws(|signal, seed| {
        let whole = Bytes::from(odd_request(signal, seed));
        let parts = parts(signal, &whole, usize::MAX, whole.len());
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].as_ptr(), whole.as_ptr());
    });
}

#[test]
fn parts_are_as_large_as_the_limits_allow() {
    let shape = Shape { resources: 1, scopes: 1, items: 400, ..Shape::default() };
    let whole = (0..).map(|seed| Bytes::from(request_of(Signal::Logs, seed, &shape)));
    let whole = whole.filter(|whole| count(Signal::Logs, whole).unwrap() > 100).take(5);
    for whole in whole {
        let items = count(Signal::Logs, &whole).unwrap();
        let by_items = parts(Signal::Logs, &whole, 10, usize::MAX);
        assert_eq!(by_items.len(), items.div_ceil(10));
        let largest = 3 * whole.len() / items + 400;
        let by_bytes = parts(Signal::Logs, &whole, usize::MAX, 20_000);
        assert!(by_bytes[..by_bytes.len() - 1].iter().all(|part| part.len() + largest * 8 > 20_000));
    }
}

#[test]
fn law_halves_are_halves() {
    laws(|signal, seed| {
        let whole = Bytes::from(odd_request(signal, seed));
        let items_in_whole = Decoded::new(signal, &whole).unwrap().items();
        assert_eq!(count(signal, &whole).unwrap(), items_in_whole);
        match halves(signal, &whole).unwrap() {
            None => assert!(items_in_whole < 2),
            Some((first, second)) => {
                assert_eq!(count(signal, &first).unwrap(), items_in_whole.div_ceil(2));
                assert_eq!(count(signal, &second).unwrap(), items_in_whole / 2);
                let union = [items(signal, &first), items(signal, &second)].concat();
                assert!(union == items(signal, &whole));
            }
        }
    });
}

#[test]
fn law_slices_are_cut_where_asked() {
    laws(|signal, seed| {
        let whole = Bytes::from(odd_request(signal, seed));
        let count = count(signal, &whole).unwrap();
        let mut rng = Rng::new(seed);
        let mut cuts = [rng.below(count + 1), rng.below(count + 1)];
        cuts.sort_unstable();
        let ranges = [0..cuts[0], cuts[0]..cuts[1], cuts[1]..count];
        let mut union = Vec::new();
        for range in ranges {
            match slice(signal, &whole, range.clone()).unwrap() {
                None => assert!(range.is_empty()),
                Some(part) => {
                    assert_eq!(sluice_pdata::split::count(signal, &part).unwrap(), range.len());
                    union.extend(items(signal, &part));
                }
            }
        }
        assert!(count == 0 || union == items(signal, &whole));
        assert_eq!(slice(signal, &whole, 0..count + 1).unwrap(), None);
    });
}

#[test]
fn law_concatenated_requests_hold_the_items_of_all() {
    laws(|signal, seed| {
        let (a, b) = (Bytes::from(odd_request(signal, seed)), Bytes::from(request(signal, seed + 1)));
        let joined = concat(&[a.clone(), b.clone()]);
        // Unknown fields of the request itself then belong to all.
        let below_request = |request: &[u8]| -> Vec<_> {
            items(signal, request).into_iter().map(|mut path| path.split_off(1)).collect()
        };
        assert!(below_request(&joined) == [below_request(&a), below_request(&b)].concat());
        assert_eq!(concat(std::slice::from_ref(&a)).as_ptr(), a.as_ptr());
    });
}

#[test]
fn a_bad_request_is_refused_and_an_empty_one_is_itself() {
    for signal in Signal::ALL {
        split(signal, &Bytes::from_static(&[0x0a, 5, 1]), 1, 1).unwrap_err();
        assert_eq!(parts(signal, &Bytes::new(), 1, 1), [Bytes::new()]);
        assert_eq!(halves(signal, &Bytes::new()).unwrap(), None);
        assert_eq!(concat(&[]), Bytes::new());
    }
}

#[test]
fn envelopes_larger_than_half_the_limit_are_not_repeated_for_every_item() {
    let mut group = Vec::new();
    put_message(&mut group, 1, |resource| {
        put_message(resource, 1, |pair| put_len(pair, 1, &[b'k'; 3000]));
    });
    put_message(&mut group, 2, |scope| (0..10_000).for_each(|_| put_len(scope, 2, b"")));
    let mut whole = Vec::new();
    put_len(&mut whole, 1, &group);
    let whole = Bytes::from(whole);
    for max_bytes in [1, 2000, 5000] {
        assert_eq!(parts(Signal::Logs, &whole, usize::MAX, max_bytes).len(), 1);
        assert_eq!(parts(Signal::Logs, &whole, 2500, max_bytes).len(), 4);
    }
    assert!(parts(Signal::Logs, &whole, usize::MAX, 6100).iter().all(|part| part.len() <= 6100));
}
