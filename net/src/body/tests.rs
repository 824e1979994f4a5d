use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;

use futures_util::FutureExt as _;
use http_body::Frame;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::compression::compress;
use crate::reserve::Unlimited;
use crate::turns::UNSEEN;

/// Hands out frames; `None` stands for "not yet", after which it asks to be polled again.
struct Script(VecDeque<Option<Bytes>>, bool);

impl HttpBody for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None if self.1 => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

const TIMES: BodyTimes = BodyTimes {
    total: Duration::from_secs(30),
    rate_after: Duration::from_secs(10),
    min_rate: 1 << 10,
    deadline: None,
};

fn frames(script: Script, times: BodyTimes) -> Frames<'static, Script> {
    Frames::new(script, times, None)
}

fn memory(pool: &BufferPool, max_bytes: usize) -> Memory<'_> {
    Memory { reserve: &Unlimited, pool, max_bytes, decompress: DecompressLimits::default() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Cuts `bytes` at the given places (modulo its length), with pauses and empty frames in between.
fn cut(bytes: &[u8], cuts: &[usize]) -> Script {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut script = VecDeque::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        if place % 3 == 0 {
            script.push_back(None);
        }
        script.push_back(Some(Bytes::copy_from_slice(&bytes[from..place])));
        from = place;
    }
    Script(script, false)
}

/// What the framing of gRPC says about a whole body, written plainly.
fn model(body: &[u8], limit: usize) -> Result<(Vec<u8>, bool), ReadError> {
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX>() else {
        let what = if body.is_empty() { "no message" } else { "truncated message prefix" };
        return Err(ReadError::NotOneMessage(what));
    };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] > 1 {
        Err(ReadError::Framing("invalid compression flag"))
    } else if length > limit {
        Err(ReadError::TooLarge { limit })
    } else if rest.len() < length {
        Err(ReadError::NotOneMessage("truncated message"))
    } else if rest.len() > length {
        Err(ReadError::NotOneMessage("more than one message"))
    } else {
        Ok((rest.to_vec(), prefix[0] == 1))
    }
}

proptest! {
    #[test]
    fn any_framing_cut_anyhow_reads_as_its_whole(
        flag in 0_u8..3,
        claimed_off_by in -2_i64..3,
        payload in proptest::collection::vec(any::<u8>(), 0..3_000),
        truncate in proptest::option::of(0_usize..3_000),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        limit in prop_oneof![Just(10_usize), Just(1_000), Just(1 << 20)],
    ) {
        let claimed = u32::try_from((payload.len() as i64 + claimed_off_by).max(0)).unwrap();
        let mut body = vec![flag];
        body.extend(claimed.to_be_bytes());
        body.extend(&payload);
        if let Some(length) = truncate {
            body.truncate(length);
        }
        let pool = BufferPool::default();
        let read = run(read_message(frames(cut(&body, &cuts), TIMES), None, &memory(&pool, limit)));
        let read = read.map(|message| (message.received.bytes.to_vec(), message.compressed));
        prop_assert_eq!(read, model(&body, limit));
    }

    #[test]
    fn plain_bodies_cut_anyhow_read_as_their_whole(
        payload in (proptest::collection::vec(any::<u8>(), 0..20_000), 1_usize..200).prop_map(|(bytes, times)| bytes.repeat(times)),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        announced in any::<bool>(),
        limit in prop_oneof![Just(1_000_usize), Just(1 << 20), Just(8 << 20)],
    ) {
        let pool = BufferPool::default();
        let announced = announced.then_some(payload.len() as u64);
        let read = run(read_plain(frames(cut(&payload, &cuts), TIMES), announced, None, &memory(&pool, limit)));
        match read {
            Ok(Received { bytes, reservation, .. }) => {
                prop_assert!(payload.len() <= limit);
                prop_assert_eq!(&bytes, &payload);
                prop_assert!(reservation.bytes() >= payload.len());
            }
            Err(error) => {
                prop_assert_eq!(error, ReadError::TooLarge { limit });
                prop_assert!(payload.len() > limit);
            }
        }
    }
}

