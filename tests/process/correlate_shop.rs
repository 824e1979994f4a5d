//! A shop in front of the collector: its exports in order of arrival, each sent until it is acknowledged, over any number of the
//! collector's lives. And what must then be at the destinations, where whole traces are sampled.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluice_generator::oracle::{Arrivals, TraceId};
use sluice_generator::settings::{SECOND, Timers};
use sluice_generator::shop::Export;
use sluice_generator::{Settings, Shop};
use sluice_pipeline::Signal;

use crate::durable_load::post_to;
use crate::durable_sink::Sink;

/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// The window's tick, and what clocks of two processes may differ by.
const MARGIN: Duration = Duration::from_millis(300);

/// Spans and logs of a shop that was open for so many virtual seconds.
pub fn exports(seed: u64, traces_per_second: f64, seconds: u64) -> Arc<Vec<Export>> {
    let settings = Settings {
        seed,
        duration: seconds * SECOND,
        traces_per_second,
        instances: 1,
        timers: Timers::every(SECOND),
        ..Settings::default()
    };
    Arc::new(Shop::new(settings).unwrap().filter(|export| export.signal != Signal::Metrics).collect())
}

/// An export that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    first_try: Instant,
    acked: Instant,
    tries: usize,
}

#[derive(Default)]
struct Progress {
    port: AtomicU16,
    stops: AtomicBool,
    sent: Mutex<Vec<Sent>>,
    grew: Condvar,
}

/// A client at work.
pub struct Load {
    progress: Arc<Progress>,
    client: JoinHandle<()>,
}

impl Load {
    /// Sends these exports one after another, as fast as they are acknowledged, to whoever is at the port of the moment.
    pub fn start(exports: &Arc<Vec<Export>>) -> Self {
        let (progress, exports) = (Arc::new(Progress::default()), Arc::clone(exports));
        let shared = Arc::clone(&progress);
        let client = std::thread::spawn(move || {
            let mut stream = None;
            for export in exports.iter() {
                let Some(sent) = deliver(&shared, &mut stream, export) else { return };
                shared.sent.lock().unwrap().push(sent);
                shared.grew.notify_all();
            }
        });
        Load { progress, client }
    }

    /// From now on, to this OTLP/HTTP port.
    pub fn go_to(&self, port: u16) {
        self.progress.port.store(port, Ordering::SeqCst);
    }

    /// Waits until so many exports are acknowledged.
    pub fn wait_for(&self, exports: usize) {
        let sent = self.progress.sent.lock().unwrap();
        let (sent, _) = self.progress.grew.wait_timeout_while(sent, PATIENCE, |sent| sent.len() < exports).unwrap();
        assert!(sent.len() >= exports, "only {} of {exports} exports were acknowledged", sent.len());
    }

    /// Ends it behind the export under way. Everything that was acknowledged, in the order of the exports.
    pub fn end(self) -> Vec<Sent> {
        self.progress.stops.store(true, Ordering::SeqCst);
        self.client.join().unwrap();
        std::mem::take(&mut self.progress.sent.lock().unwrap())
    }
}

/// `None` if there is to be no further try.
fn deliver(progress: &Progress, stream: &mut Option<TcpStream>, export: &Export) -> Option<Sent> {
    let path = if export.signal == Signal::Traces { "/v1/traces" } else { "/v1/logs" };
    let (first_try, mut tries) = (Instant::now(), 0);
    while !progress.stops.load(Ordering::SeqCst) {
        let connected = match stream {
            Some(connected) => connected,
            None => {
                let port = progress.port.load(Ordering::SeqCst);
                let Ok(connected) = TcpStream::connect(("127.0.0.1", port)) else {
                    // Nobody is there for now.
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                connected.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                stream.insert(connected)
            }
        };
        tries += 1;
        match post_to(connected, path, "application/x-protobuf", &export.bytes) {
            Some(200) => return Some(Sent { first_try, acked: Instant::now(), tries }),
            Some(status) => assert!(matches!(status, 429 | 503), "{status}"),
            None => *stream = None,
        }
    }
    None
}

/// The last eight bytes of what tells a span or a log apart, in a body as a destination gets it.
pub fn span_numbers(body: &[u8]) -> Vec<u64> {
    let seen = read(Signal::Traces, &body[5..]);
    seen.spans.iter().flat_map(|((_, id), span)| std::iter::repeat_n(u64::from_be_bytes(*id), span.times)).collect()
}

/// The same of logs.
pub fn log_numbers(body: &[u8]) -> Vec<u64> {
    read(Signal::Logs, &body[5..]).logs.iter().map(|log| u64::from(log.uid.unwrap())).collect()
}

fn read(signal: Signal, request: &[u8]) -> Arrivals {
    Arrivals::read([(0, signal, request)]).unwrap()
}

/// What must become of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    /// It hangs on what was known at its time.
    Either,
}

