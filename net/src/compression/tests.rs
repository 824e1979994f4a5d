use proptest::strategy::Strategy as _;

use super::*;
use crate::pool::BufferPool;
use crate::reserve::{Exhausted, Reservation};
use crate::turns::Unseen;

/// A budget of a fixed size.
struct Budget {
    left: usize,
    held: usize,
}

impl Budget {
    fn of(left: usize) -> Self {
        Budget { left, held: 0 }
    }
}

impl Reservation for Budget {
    fn bytes(&self) -> usize {
        self.held
    }
    fn try_grow(&mut self, more: usize) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(more).ok_or(Exhausted::Busy)?;
        self.held += more;
        Ok(())
    }
    fn shrink_to(&mut self, bytes: usize) {
        self.held = self.held.min(bytes);
    }
}

fn text(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 59) as u8 + b'@'
    };
    (0..len).map(letter).collect()
}

fn run(encoding: Encoding, input: &[u8], limits: DecompressLimits) -> Result<Vec<u8>, DecompressError> {
    let mut budget = Budget::of(usize::MAX);
    let output = decompress(encoding, input, &limits, &mut budget, &BufferPool::default())?;
    assert!(budget.held >= output.len(), "every output byte is reserved");
    assert!(budget.held <= limits.max_bytes + 1, "no more is reserved than may come");
    Ok(output.to_vec())
}

#[test]
fn what_was_compressed_comes_back() {
    for encoding in Encoding::ALL {
        for len in [0, 1, 100, 65_536, 65_537, 1_000_000, 3_000_000] {
            let plain = text(len);
            for level in [None, Some(1), Some(6), Some(19)] {
                let packed = compress(encoding, level, &plain).unwrap();
                assert_eq!(run(encoding, &packed, DecompressLimits::default()).unwrap(), plain, "{encoding:?} {len}");
            }
        }
    }
}

#[tokio::test]
async fn the_yielding_variant_gives_the_same() {
    let plain = text(2_000_000);
    for encoding in Encoding::ALL {
        let packed = compress(encoding, None, &plain).unwrap();
        let mut budget = Budget::of(usize::MAX);
        let (limits, pool) = (DecompressLimits::default(), BufferPool::default());
        let mut unseen = Unseen::none(&pool);
        let out = decompress_yielding(encoding, &packed, &limits, &mut budget, &mut unseen, &pool).await.unwrap();
        assert_eq!(out, plain);
    }
}

#[test]
fn concatenated_members_and_frames_are_read_as_one() {
    let (a, b) = (text(100_000), text(70));
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Lz4] {
        let packed = [compress(encoding, None, &a).unwrap(), compress(encoding, None, &b).unwrap()].concat();
        assert_eq!(run(encoding, &packed, DecompressLimits::default()).unwrap(), [a.clone(), b.clone()].concat());
    }
    let zlib =
        [compress(Encoding::Deflate, None, &a).unwrap(), compress(Encoding::Deflate, None, &b).unwrap()].concat();
    assert!(matches!(
        run(Encoding::Deflate, &zlib, DecompressLimits::default()),
        Err(DecompressError::Malformed { .. })
    ));
}

#[test]
fn the_size_limit_is_exact() {
    for encoding in Encoding::ALL {
        for len in [1_000, 65_536, 300_000] {
            let packed = compress(encoding, None, &text(len)).unwrap();
            let limit = |max_bytes| DecompressLimits { max_bytes, ..DecompressLimits::default() };
            assert_eq!(run(encoding, &packed, limit(len)).map(|out| out.len()), Ok(len));
            let over = DecompressError::TooLarge { limit: len - 1 };
            assert_eq!(run(encoding, &packed, limit(len - 1)), Err(over), "{encoding:?} {len}");
        }
    }
}

/// Those that can exceed the ratio at all: snappy gets to 21.
const DENSE: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate];

#[test]
fn a_snappy_block_is_read_and_its_declared_length_is_checked_first() {
    for len in [0, 1, 70_000, 3_000_000] {
        let packed = snap::raw::Encoder::new().compress_vec(&text(len)).unwrap();
        assert_eq!(run(Encoding::Snappy, &packed, DecompressLimits::default()).unwrap(), text(len), "{len}");
        let over = run(Encoding::Snappy, &packed[..packed.len() - 1], DecompressLimits::default());
        assert!(over.is_err() || len == 0, "{len} cut");
    }
    // A few bytes that claim 4 GiB and 32 MiB.
    let limits = DecompressLimits::default();
    for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0][..], &[0x80, 0x80, 0x80, 0x10, 0, 0]] {
        let mut budget = Budget::of(usize::MAX);
        let refused = decompress(Encoding::Snappy, claim, &limits, &mut budget, &BufferPool::default());
        assert!(refused.is_err());
        assert_eq!(budget.held, 0, "nothing is reserved for a claim");
    }
    let block = snap::raw::Encoder::new().compress_vec(&text(1000)).unwrap();
    let limit = |max_bytes| DecompressLimits { max_bytes, ..DecompressLimits::default() };
    assert_eq!(run(Encoding::Snappy, &block, limit(1000)).map(|out| out.len()), Ok(1000));
    assert_eq!(run(Encoding::Snappy, &block, limit(999)), Err(DecompressError::TooLarge { limit: 999 }));
}

