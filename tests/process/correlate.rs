//! `correlate` that decides, from outside: every trace has one fate at all destinations, over kills, reloads and the end.
//! `SLUICE_KILLS` sets how often it is killed (5), `SLUICE_SEED` when, and what it is sent.

use std::time::{Duration, Instant};

use crate::correlate_shop::{Acked, Load, Parked, Rules, exports, log_numbers, span_numbers};
use crate::durable::{Folder, balances, exporter, metrics, terminate};
use crate::durable_kills::{Random, number};
use crate::durable_sink::Sink;
use crate::sluice::{NO_STATE, READY, Sluice, free_port};

/// Longer than anything here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// What had been delivered longer than this before a kill does not come again: the window is read again from its oldest item on,
/// which waits for [`SHORT`]'s longer wait at most; the rest is for starts on a busy machine.
const REPEATED: Duration = Duration::from_secs(20);
/// T of one in four, and of one in two.
const QUARTER: u64 = 0xc << 52;
const HALF: u64 = 8 << 52;

/// Two destinations for spans and two for logs.
struct Destinations {
    ports: [u16; 4],
}

impl Destinations {
    fn new() -> Self {
        Destinations { ports: std::array::from_fn(|_| free_port()) }
    }

    /// Those of this number: spans and logs.
    fn start(&self, number: usize) -> [Sink; 2] {
        [Sink::reading(self.ports[number], span_numbers), Sink::reading(self.ports[2 + number], log_numbers)]
    }
}

fn config(rules: Rules, share: &str, to: &Destinations, journal: Option<&Folder>) -> String {
    let exporters: Vec<String> = to.ports.iter().enumerate().map(|(at, port)| exporter(at, *port, "")).collect();
    let (extensions, delivery) = match journal {
        Some(folder) => (
            format!("journal/main: {{directory: '{}/journal', max_size: 256MiB}}", folder.path().display()),
            "ack: durable, journal: journal/main, allow_volatile: true",
        ),
        None => (String::new(), "ack: memory"),
    };
    format!(
        "yaml:extensions: {{{extensions}}}
receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
processors:
  correlate:
    mode: decide
    sampling:
      decision_wait: {}ms
      decision_wait_after_root_received: {}ms
      rules:
        - {{name: errors, when: {{trace: ['error_count > 0']}}, action: keep}}
        - {{name: logged, when: {{log: ['severity_number >= SEVERITY_NUMBER_ERROR']}}, action: keep}}
        - {{name: rest, action: {{probability: {share}}}}}
exporters: {{{}}}
service:
  delivery: {{{delivery}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [correlate], exporters: [otlp_grpc/0, otlp_grpc/1]}}
    logs: {{receivers: [otlp], processors: [correlate], exporters: [otlp_grpc/2, otlp_grpc/3]}}",
        rules.wait.as_millis(),
        rules.after_root.as_millis(),
        exporters.join(", ")
    )
}

