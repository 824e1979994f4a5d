//! Tests of the whole text engine.

mod actions;
mod ids;
mod laws;
mod model;
mod pass;
mod settings;
mod settings_law;
mod summary;
mod taint;
mod upstream;
mod walk;

use serde_json::{Value, json};

use super::*;

/// Compiles a block written as JSON.
fn engine(block: Value) -> Engine {
    try_engine(block).unwrap()
}

fn try_engine(block: Value) -> Result<Engine, String> {
    let config: Config = serde_json::from_value(block).map_err(|error| error.to_string())?;
    Engine::new(&config).map_err(|error| error.to_string())
}

/// Runs one text through an engine: the new text, or the verdict in angle brackets.
fn run_at(engine: &Engine, place: Place, key: Option<&str>, text: &str) -> String {
    let mut scratch = engine.scratch();
    let mut out = Vec::new();
    let verdict = engine.leaf_alone(&mut scratch, place, key.map(str::as_bytes), text.as_bytes(), &mut out);
    show(verdict, text, &out)
}

fn show(verdict: LeafVerdict, text: &str, out: &[u8]) -> String {
    match verdict {
        LeafVerdict::Keep => {
            assert!(out.is_empty(), "Keep must not write");
            text.to_owned()
        }
        LeafVerdict::Replace => String::from_utf8(out.to_vec()).unwrap(),
        other => format!("<{other:?}>"),
    }
}

fn run(engine: &Engine, text: &str) -> String {
    run_at(engine, Place::LogBody, None, text)
}

#[test]
fn an_empty_block_runs_the_default_pack() {
    let engine = engine(json!({}));
    assert_eq!(engine.detector_ids().collect::<Vec<_>>(), ["email", "pan"]);
    assert_eq!(run(&engine, "bob@example.org paid with 4111 1111 1111 1111"), "[EMAIL] paid with [PAN]");
    assert_eq!(run(&engine, "nothing here"), "nothing here");
    let mut scratch = engine.scratch();
    assert_eq!(engine.key(&mut scratch, b"any", true), KeyVerdict::Scan);
}

#[test]
fn candidates_of_a_request_serve_its_values_in_order() {
    let engine = engine(json!({}));
    let request = b"\x0a\x10bob@example.org\x12\x04none\x1a\x104111111111111111tail";
    let (mut candidates, mut scratch, mut out) = (Candidates::default(), engine.scratch(), Vec::new());
    engine.scan_batch(request, &mut candidates);
    for (at, end, expected) in [(2, 17, "[EMAIL]"), (19, 23, "none"), (25, 41, "[PAN]")] {
        let leaf = Leaf { place: Place::SpanAttribute, key: None, text: &request[at..end], at };
        out.clear();
        let verdict = engine.leaf(&mut scratch, &leaf, &mut candidates, &mut out);
        assert_eq!(show(verdict, std::str::from_utf8(leaf.text).unwrap(), &out), expected);
    }
    assert!(!candidates.any_before(request.len()));
    candidates.rewind();
    assert!(candidates.any_before(10));
}

#[test]
fn bytes_around_a_value_do_not_hide_it() {
    // A length of 0x10 to 0x39 is a digit or a separator to a scan that does not know messages.
    let engine = engine(json!({}));
    let (mut candidates, mut scratch) = (Candidates::default(), engine.scratch());
    for length in 12..60usize {
        for card in ["4111111111111111", "6304000000000000", "4111-1111-1111-1111"] {
            let text = format!("{:<length$}", card);
            let mut request = vec![b'7'; length % 11];
            request.push(text.len() as u8);
            let at = request.len();
            request.extend_from_slice(text.as_bytes());
            request.extend_from_slice(b"00000");
            engine.scan_batch(&request, &mut candidates);
            let leaf = Leaf { place: Place::SpanName, key: None, text: text.as_bytes(), at };
            let mut out = Vec::new();
            assert_eq!(engine.leaf(&mut scratch, &leaf, &mut candidates, &mut out), LeafVerdict::Replace, "{text}");
        }
    }
}

#[test]
fn ordinary_lines_stay_as_they_are() {
    let engine = engine(json!({}));
    let (mut scratch, mut out) = (engine.scratch(), Vec::new());
    let mut state = 7u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) * (1 << 31) + (state >> 2) % (1 << 31)) % n
    };
    let mut false_hits = 0;
    for _ in 0..20_000 {
        let nanos = 1_600_000_000_000_000_000 + below(200_000_000_000_000_000);
        let line = format!(
            "2024-0{}-1{} 0{}:1{}:22.{:06} INFO blk_-{} took {} ns, offset {} block {}, trace_id={:016x}{:016x} v{}.{}.{} seq={} at={}",
            1 + below(9),
            below(10),
            below(10),
            below(10),
            below(1_000_000),
            nanos,
            below(10_000_000_000),
            below(1 << 62),
            below(1 << 50),
            below(1 << 62),
            below(1 << 62),
            below(20),
            below(20),
            below(20),
            below(10_000_000_000),
            nanos / 1_000_000,
        );
        out.clear();
        let verdict = engine.leaf_alone(&mut scratch, Place::LogBody, None, line.as_bytes(), &mut out);
        false_hits += usize::from(verdict != LeafVerdict::Keep);
    }
    assert!(false_hits <= 2, "{false_hits} false hits in 20,000 lines");
}
