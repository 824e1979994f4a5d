//! The generator of random requests draws everything, and its odd encodings mean what the plain ones mean.

use std::collections::BTreeSet;

use sluice_pdata::Signal;
use sluice_pdata::schema::{Kind, Message};
use sluice_pdata::testing::{Decoded, Meaning, Node, Shape, laws, meaning, odd_request, request, request_of};

#[test]
fn law_an_odd_request_means_what_the_plain_one_means() {
    laws(|signal, seed| {
        let plain = Decoded::new(signal, &request(signal, seed)).unwrap();
        let odd = Decoded::new(signal, &odd_request(signal, seed)).unwrap();
        assert_eq!(plain, odd);
    });
}

#[test]
fn shapes_bound_what_is_drawn() {
    for signal in Signal::ALL {
        let none = Shape { resources: 0, ..Shape::default() };
        assert!(request_of(signal, 1, &none).is_empty());
        let seen: Vec<usize> =
            (0..200).map(|seed| Decoded::new(signal, &request(signal, seed)).unwrap().items()).collect();
        assert!(seen.contains(&0) && seen.iter().any(|items| *items > 10), "{signal} {seen:?}");
    }
}

#[test]
fn every_field_of_every_message_is_drawn() {
    fn missing(
        schema: &'static Message,
        seen: &BTreeSet<(&str, u32)>,
        done: &mut BTreeSet<&str>,
        out: &mut Vec<String>,
    ) {
        if !done.insert(schema.name) {
            return;
        }
        for field in schema.fields {
            if !seen.contains(&(schema.name, field.number)) {
                out.push(format!("{}.{}", schema.name, field.name));
            }
            if let Kind::Message(inner) = field.kind {
                missing(inner, seen, done, out);
            }
        }
    }
    fn note(schema: &'static Message, content: &Meaning, seen: &mut BTreeSet<(&'static str, u32)>) {
        for (number, nodes) in &content.0 {
            seen.insert((schema.name, *number));
            for node in nodes {
                if let (Some(Kind::Message(inner)), Node::Message(content)) =
                    (schema.field(*number).map(|field| field.kind), node)
                {
                    note(inner, content, seen);
                }
            }
        }
    }
    for signal in Signal::ALL {
        let (mut seen, mut gaps) = (BTreeSet::new(), Vec::new());
        for seed in 0..300 {
            note(signal.request(), &meaning(signal.request(), &request(signal, seed)).unwrap(), &mut seen);
        }
        missing(signal.request(), &seen, &mut BTreeSet::new(), &mut gaps);
        assert_eq!(gaps, Vec::<String>::new(), "{signal}");
    }
}