#[derive(Default)]
struct Trace {
    spans: Vec<u64>,
    logs: Vec<u64>,
    first: Option<Instant>,
    root: Option<Instant>,
    /// When the first error in it, of a span or a log, was acknowledged.
    error: Option<Instant>,
}

/// How traces are sampled: errors are kept; of the others those with randomness from `always` on, and none below `never`. So long
/// after its root, or its first item, a trace is decided.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub always: u64,
    pub never: u64,
    pub after_root: Duration,
    pub wait: Duration,
}

/// Everything that was acknowledged, by trace.
pub struct Acked {
    traces: BTreeMap<TraceId, Trace>,
    /// Logs of no trace.
    alone: Vec<u64>,
    /// Items that were sent more than once.
    again: BTreeSet<u64>,
    pub items: usize,
}

impl Acked {
    pub fn new(exports: &[Export], sent: &[Sent]) -> Self {
        let mut acked = Acked { traces: BTreeMap::new(), alone: Vec::new(), again: BTreeSet::new(), items: 0 };
        for (export, sent) in exports.iter().zip(sent) {
            let seen = read(export.signal, &export.bytes);
            acked.items += export.items;
            let mut numbers = Vec::new();
            for ((trace, id), span) in &seen.spans {
                let number = u64::from_be_bytes(*id);
                let trace = acked.touch(*trace, sent, span.error);
                trace.spans.push(number);
                if span.is_root {
                    trace.root = Some(sent.first_try);
                }
                numbers.push(number);
            }
            for log in &seen.logs {
                let number = u64::from(log.uid.unwrap());
                match log.trace {
                    Some(trace) => acked.touch(trace, sent, log.severity >= 17).logs.push(number),
                    None => acked.alone.push(number),
                }
                numbers.push(number);
            }
            if sent.tries > 1 {
                acked.again.extend(numbers);
            }
        }
        acked
    }

    fn touch(&mut self, id: TraceId, sent: &Sent, error: bool) -> &mut Trace {
        let trace = self.traces.entry(id).or_default();
        trace.first.get_or_insert(sent.first_try);
        if error {
            trace.error.get_or_insert(sent.acked);
        }
        trace
    }

    /// Checks that each trace has one fate at all destinations of spans and of logs, and the right one; how many were kept and
    /// dropped, and of how many the fate could not be foretold.
    pub fn check(&self, rules: Rules, spans: &[&Sink], logs: &[&Sink], parked: &Parked, context: &str) -> [usize; 3] {
        let arrived = |sinks: &[&Sink]| sinks.iter().map(|sink| sink.arrivals()).collect::<Vec<_>>();
        let (spans, logs) = (arrived(spans), arrived(logs));
        let mut fates = [0; 3];
        for (id, trace) in &self.traces {
            let mut there: Vec<bool> = Vec::new();
            for sink in &spans {
                there.extend(trace.spans.iter().map(|span| sink.contains_key(span) || parked.has_span(*span)));
            }
            for sink in &logs {
                there.extend(trace.logs.iter().map(|log| sink.contains_key(log) || parked.has_log(*log)));
            }
            let present = there.iter().filter(|there| **there).count();
            let name = u128::from_be_bytes(*id);
            let expected = trace.fate(id, rules);
            assert!(
                present == 0 || present == there.len(),
                "{context}: trace {name:032x} is split: {present} of {} items at all destinations; {expected:?}",
                there.len(),
            );
            let is_kept = present > 0;
            assert!(
                expected == Fate::Either || (expected == Fate::Kept) == is_kept,
                "{context}: trace {name:032x} is kept: {is_kept}, and not {expected:?}"
            );
            fates[usize::from(!is_kept)] += 1;
            fates[2] += usize::from(expected == Fate::Either);
        }
        for sink in &logs {
            let missing = self.alone.iter().filter(|log| !sink.contains_key(log) && !parked.has_log(**log)).count();
            assert_eq!(missing, 0, "{context}: of {} logs without a trace", self.alone.len());
        }
        fates
    }

