//! Every accessor of every view agrees with `prost`, however oddly a request is written.

use opentelemetry_proto::tonic::common::v1::any_value;
use sluice_pdata::testing::{Decoded, Rng, laws, odd_request, request, viewed};
use sluice_pdata::view::{AnyValueView, ResourceView, TracesView};
use sluice_pdata::{Signal, canonical};

#[test]
fn law_views_read_what_prost_decodes() {
    laws(|signal, seed| {
        for request in [request(signal, seed), odd_request(signal, seed)] {
            let plain = canonical::envelopes(signal, &request).unwrap();
            let expected = Decoded::new(signal, &request).unwrap().as_views_tell();
            let found = viewed(signal, &plain).unwrap();
            assert!(found == expected, "{found:#?}\n{expected:#?}");
        }
    });
}

#[test]
fn law_views_of_damaged_bytes_fail_or_agree() {
    laws(|signal, seed| {
        let mut rng = Rng::new(seed);
        let mut request = odd_request(signal, seed);
        if request.is_empty() {
            return;
        }
        for _ in 0..=rng.below(2) {
            let at = rng.below(request.len());
            request[at] ^= 1 << rng.below(8);
        }
        let Ok(plain) = canonical::envelopes(signal, &request) else { return };
        let found = viewed(signal, &plain);
        if let Ok(expected) = Decoded::new(signal, &request) {
            assert!(found.unwrap() == expected.as_views_tell());
        }
    });
}

#[test]
fn law_an_attribute_is_found_by_its_key_and_the_first_one_wins() {
    laws(|signal, seed| {
        if signal != Signal::Traces {
            return;
        }
        let request = odd_request(signal, seed);
        let plain = canonical::envelopes(signal, &request).unwrap();
        let Decoded::Traces(decoded) = Decoded::new(signal, &request).unwrap() else { unreachable!() };
        for (group, expected) in TracesView(&plain).resource_spans().zip(&decoded.resource_spans) {
            let view: ResourceView<'_> = group.unwrap().resource().unwrap();
            let Some(resource) = &expected.resource else { continue };
            for key in resource.attributes.iter().map(|pair| pair.key.as_str()).chain(["absent"]) {
                let first = resource.attributes.iter().find(|pair| pair.key == key);
                let found = view.attributes().get(key.as_bytes()).unwrap();
                assert_eq!(found.is_some(), first.is_some());
                let text = first.and_then(|pair| pair.value.as_ref()).and_then(|value| match &value.value {
                    Some(any_value::Value::StringValue(text)) => Some(text.as_bytes()),
                    _ => None,
                });
                assert_eq!(found.and_then(AnyValueView::as_str), text);
            }
        }
    });
}