#[test]
fn bombs_stop_at_the_ratio_limit_and_reserve_no_more_than_it() {
    let zeros = vec![0; 32 << 20];
    for encoding in DENSE {
        let bomb = compress(encoding, Some(9), &zeros).unwrap();
        let mut budget = Budget::of(usize::MAX);
        let limits = DecompressLimits { max_bytes: 1 << 30, ..DecompressLimits::default() };
        let refused = decompress(encoding, &bomb, &limits, &mut budget, &BufferPool::default());
        assert_eq!(refused, Err(DecompressError::Ratio { limit: 200 }));
        let allowed = (bomb.len() * 200).max(1 << 20);
        assert!(budget.held <= allowed + 1, "{encoding:?}: {} of {allowed}", budget.held);
    }
}

#[test]
fn a_small_output_may_have_any_ratio() {
    for encoding in DENSE {
        let packed = compress(encoding, Some(9), &vec![0; 1 << 20]).unwrap();
        assert!((1 << 20) / packed.len() > 200);
        assert_eq!(run(encoding, &packed, DecompressLimits::default()).unwrap().len(), 1 << 20);
    }
}

#[test]
fn a_bomb_of_many_members_is_refused() {
    let member = compress(Encoding::Gzip, None, b"").unwrap();
    let bomb = member.repeat(100_000);
    assert_eq!(
        run(Encoding::Gzip, &bomb, DecompressLimits::default()),
        Err(DecompressError::Malformed { encoding: Encoding::Gzip, reason: "too many members" })
    );
}

#[test]
fn output_never_outgrows_what_was_promised() {
    let packed = compress(Encoding::Zstd, None, &text(1_000_000)).unwrap();
    let mut budget = Budget::of(300_000);
    let refused =
        decompress(Encoding::Zstd, &packed, &DecompressLimits::default(), &mut budget, &BufferPool::default());
    assert_eq!(refused, Err(DecompressError::Exhausted(Exhausted::Busy)));
}

#[test]
fn a_window_over_eight_mebibytes_is_refused_and_eight_is_not() {
    for (window, fine) in [(23, true), (24, false)] {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        std::io::Write::write_all(&mut encoder, &text(1 << 20)).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(run(Encoding::Zstd, &packed, DecompressLimits::default()).is_ok(), fine, "2^{window}");
    }
}

#[test]
fn truncated_and_corrupt_input_is_malformed() {
    let plain = text(50_000);
    for encoding in Encoding::ALL {
        let packed = compress(encoding, None, &plain).unwrap();
        for cut in [1, 2, 9, packed.len() / 2, packed.len() - 1] {
            let refused = run(encoding, &packed[..cut], DecompressLimits::default());
            assert!(
                matches!(refused, Err(DecompressError::Malformed { .. })),
                "{encoding:?} cut at {cut}: {refused:?}"
            );
        }
        let garbage = [packed.as_ref(), b"garbage!"].concat();
        assert!(run(encoding, &garbage, DecompressLimits::default()).is_err(), "{encoding:?} with a tail");
        let mut flipped = packed.to_vec();
        let last = flipped.len() - 3;
        flipped[last] ^= 0xff;
        assert!(run(encoding, &flipped, DecompressLimits::default()).is_err(), "{encoding:?} with a wrong checksum");
    }
}

#[test]
fn a_zero_length_message_is_valid_in_every_encoding() {
    for encoding in Encoding::ALL {
        assert_eq!(run(encoding, b"", DecompressLimits::default()).unwrap(), b"");
    }
}

#[test]
fn names_are_read_and_written() {
    for encoding in Encoding::ALL {
        assert_eq!(Encoding::parse(encoding.name()).unwrap(), Some(encoding));
        assert_eq!(Encoding::parse(&encoding.name().to_uppercase()).unwrap(), Some(encoding));
    }
    assert_eq!(Encoding::parse("identity").unwrap(), None);
    assert_eq!(Encoding::parse("").unwrap(), None);
    assert!(Encoding::parse("br").is_err());
    assert!(Encoding::parse("gzip, gzip").is_err());
}

proptest::proptest! {
    #[test]
    fn arbitrary_input_never_panics_nor_exceeds_its_limits(
        which in 0..Encoding::ALL.len(),
        input in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000),
    ) {
        let limits = DecompressLimits { max_bytes: 100_000, ..DecompressLimits::default() };
        let _ = run(Encoding::ALL[which], &input, limits);
    }
}

