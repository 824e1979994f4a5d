use super::{Counted, Counter, Malformed, WRITE_V1, export_request, visit};
use crate::payload::Shape;
use crate::signal::Signal;
use crate::wire::Message;
use proptest::prelude::*;

fn body(signal: Signal, items: u32) -> Vec<u8> {
    Shape { signal, items, drop_share: 0.1, tracked: false }.body(1).bytes
}

#[test]
fn every_signal_is_counted_whole_and_byte_by_byte() {
    for signal in Signal::ALL {
        let bytes = body(signal, 137);
        for size in [1, 7, 16_384, bytes.len()] {
            let mut counter = Counter::new(export_request(signal));
            bytes.chunks(size).for_each(|piece| counter.feed(piece).unwrap());
            assert_eq!(counter.finish().unwrap().items, 137, "{signal:?} in pieces of {size}");
        }
        let mut visited = 0;
        visit(export_request(signal), &bytes, &mut |_, _| visited += 1).unwrap();
        assert_eq!(visited, 137);
    }
}

#[test]
fn series_and_samples_of_a_write_request_are_counted() {
    let mut request = Message::new();
    for _ in 0..3 {
        let mut sample = Message::new();
        sample.double(1, 1.5).varint(2, 1);
        let mut series = Message::new();
        series.message(1, Message::new()).message(2, sample.clone()).message(2, sample);
        request.message(1, series);
    }
    let (bytes, _) = request.into_parts();
    let mut counter = Counter::new(&WRITE_V1);
    counter.feed(&bytes).unwrap();
    let counts = counter.finish().unwrap();
    assert_eq!((counts.series, counts.samples, counts.histograms), (3, 6, 0));
    let mut samples = 0;
    visit(&WRITE_V1, &bytes, &mut |what, _| samples += u32::from(what == Counted::Sample)).unwrap();
    assert_eq!(samples, 6);
}

#[test]
fn a_truncated_message_is_malformed() {
    let bytes = body(Signal::Traces, 5);
    for cut in [1, 2, 3, 100, bytes.len() - 1] {
        let mut counter = Counter::new(export_request(Signal::Traces));
        let fed = counter.feed(&bytes[..cut]);
        assert_eq!(fed.and_then(|()| counter.finish()), Err(Malformed), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_count_the_same_in_pieces_as_whole(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..9) {
        let count = |size: usize| {
            let mut counter = Counter::new(export_request(Signal::Metrics));
            bytes.chunks(size).try_for_each(|piece| counter.feed(piece))?;
            counter.finish()
        };
        prop_assert_eq!(count(size), count(bytes.len().max(1)));
    }
}