    /// Checks that what came twice to a destination was sent twice, or is output of shortly before a kill: that is made again
    /// after it, and what had been made before may still have to be delivered then. How many items did, and how long before a
    /// kill at most.
    pub fn check_repeated(&self, sink: &Sink, kills: &[Instant], most: Duration, context: &str) -> (usize, Duration) {
        /// What is made again is made while the log is read again, at the start.
        const READ_AGAIN: Duration = Duration::from_secs(10);
        let (mut count, mut oldest) = (0, Duration::ZERO);
        for (item, times) in sink.arrivals().into_iter().filter(|(item, _)| !self.again.contains(item)) {
            for pair in times.windows(2) {
                let last = kills.iter().rfind(|&&kill| kill <= pair[1]);
                let last = last.unwrap_or_else(|| panic!("{context}: {item:x} came twice before any kill"));
                // The oldest one that it can be of: the last, if it came in between.
                let kill = kills.iter().find(|&&kill| kill >= pair[0]).unwrap_or(last);
                let age = kill.duration_since(pair[0]);
                assert!(age <= most, "{context}: {item:x} was delivered {age:?} before a kill, and came again");
                let since = pair[1].duration_since(*last);
                assert!(since <= READ_AGAIN, "{context}: {item:x} came again {since:?} after the last kill");
                (count, oldest) = (count + 1, oldest.max(age));
            }
        }
        (count, oldest)
    }
}

impl Trace {
    fn fate(&self, id: &TraceId, rules: Rules) -> Fate {
        let randomness = id[9..].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        if randomness >= rules.always {
            return Fate::Kept;
        }
        let Some(error) = self.error else {
            return if randomness < rules.never { Fate::Dropped } else { Fate::Either };
        };
        // It had been taken in when the trace was decided, whatever lay between.
        let first = self.first.map(|first| first + rules.wait);
        let root = self.root.map(|root| root + rules.after_root);
        let decided = first.into_iter().chain(root).min();
        if decided.is_some_and(|decided| error + MARGIN <= decided) { Fate::Kept } else { Fate::Either }
    }
}

/// What was put aside, because the process died twice with it: it is kept, and not delivered.
#[derive(Default)]
pub struct Parked(Vec<Vec<u8>>);

impl Parked {
    /// Everything below a folder.
    pub fn read(folder: &Path) -> Self {
        let Ok(entries) = std::fs::read_dir(folder) else { return Parked::default() };
        let of = |path: &Path| {
            if path.is_dir() { Parked::read(path).0 } else { vec![std::fs::read(path).unwrap()] }
        };
        Parked(entries.flat_map(|entry| of(&entry.unwrap().path())).collect())
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }

    fn has_span(&self, number: u64) -> bool {
        !self.0.is_empty() && self.has(&number.to_be_bytes())
    }

    fn has_log(&self, number: u64) -> bool {
        !self.0.is_empty() && self.has(format!("{number:016x}").as_bytes())
    }

    pub fn files(&self) -> HashMap<usize, usize> {
        self.0.iter().map(Vec::len).enumerate().collect()
    }
}