#[test]
fn a_large_message_in_one_frame_is_not_copied_and_a_small_one_is() {
    let pool = BufferPool::default();
    for (length, copied) in [(100_000_u32, false), (1_000, true)] {
        let mut body = vec![0];
        body.extend(length.to_be_bytes());
        body.resize(PREFIX + length as usize, 7);
        let body = Bytes::from(body);
        let address = body[PREFIX..].as_ptr();
        let whole = Script(VecDeque::from([Some(body.clone())]), false);
        let apart = Script(VecDeque::from([Some(body.slice(..PREFIX)), Some(body.slice(PREFIX..))]), false);
        for script in [whole, apart] {
            let message =
                run(read_message(frames(script, TIMES), None, &memory(&pool, 1 << 20))).unwrap_or_else(|_| panic!());
            assert_eq!(message.received.bytes.as_ptr() != address, copied, "{length}");
        }
    }
}

#[test]
fn a_large_body_of_known_length_comes_to_a_page_while_there_is_one() {
    let pool = BufferPool::default();
    pool.use_pages(|| Some(Box::new(vec![0; 1 << 20])));
    let read = |length: usize| {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let script = frames(cut(&payload, &[1, 20_000, 90_000]), TIMES);
        let received = run(read_plain(script, Some(length as u64), None, &memory(&pool, 4 << 20)));
        let bytes = received.unwrap_or_else(|_| panic!()).bytes;
        assert_eq!(bytes, payload);
        bytes
    };
    let (one, other) = (read(300_000), read(300_000));
    // Both pages are taken, and this one comes to the heap, as do those that do not fit.
    drop((read(300_000), read(2_000_000)));
    let on_heap = pool.held_bytes();
    drop(one.slice(5..));
    assert_eq!(pool.held_bytes(), on_heap);
    drop((one, other));
    assert_eq!(pool.held_bytes(), on_heap + (2 << 20));
}

