//! What is encoded is read back; what is damaged is not read at all.

use std::collections::BTreeSet;
use std::time::Duration;

use super::barrier::Barrier;
use super::cursor::{CURSOR_SLOT, CursorState, MAX_SUSPECTS, WINDOW};
use super::dead::Cause;
use super::footer::Contents;
use super::meta::{Clean, MAX_GAPS, META_SLOT, Meta};
use super::record::{HEADER, Header, Kind};
use super::routes::Routes;
use super::segment::{SegmentHeader, Trailer};
use super::slot::{SLOT_HEADER, Slot};
use super::watermark::Watermark;
use super::*;
use crate::clock::Stamp;
use crate::route::{Dest, RouteSet};
use crate::sim::Random;

const UUID: Uuid = *b"0123456789abcdef";

fn header() -> Header {
    Header {
        seq: 7,
        len: 20,
        data_crc: 1,
        prev_hdr_crc: 2,
        kind: Kind::Data,
        signal: 2,
        flags: 1,
        tenant: 3,
        route_set: 4,
        items: 5,
        ctx_len: 6,
        lead: 0,
        ingest_ms: 8,
        request_id: 9,
    }
}

fn contents() -> Contents {
    let mut contents = Contents::empty(PAGE);
    for seq in 1..=40 {
        let header = Header { seq, len: 8000, route_set: seq as u32 % 3, signal: seq as u8 % 3, ..header() };
        contents.add(contents.end, &header, RouteSet::EMPTY.with(Dest(seq as u8 % 3)));
    }
    contents.holes = vec![(4096, 64)];
    contents.lost = [1, 2, 3, 4];
    contents
}

#[test]
fn every_structure_survives_encoding() {
    let key = Key::new(&UUID, SegNo::new(Chain::Derived, 3));
    let (bytes, crc) = header().encode(key);
    assert_eq!(Header::decode(&bytes, key), Some((header(), crc)));
    assert_eq!(Header::decode(&bytes, Key::new(&UUID, SegNo::new(Chain::Main, 3))), None, "of another segment");
    assert_eq!(Header::decode(&bytes, Key::new(&[0; 16], SegNo::new(Chain::Derived, 3))), None, "of another journal");

    let no = SegNo::new(Chain::Main, 9);
    assert_eq!(Contents::decode(&contents().encode(&UUID, no), &UUID, no), Some(contents()));
    assert_eq!(Contents::decode(&contents().encode(&UUID, no), &UUID, SegNo(8)), None);

    let created = Stamp { boot: 1, boottime: Duration::from_nanos(2), wall: Duration::from_nanos(3) };
    let segment =
        SegmentHeader { uuid: UUID, no, base_seq: 4, flags: 5, generation: 6, created, before: [1; 4], own: [2; 4] };
    assert_eq!(SegmentHeader::decode(&segment.encode()), Some(segment));
    let trailer = Trailer { no, base_seq: 1, generation: 2, flags: 3, footer_offset: 4, footer_len: 5 };
    assert_eq!(Trailer::decode(&trailer.encode(&UUID), &UUID), Some(trailer));

    let routes = vec![(3, RouteSet::EMPTY.with(Dest(200)))];
    let barrier = Barrier { records: 1, crc: 2, items: [3; 4], routes: routes.clone() };
    assert_eq!(Barrier::decode(&barrier.encode()), Some(barrier.clone()));
    assert_eq!(barrier.encode().len() as u64, Barrier::len(1));
    let mark = Watermark { stage: 1, committed: 2, done: vec![4, 9] };
    assert_eq!(Watermark::decode(&mark.encode()), Some(mark));

    let mut table = Routes::default();
    table.names.insert(3, "otlp/a".to_owned());
    assert_eq!(table.insert(routes[0].1, |_| true), Some(1));
    assert_eq!(Routes::decode(&table.encode()), Some(table));

    let cause = Cause { reason: "poison".into(), status: "a b".into(), origin_seq: 4, parked_ms: 5 };
    let mut bytes = cause.encode();
    bytes.extend_from_slice(b"payload");
    assert_eq!(Cause::decode(&bytes), Some((cause, &b"payload"[..])));
}