/// Waits until all is decided and delivered.
fn settles(sluice: &Sluice) {
    let since = Instant::now();
    loop {
        let text = metrics(sluice.metrics);
        let lines = |prefix: &'static str| text.lines().filter(move |line| line.starts_with(prefix));
        let held = lines("otelcol_processor_correlate_window_held_logs{").filter(|line| !line.ends_with(" 0")).count();
        let (mut all, mut late) = (0, 0);
        for line in lines("sluice_destination_lag_items{") {
            (all, late) = (all + 1, late + usize::from(!line.ends_with(" 0")));
        }
        if all > 0 && held + late == 0 {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "it does not settle:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const SHORT: Rules =
    Rules { always: QUARTER, never: QUARTER, after_root: Duration::from_millis(1500), wait: Duration::from_secs(3) };

#[test]
fn killed_at_random_each_trace_has_one_verdict_everywhere() {
    let kills = number("SLUICE_KILLS").unwrap_or(5);
    let seed = number("SLUICE_SEED").unwrap_or(u64::from(std::process::id()));
    let context = format!("seed {seed}");
    let mut random = Random(seed);
    let folder = Folder::new("correlate");
    let to = Destinations::new();
    let config = config(SHORT, "0.25", &to, Some(&folder));
    let arguments = ["-c", config.as_str()];
    let exports = exports(seed, 3.0, 30 + 30 * kills);
    let mut points: Vec<u64> = (0..kills).map(|_| random.below(exports.len() as u64)).collect();
    points.sort_unstable();
    let up = to.start(0);
    let load = Load::start(&exports);
    let mut killed = Vec::new();
    for point in points {
        let mut sluice = Sluice::spawn(&arguments, NO_STATE);
        if random.below(5) == 0 {
            // During its start.
            sluice.wait_for("Starting sluice");
        } else {
            sluice.wait_for(READY);
            load.go_to(sluice.http);
            load.wait_for(point as usize);
        }
        sluice.signal("KILL");
        killed.push(Instant::now());
        sluice.end();
    }
    let sluice = Sluice::start(&arguments);
    load.go_to(sluice.http);
    load.wait_for(exports.len());
    let sent = load.end();
    let down = to.start(1);
    settles(&sluice);
    balances(sluice.metrics);
    terminate(sluice, 1);
    let parked = Parked::read(&folder.path().join("journal/dlq"));
    println!("put aside, in bytes: {:?}", parked.files());
    let acked = Acked::new(&exports, &sent);
    let [kept, dropped, open] = acked.check(SHORT, &[&up[0], &down[0]], &[&up[1], &down[1]], &parked, &context);
    let repeated = up.each_ref().map(|sink| acked.check_repeated(sink, &killed, REPEATED, &context));
    assert!(kept > 20 && dropped > 50, "{context}: {kept} kept, {dropped} dropped");
    println!(
        "{kills} kills, {context}: {} items acknowledged, {kept} traces kept and {dropped} dropped, {open} of them not foretold; \
         spans and logs that came again, and how long before the kill: {repeated:?}",
        acked.items,
    );
}

#[test]
fn under_pressure_what_waits_is_given_up_and_read_again_from_the_journal() {
    let folder = Folder::new("correlate-pressure");
    let to = Destinations::new();
    // Nearly everything that is sent waits at the same time.
    let rules = Rules { after_root: Duration::from_secs(12), wait: Duration::from_secs(15), ..SHORT };
    let config =
        config(rules, "0.25", &to, Some(&folder)).replace("mode: decide", "mode: decide\n    memory_limit_mib: 24");
    let (first, second) = (to.start(0), to.start(1));
    let exports = exports(8, 150.0, 25);
    let sluice = Sluice::start(&["-c", config.as_str()]);
    let load = Load::start(&exports);
    load.go_to(sluice.http);
    load.wait_for(exports.len());
    let sent = load.end();
    settles(&sluice);
    balances(sluice.metrics);
    let text = metrics(sluice.metrics);
    let evicted = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        let line = text.lines().find(|line| line.contains("correlate_evictions_total{") && line.contains(&label));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let given_up = evicted("reread");
    assert_eq!(evicted("decided_pressure"), 0.0, "the rungs behind it are not reached:\n{text}");
    terminate(sluice, 1);
    let acked = Acked::new(&exports, &sent);
    let [kept, dropped, _] =
        acked.check(rules, &[&first[0], &second[0]], &[&first[1], &second[1]], &Parked::default(), "under pressure");
    assert!(given_up > 1_000.0 && kept > 200 && dropped > 500, "{given_up} given up, {kept} kept, {dropped} dropped");
    for sink in first.iter().chain(&second) {
        assert_eq!(acked.check_repeated(sink, &[], Duration::ZERO, "under pressure").0, 0);
    }
    println!("{} items acknowledged, {given_up} given up, {kept} traces kept and {dropped} dropped", acked.items);
}

#[test]
fn terminated_in_memory_mode_it_decides_on_what_it_has_and_loses_nothing() {
    // Nothing is decided before the end, but what is sure to be kept.
    let rules = Rules { after_root: Duration::from_secs(120), wait: Duration::from_secs(240), ..SHORT };
    let to = Destinations::new();
    let (first, second) = (to.start(0), to.start(1));
    let exports = exports(5, 10.0, 20);
    let sluice = Sluice::start(&["-c", &config(rules, "0.25", &to, None)]);
    let load = Load::start(&exports);
    load.go_to(sluice.http);
    load.wait_for(exports.len() / 2);
    let sent = load.end();
    balances(sluice.metrics);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("does not balance"), "{log}");
    let acked = Acked::new(&exports, &sent);
    let [kept, dropped, open] =
        acked.check(rules, &[&first[0], &second[0]], &[&first[1], &second[1]], &Parked::default(), "at the end");
    assert!(kept > 10 && dropped > 20 && open == 0, "{kept} kept, {dropped} dropped, {open} not foretold");
    for sink in first.iter().chain(&second) {
        assert_eq!(acked.check_repeated(sink, &[], Duration::ZERO, "at the end").0, 0);
    }
}

#[test]
fn reloaded_under_load_with_other_rules_it_splits_no_trace() {
    let folder = Folder::new("correlate-reload");
    let to = Destinations::new();
    let rules = Rules { never: HALF, ..SHORT };
    let configs = ["0.25", "0.5"].map(|share| config(rules, share, &to, Some(&folder)));
    let file = folder.path().join("sluice.yaml");
    let write = |yaml: &str| std::fs::write(&file, yaml.trim_start_matches("yaml:")).unwrap();
    write(&configs[0]);
    let (first, second) = (to.start(0), to.start(1));
    let exports = exports(6, 4.0, 120);
    let mut sluice = Sluice::start(&["-c", &file.display().to_string()]);
    let load = Load::start(&exports);
    load.go_to(sluice.http);
    const RELOADS: usize = 7;
    for reload in 1..=RELOADS {
        load.wait_for(reload * exports.len() / (RELOADS + 1));
        write(&configs[reload % 2]);
        sluice.signal("HUP");
        sluice.wait_for("Configuration reloaded");
    }
    load.wait_for(exports.len());
    let sent = load.end();
    settles(&sluice);
    balances(sluice.metrics);
    terminate(sluice, 1);
    let acked = Acked::new(&exports, &sent);
    let [kept, dropped, _] =
        acked.check(rules, &[&first[0], &second[0]], &[&first[1], &second[1]], &Parked::default(), "over reloads");
    assert!(kept > 20 && dropped > 50, "{kept} kept, {dropped} dropped");
    for sink in first.iter().chain(&second) {
        assert_eq!(acked.check_repeated(sink, &[], Duration::ZERO, "over reloads").0, 0);
    }
}