#[test]
fn a_large_output_of_little_is_measured_and_then_kept_whole() {
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Snappy, Encoding::Lz4] {
        for len in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9 << 20] {
            let plain = text(300).repeat(len / 300 + 1)[..len].to_vec();
            let packed = compress(encoding, Some(1), &plain).unwrap();
            let limits = DecompressLimits { max_bytes: len, max_ratio: 1_000_000, ..DecompressLimits::default() };
            assert!(run(encoding, &packed, limits).unwrap() == plain, "{encoding:?} {len}");
            let limits = DecompressLimits { max_bytes: len - 1, ..limits };
            assert_eq!(run(encoding, &packed, limits), Err(DecompressError::TooLarge { limit: len - 1 }));
        }
    }
}

#[test]
fn of_a_bomb_no_more_is_reserved_than_it_takes_to_tell() {
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Lz4] {
        let packed = compress(encoding, Some(9), &vec![0; 80 << 20]).unwrap();
        let limits = DecompressLimits { max_ratio: 1_000_000, ..DecompressLimits::default() };
        let mut budget = Budget::of(usize::MAX);
        let refused = decompress(encoding, &packed, &limits, &mut budget, &BufferPool::default());
        assert_eq!(refused, Err(DecompressError::TooLarge { limit: 64 << 20 }));
        assert!(budget.held <= 4 << 20, "{encoding:?}: {}", budget.held);
    }
}

/// A frame of LZ4 as other writers have it.
fn lz4_frame(
    size: lz4_flex::frame::BlockSize,
    mode: lz4_flex::frame::BlockMode,
    checks: bool,
    plain: &[u8],
) -> Vec<u8> {
    use std::io::Write as _;
    let info = lz4_flex::frame::FrameInfo::new().block_size(size).block_mode(mode).block_checksums(checks);
    let info = info.content_checksum(checks).content_size(checks.then_some(plain.len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_kind_of_lz4_frame_is_read() {
    use lz4_flex::frame::{BlockMode, BlockSize};
    let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let skippable = [&[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for plain in [text(0), text(10), text(70_000), text(1_000_000), noise, vec![7; 500_000]] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for (mode, checks) in
                [(BlockMode::Linked, true), (BlockMode::Independent, false), (BlockMode::Linked, false)]
            {
                let frame = lz4_frame(size, mode, checks, &plain);
                let limits = DecompressLimits { max_ratio: 1_000, ..DecompressLimits::default() };
                let case = format!("{} bytes, {size:?}, {mode:?}, {checks}", plain.len());
                assert!(run(Encoding::Lz4, &frame, limits).unwrap() == plain, "{case}");
                let several = [&skippable, &frame[..], &skippable, &frame].concat();
                assert!(run(Encoding::Lz4, &several, limits).unwrap() == plain.repeat(2), "{case}, twice");
            }
        }
    }
}

#[test]
fn an_lz4_frame_that_is_wrong_is_malformed_wherever_that_is() {
    use lz4_flex::frame::{BlockMode, BlockSize};
    let frame = lz4_frame(BlockSize::Max64KB, BlockMode::Linked, true, &text(3_000));
    let limits = DecompressLimits::default();
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut wrong = frame.clone();
            wrong[at] ^= 1 << bit;
            // Checksums cover all of it.
            let read = run(Encoding::Lz4, &wrong, limits);
            assert!(matches!(read, Err(DecompressError::Malformed { .. })), "byte {at}, bit {bit}: {read:?}");
        }
        assert!(run(Encoding::Lz4, &frame[..at], limits).is_err() || at == 0, "cut at {at}");
    }
}

proptest::proptest! {
    #[test]
    fn lz4_reads_what_another_reader_does(
        mut frame in proptest::collection::vec(0u8..4, 1..5_000).prop_map(|plain| {
            lz4_frame(lz4_flex::frame::BlockSize::Max64KB, lz4_flex::frame::BlockMode::Linked, false, &plain)
        }),
        changes in proptest::collection::vec((7usize..5_000, proptest::num::u8::ANY), 0..3),
    ) {
        use std::io::Read as _;
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        let mut other = Vec::new();
        let read = lz4_flex::frame::FrameDecoder::new(&frame[..]).read_to_end(&mut other);
        if let (Ok(ours), Ok(_)) = (run(Encoding::Lz4, &frame, DecompressLimits::default()), read) {
            proptest::prop_assert_eq!(ours, other);
        }
    }
}

#[test]
fn a_bomb_behind_something_honest_is_found_out_as_well() {
    for encoding in DENSE {
        let packed = compress(encoding, Some(1), &[text(3 << 20), vec![0; 80 << 20]].concat()).unwrap();
        let mut budget = Budget::of(usize::MAX);
        let refused = decompress(encoding, &packed, &DecompressLimits::default(), &mut budget, &BufferPool::default());
        assert_eq!(refused, Err(DecompressError::TooLarge { limit: 64 << 20 }));
        assert!(budget.held <= 16 << 20, "{encoding:?}: {}", budget.held);
    }
}