#[test]
fn the_fullest_cursor_and_meta_fit_their_slots() {
    let done: BTreeSet<u64> = (101..=100 + WINDOW + 5).collect();
    let state = CursorState {
        index: 1,
        committed: 100,
        done,
        inflight_high: 3,
        durable: [4, 5],
        detached: Some(Stamp::default()),
        suspects: (0..2 * MAX_SUSPECTS as u64).map(|seq| (seq, 1)).collect(),
        plan: Some((1, 2)),
    };
    let bytes = state.encode();
    assert!((bytes.len() + SLOT_HEADER) as u64 <= CURSOR_SLOT);
    let read = CursorState::decode(&bytes).unwrap();
    assert_eq!((read.done.len() as u64, read.suspects.len()), (WINDOW, MAX_SUSPECTS));
    let mut meta = Meta { clean: Some(Clean { items: [[1; 4], [2; 4]] }), ..Meta::default() };
    let deleted = (0..3 * MAX_GAPS as u64).filter(|n| meta.delete(SegNo::new(Chain::Main, 1 + 2 * n), &[1; 4])).count();
    assert_eq!(deleted, MAX_GAPS);
    assert!((meta.encode().len() + SLOT_HEADER) as u64 <= META_SLOT);
    assert_eq!(Meta::decode(&meta.encode()), Some(meta));
}

#[test]
fn runs_of_deleted_segments_join() {
    let mut meta = Meta::default();
    for ordinal in [1, 3, 2, 7] {
        assert!(meta.delete(SegNo::new(Chain::Main, ordinal), &[10, 0, 0, 0]));
    }
    assert!(meta.delete(SegNo::new(Chain::Main, 2), &[10, 0, 0, 0]), "once more");
    let runs: Vec<_> = meta.gaps.iter().map(|gap| (gap.first.0, gap.last.0, gap.items[0])).collect();
    assert_eq!(runs, [(1, 3, 30), (7, 7, 10)]);
}

/// Whatever bytes are there: `None`, or what they say; never a panic.
#[test]
fn no_byte_string_breaks_a_decoder() {
    let key = Key::new(&UUID, SegNo(1));
    let whole = [
        header().encode(key).0.to_vec(),
        contents().encode(&UUID, SegNo(1)),
        Barrier { routes: vec![(1, RouteSet::EMPTY)], ..Barrier::default() }.encode(),
        Watermark { stage: 1, committed: 2, done: vec![1, 2] }.encode(),
        CursorState::default().encode(),
        Meta::default().encode(),
        Slot::encode(1, &UUID, b"payload"),
        Cause::default().encode(),
    ];
    let mut random = Random::seeded(1);
    for round in 0..20_000 {
        let mut bytes = whole[round % whole.len()].clone();
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
        for _ in 0..random.below(4) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next() as u8;
            }
        }
        let _ = (Header::decode(&bytes, key), Contents::decode(&bytes, &UUID, SegNo(1)), Barrier::decode(&bytes));
        let _ = (Watermark::decode(&bytes), CursorState::decode(&bytes), Meta::decode(&bytes), Slot::decode(&bytes));
        let _ = (Routes::decode(&bytes), Cause::decode(&bytes), SegmentHeader::decode(&bytes));
        let _ = Trailer::decode(&bytes, &UUID);
    }
}

#[test]
fn any_changed_bit_of_a_header_is_noticed() {
    let key = Key::new(&UUID, SegNo(1));
    let (bytes, _) = header().encode(key);
    for bit in 0..HEADER * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&changed, key), None, "bit {bit}");
    }
}

#[test]
fn items_between_two_segments_are_known_if_all_of_them_were_deleted() {
    let mut meta = Meta::default();
    let no = |ordinal| SegNo::new(Chain::Main, ordinal);
    assert_eq!(meta.deleted_between(no(1), no(2)), Some([0; 4]));
    meta.delete(no(3), &[1, 0, 0, 0]);
    assert_eq!(meta.deleted_between(no(2), no(4)), Some([1, 0, 0, 0]));
    assert_eq!(meta.deleted_between(no(1), no(4)), None);
    meta.delete(no(2), &[0, 5, 0, 0]);
    assert_eq!(meta.deleted_between(no(1), no(4)), Some([1, 5, 0, 0]));
}
