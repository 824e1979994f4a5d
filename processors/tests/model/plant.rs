//! Texts and numbers that redaction cares about, written into a request.

use sluice_pdata::schema::{Kind, Message};
use sluice_pdata::testing::{Meaning, Node, Rng, meaning};

use super::tree::write;

/// What texts are made of: findings, halves of findings, masks, and what may stand beside them.
const PIECES: [&[u8]; 30] = [
    b"bob@example.org",
    b"Alice.B+c@sub.example.com",
    b"%40example.org",
    b"carol%40example.net",
    "dave＠example.org".as_bytes(),
    b"4111111111111111",
    b"4111-1111-1111-1111",
    b"5425 2334 3010 9903",
    b"3782 822463 10005",
    b"4111111111111112",
    "６０１１０００９９０１３９４２４".as_bytes(),
    b"{\"card\": 4539578763621486, \"a\": [4539578763621486]}",
    b"{\\\"card\\\":4539578763621486}",
    b"https://user:pw@host.example/path?mail=bob@example.org",
    b"a=1,b=bob@example.org,c=4111111111111111",
    b"****",
    b"[EMAIL]",
    b"<hidden PAN>",
    b"null",
    b"token",
    b"secret",
    b"user",
    b" ",
    b", ",
    b"\n",
    b"@",
    b"1111 1111",
    "é\u{200d}".as_bytes(),
    b"\xff\x80",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// A card number as a number.
const NUMBER: u64 = 4_539_578_763_621_486;

/// Writes findings into `percent` of the texts and numbers of a request. `broken`: some of them are not UTF-8.
pub fn planted(schema: &'static Message, bytes: &[u8], rng: &mut Rng, percent: usize, broken: bool) -> Vec<u8> {
    let mut tree = meaning(schema, bytes).unwrap();
    plant(schema, &mut tree, rng, percent, broken);
    let mut out = Vec::new();
    write(schema, &tree, false, &mut out);
    out
}

fn plant(schema: &'static Message, tree: &mut Meaning, rng: &mut Rng, percent: usize, broken: bool) {
    for (number, nodes) in &mut tree.0 {
        let Some(kind) = schema.field(*number).map(|field| field.kind) else { continue };
        for node in nodes {
            match (kind, node) {
                (Kind::Message(inner), Node::Message(content)) => plant(inner, content, rng, percent, broken),
                (Kind::String | Kind::Bytes, Node::Bytes(text)) if rng.chance(percent) => {
                    *text = loop {
                        let pieces = (0..=rng.below(4)).map(|_| rng.pick(&PIECES)).collect::<Vec<_>>().concat();
                        if broken || pieces.is_ascii() || std::str::from_utf8(&pieces).is_ok() {
                            break pieces;
                        }
                    };
                }
                (Kind::Int64, Node::Scalar(number)) if rng.chance(percent) => *number = NUMBER,
                (Kind::Double, Node::Scalar(bits)) if schema.name == "AnyValue" && rng.chance(percent) => {
                    *bits = (NUMBER as f64).to_bits();
                }
                _ => {}
            }
        }
    }
}
