use super::super::report::{DeadTotals, Kept};
use super::*;

fn waiting(id: &str) -> Queue {
    Queue {
        id: id.to_owned(),
        configured: true,
        kept: Kept::Disk,
        records: 12,
        items: [200, 40, 0].into(),
        bytes: 3 << 19,
        oldest_age_seconds: Some(252.4),
        quota_bytes: Some(5 << 30),
        breaker: Some(Breaker::Open),
        config_error: false,
        dead_letters: Some(DeadTotals { count: 2, items: 1, bytes: 900 }),
    }
}

#[test]
fn the_table_of_queues_is_aligned() {
    let idle = Queue { records: 0, oldest_age_seconds: None, breaker: None, dead_letters: None, ..waiting("b") };
    let gone = Queue { configured: false, quota_bytes: None, ..waiting("gone") };
    let shown = queues(&Queues::new(vec![waiting("otlp_grpc/a"), idle, gone]));
    let expected = "\
DESTINATION  RECORDS  ITEMS    BYTES  OLDEST    QUOTA  STATE           DEAD LETTERS
otlp_grpc/a       12    240  1.5 MiB   4m12s  5.0 GiB  breaker open    2 (1 item, 900 B)
b                  0    240  1.5 MiB       -  5.0 GiB  idle            -
gone              12    240  1.5 MiB   4m12s        -  not configured  2 (1 item, 900 B)
";
    assert_eq!(shown, expected);
    assert_eq!(queues(&Queues::new(Vec::new())), "no destinations\n");
}

#[test]
fn numbers_are_short() {
    let shown: Vec<String> = [0, 1023, 1024, 1_048_550, 1 << 20, u64::MAX].into_iter().map(bytes).collect();
    assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "16384.0 PiB"]);
    let shown: Vec<String> = [0.0, 9.94, 10.0, 61.0, 3600.0, 90_000.0].into_iter().map(duration).collect();
    assert_eq!(shown, ["0.0s", "9.9s", "10s", "1m1s", "1h0m", "1d1h"]);
}

#[test]
fn what_others_sent_cannot_drive_the_terminal() {
    let hostile = Letter {
        id: 1,
        reason: "permanent_error".to_owned(),
        status: "\u{1b}]0;x\u{7}".to_owned(),
        origin_seq: 3,
        signal: "traces".to_owned(),
        items: 1,
        tenant: "\u{9b}31m\r".to_owned(),
        received: String::new(),
        parked: String::new(),
        age_seconds: 1.0,
        bytes: 10,
        evictable: true,
        body: None,
    };
    for shown in [letters(std::slice::from_ref(&hostile)), letter("a", &hostile)] {
        assert!(shown.chars().all(|character| character == '\n' || !character.is_control()), "{shown:?}");
        assert!(shown.contains("\\x1b]0;x\\x07") && shown.contains("\\x9b31m\\x0d"), "{shown}");
    }
}
