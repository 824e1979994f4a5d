use std::sync::Arc;

use super::*;
use crate::Signal;
use crate::context::Tenant;
use crate::spine::Completion;
use crate::telemetry::{Naming, Telemetry};

fn ledger() -> (Ledger, Telemetry) {
    let telemetry = Telemetry::new();
    (Ledger::new(&telemetry, ["toy"]), telemetry)
}

#[test]
fn a_refused_request_counts_nothing() {
    let (ledger, telemetry) = ledger();
    let account = ledger.pipeline("traces");
    let pass = account.enter(Signal::Traces, 10);
    assert_eq!(ledger.snapshot().get("pipeline/traces").unwrap().held, [10, 0, 0]);
    drop(pass);
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.get("pipeline/traces").unwrap().entered, [0; 3]);
    assert_eq!(snapshot.errors().count(), 0);
    let text = telemetry.render(&Naming::default());
    assert!(text.contains(r#"sluice_items_admitted_total{pipeline="traces",signal="traces"} 0"#), "{text}");
}

#[test]
fn drops_are_counted_by_component_reason_signal_and_tenant() {
    let (ledger, telemetry) = ledger();
    let component: Arc<str> = "filter/a".into();
    let pass = ledger.pipeline("logs").enter(Signal::Logs, 10);
    pass.settle(&Tenant::new("acme"), 7, &[(Arc::clone(&component), reasons::FILTER, 3)], 0);
    ledger.pipeline("logs").enter(Signal::Logs, 1).settle(&Tenant::default(), 0, &[(component, "toy", 1)], 0);
    ledger.publish();
    let text = telemetry.render(&Naming::default());
    for line in [
        r#"sluice_items_dropped_total{component="filter/a",reason="filter",signal="logs",tenant="acme"} 3"#,
        r#"sluice_items_dropped_total{component="filter/a",reason="toy",signal="logs"} 1"#,
        r#"sluice_items_appended_total{pipeline="logs",signal="logs"} 7"#,
        r#"sluice_conservation_error{scope="pipeline/logs"} 0"#,
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[test]
fn what_is_not_accounted_for_shows() {
    let (ledger, _) = ledger();
    ledger.pipeline("traces").enter(Signal::Traces, 10).settle(&Tenant::default(), 9, &[], 0);
    ledger.destination("otlp").routed(Signal::Logs, 5, [0, 0, 4]);
    let mut errors: Vec<_> = ledger.check().errors().map(|account| (account.scope.clone(), account.error)).collect();
    errors.sort();
    assert_eq!(errors, [("destination/otlp".to_owned(), 1), ("pipeline/traces".to_owned(), 1)]);
    ledger.destination("otlp").completed(Signal::Logs, &Tenant::default(), &Completion::delivered(5), [0; 3]);
    assert_eq!(ledger.snapshot().get("destination/otlp").unwrap().error, 0);
}

#[test]
fn every_term_of_an_account_is_shown() {
    let (ledger, telemetry) = ledger();
    ledger.destination("otlp").routed(Signal::Logs, 5, [0, 0, 5]);
    let some = Completion { delivered: 2, dropped: [("toy", 1)].into_iter().collect(), parked: 0 };
    ledger.destination("otlp").completed(Signal::Logs, &Tenant::default(), &some, [0, 0, 2]);
    ledger.publish();
    let text = telemetry.render(&Naming::default());
    for (term, items) in [("entered", 5), ("created", 0), ("left", 2), ("dropped", 1), ("parked", 0), ("held", 2)] {
        let line = format!(r#"sluice_ledger_items{{scope="destination/otlp",signal="logs",term="{term}"}} {items}"#);
        assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
    }
    assert!(!text.contains(r#"scope="destination/otlp",signal="traces""#), "{text}");
}

#[test]
fn a_dead_letter_is_in_one_place_wherever_it_goes() {
    let (ledger, telemetry) = ledger();
    let account = ledger.destination("otlp");
    let terms = || {
        let snapshot = ledger.snapshot();
        let of = snapshot.get("destination/otlp").unwrap();
        assert_eq!(of.error, 0, "{of:?}");
        let dropped: u64 = of.dropped.iter().map(|(_, _, tally)| tally[2]).sum();
        [of.entered[2], of.left[2], dropped, of.parked[2], of.held[2]]
    };
    account.restored_letters(Signal::Logs, 4);
    assert_eq!(terms(), [4, 0, 0, 4, 0]);
    account.routed(Signal::Logs, 5, [0, 0, 5]);
    // Dropped by an operator who was quicker than its sender.
    account.lost_letters(Signal::Logs, &Tenant::default(), reasons::OPERATOR_PURGE, 5);
    let parked = Completion { parked: 5, ..Completion::default() };
    account.completed(Signal::Logs, &Tenant::default(), &parked, [0; 3]);
    assert_eq!(terms(), [9, 0, 5, 4, 0]);
    account.routed(Signal::Logs, 4, [0, 0, 4]);
    assert_eq!(terms(), [13, 0, 5, 4, 4], "in the log already, and in the dead letters still");
    account.replayed(Signal::Logs, 4);
    assert_eq!(terms(), [9, 0, 5, 0, 4]);
    account.completed(Signal::Logs, &Tenant::default(), &Completion::delivered(4), [0; 3]);
    assert_eq!(terms(), [9, 4, 5, 0, 0]);
    let text = telemetry.render(&Naming::default());
    let line = r#"sluice_items_dropped_total{component="otlp",reason="operator_purge",signal="logs"} 5"#;
    assert!(text.contains(line), "{text}");
}

#[test]
fn an_unregistered_reason_is_not_free_text() {
    let (ledger, _) = ledger();
    let dropped = [(Arc::from("x"), "made up", 1)];
    ledger.pipeline("traces").enter(Signal::Traces, 1).settle(&Tenant::default(), 0, &dropped, 0);
    assert_eq!(ledger.snapshot().accounts[0].dropped[0].1, "unregistered");
}

#[test]
fn tenants_beyond_the_hundredth_share_a_label() {
    let (ledger, telemetry) = ledger();
    for tenant in 0..150 {
        let dropped = [(Arc::from("x"), reasons::FILTER, 1)];
        let tenant = Tenant::new(&format!("t{tenant}"));
        ledger.pipeline("traces").enter(Signal::Traces, 1).settle(&tenant, 0, &dropped, 0);
    }
    let text = telemetry.render(&Naming::default());
    assert_eq!(text.matches("sluice_items_dropped_total{").count(), 101);
    assert!(text.contains(r#"tenant="other"} 50"#));
}