/// Polls a read against a body that never ends while time passes; returns the error and when it came.
async fn starved(bytes: usize, times: BodyTimes) -> (ReadError, Duration) {
    let start = Instant::now();
    let pool = BufferPool::default();
    let script = Script(VecDeque::from([Some(Bytes::from(vec![0; bytes]))]), true);
    let memory = memory(&pool, 1 << 20);
    let mut read = pin!(read_plain(frames(script, times), None, None, &memory));
    loop {
        let polled = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
        if let Poll::Ready(outcome) = polled {
            return (outcome.map(drop).unwrap_err(), start.elapsed());
        }
        advance(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_race_the_clock() {
    let about = |seconds: f64, (error, took): (ReadError, Duration)| {
        assert!((took.as_secs_f64() - seconds).abs() < 1.2, "{took:?} instead of {seconds}");
        error
    };
    assert_eq!(about(10.0, starved(0, TIMES).await), ReadError::Slow);
    assert_eq!(about(10.0, starved(10_000, TIMES).await), ReadError::Slow);
    assert_eq!(about(20.0, starved(20_480, TIMES).await), ReadError::Slow);
    assert_eq!(about(30.0, starved(500_000, TIMES).await), ReadError::Slow);
    let deadline = BodyTimes { deadline: Some(Instant::now() + Duration::from_secs(3)), ..TIMES };
    assert_eq!(about(3.0, starved(10_000, deadline).await), ReadError::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_on_its_way_counts_as_progress() {
    let traffic = Traffic::new(1 << 10);
    let pool = BufferPool::default();
    let script = Script(VecDeque::new(), true);
    let start = Instant::now();
    let memory = memory(&pool, 1 << 20);
    let mut read = pin!(read_message(Frames::new(script, TIMES, Some(&traffic)), None, &memory));
    loop {
        if let Poll::Ready(outcome) = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
            assert_eq!(outcome.map(drop).unwrap_err(), ReadError::Slow);
            break;
        }
        advance(Duration::from_millis(100)).await;
        traffic.add_read(1_000); // ten times the least rate, though no frame is complete
    }
    assert!(start.elapsed() >= Duration::from_secs(30), "{:?}", start.elapsed());
}

/// Compressed, and then cut into pieces as they come from a socket.
fn pieces(packed: &[u8]) -> impl Iterator<Item = Option<Bytes>> {
    packed.chunks(50_000).map(|piece| Some(Bytes::copy_from_slice(piece)))
}

fn letters(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 59) as u8 + b'@'
    };
    (0..len).map(letter).collect()
}

/// A body that begins and ends as something honest, and becomes 70 MiB.
fn bomb(encoding: Encoding) -> Bytes {
    let plain = [letters(40_000), vec![0; 70 << 20], letters(200_000)].concat();
    crate::compression::compress(encoding, Some(9), &plain).unwrap()
}

#[test]
fn of_large_compressed_bodies_no_more_is_kept_without_a_look_than_may_be() {
    let announced = 4 << 20;
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
        let honest = crate::compression::compress(encoding, Some(1), &letters(5_000_000)).unwrap();
        let bomb = bomb(encoding);
        assert!(honest.len() > 1 << 20 && bomb.len() > 100_000 && bomb.len() < announced);
        for is_full in [false, true] {
            let pool = BufferPool::default();
            let mut others = Unseen::none(&pool);
            assert!(others.grow_to(if is_full { UNSEEN } else { 0 }));
            // What is honest is taken, looked at or not.
            let script = Script(pieces(&honest).collect(), false);
            let memory = memory(&pool, 20 << 20);
            let read = run(read_plain(frames(script, TIMES), Some(honest.len() as u64), Some(encoding), &memory));
            assert!(read.is_ok_and(|received| received.bytes == honest), "{encoding:?} {is_full}");
            // Of a bomb the end is not waited for if it has to be looked at: this one never comes.
            let script = Script(pieces(&bomb).collect(), true);
            let times = BodyTimes { total: Duration::from_millis(300), ..TIMES };
            let read = run(read_plain(frames(script, times), Some(announced as u64), Some(encoding), &memory));
            let expected = if is_full { ReadError::Inflates { limit: 64 << 20 } } else { ReadError::Slow };
            assert_eq!(read.map(drop).unwrap_err(), expected, "{encoding:?} {is_full}");
            let mut message = vec![1];
            message.extend(u32::try_from(announced).unwrap().to_be_bytes());
            message.extend(&bomb);
            let script = Script(pieces(&message).collect(), true);
            let read = run(read_message(frames(script, times), Some(encoding), &memory));
            assert_eq!(read.map(drop).unwrap_err(), expected, "{encoding:?} {is_full}");
            // A body that is not compressed is nobody's business.
            let script = Script(pieces(&bomb).collect(), false);
            assert!(run(read_plain(frames(script, TIMES), Some(bomb.len() as u64), None, &memory)).is_ok());
        }
    }
}

#[test]
fn the_leave_for_what_nobody_has_looked_at_lasts_until_it_is_decompressed() {
    let packed = crate::compression::compress(Encoding::Gzip, Some(1), &letters(3_000_000)).unwrap();
    let pool = BufferPool::default();
    let memory = memory(&pool, 20 << 20);
    let left = |least| Unseen::none(&pool).grow_to(least);
    let all = UNSEEN;
    let script = Script(pieces(&packed).collect(), false);
    let received =
        run(read_plain(frames(script, TIMES), None, Some(Encoding::Gzip), &memory)).unwrap_or_else(|_| panic!());
    let unseen = packed.len() - (32 << 10);
    assert!(left(all - unseen) && !left(all - unseen + 1), "all but what is small is counted");
    let mut body = Body::new(received, Some(Encoding::Gzip), &pool);
    assert_eq!(run(body.decompressed(&DecompressLimits::default())).unwrap().len(), 3_000_000);
    assert!(left(all));
}

#[tokio::test(start_paused = true)]
async fn who_is_turned_away_from_a_crowd_of_bombs_has_nothing_kept_and_learns_it_late() {
    let pool = BufferPool::default();
    let bomb = compress(Encoding::Gzip, Some(9), &vec![0; 4 << 20]).unwrap();
    let received = || Received {
        bytes: bomb.clone(),
        reservation: Box::new(crate::reserve::Counted::default()),
        unseen: Unseen::none(&pool),
    };
    let limits = DecompressLimits { max_ratio: usize::MAX, ..DecompressLimits::default() };
    let began = Instant::now();
    let mut body = Body::new(received(), Some(Encoding::Gzip), &pool);
    assert_eq!(body.decompressed(&limits).await.unwrap().len(), 4 << 20, "alone it is served");
    assert_eq!((body.bytes, began.elapsed()), (bomb.clone(), Duration::ZERO));
    // All turns are taken, and somebody waits who holds as much as all may.
    let mut turns = Vec::new();
    let _waits = loop {
        let mut next = Box::pin(pool.turns().of_suspect(usize::MAX));
        match (&mut next).now_or_never() {
            Some(turn) => turns.push(turn),
            None => break next,
        }
    };
    let mut body = Body::new(received(), Some(Encoding::Gzip), &pool);
    assert_eq!(body.decompressed(&limits).await, Err(DecompressError::Exhausted(Exhausted::Busy)));
    assert!(body.bytes.is_empty() && body.reservation.bytes() == 0);
    assert!(began.elapsed() >= Duration::from_millis(100));
}
