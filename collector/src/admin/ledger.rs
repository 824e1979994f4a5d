//! The ledger as JSON: every row with its reason, and every equation (delivery §10).

use serde_json::{Value, json};
use sluice_pipeline::ledger::{AccountSnapshot, Snapshot, Tally, reasons};

use crate::queue::report::BySignal;

/// Drops that somebody asked for. All others are losses.
const BY_CHOICE: [&str; 4] = [reasons::FILTER, reasons::SAMPLED, reasons::DEDUP, reasons::OPERATOR_PURGE];

/// A snapshot as `GET /admin/v1/ledger` gives it.
pub fn shown(snapshot: &Snapshot) -> Value {
    let rows: Vec<Value> = snapshot.accounts.iter().flat_map(rows).collect();
    let lost = rows.iter().filter(|row| row["group"] == "loss").filter_map(|row| row["items"].as_u64()).sum::<u64>();
    let parked: u64 = snapshot.accounts.iter().map(|account| sum(&account.parked)).sum();
    let error: u64 = snapshot.accounts.iter().map(|account| account.error.unsigned_abs()).sum();
    json!({
        "schema": "sluice.ledger/1",
        "conservation_error": error,
        "lost": lost,
        "parked": parked,
        "rows": rows,
        "equations": snapshot.accounts.iter().map(equation).collect::<Vec<_>>(),
    })
}

/// What was dropped or parked, by account, component and reason.
fn rows(account: &AccountSnapshot) -> Vec<Value> {
    let dropped = account.dropped.iter().map(|(component, reason, tally)| {
        let group = if BY_CHOICE.contains(reason) { "choice" } else { "loss" };
        row(account, component, reason, group, tally)
    });
    let parked = (sum(&account.parked) > 0).then(|| {
        let (_, destination) = account.scope.split_once('/').unwrap_or(("", &account.scope));
        row(account, destination, "parked", "parked", &account.parked)
    });
    dropped.chain(parked).collect()
}

fn row(account: &AccountSnapshot, component: &str, reason: &str, group: &str, tally: &Tally) -> Value {
    json!({
        "scope": account.scope,
        "component": component,
        "reason": reason,
        "group": group,
        "items": sum(tally),
        "by_signal": BySignal::from(*tally),
    })
}

/// `entered + created = left + dropped + parked + held`.
fn equation(account: &AccountSnapshot) -> Value {
    let dropped = account
        .dropped
        .iter()
        .fold([0; 3], |all: Tally, (_, _, tally)| std::array::from_fn(|signal| all[signal] + tally[signal]));
    json!({
        "scope": account.scope,
        "entered": BySignal::from(account.entered),
        "created": BySignal::from(account.created),
        "left": BySignal::from(account.left),
        "dropped": BySignal::from(dropped),
        "parked": BySignal::from(account.parked),
        "held": BySignal::from(account.held),
        "error": account.error,
    })
}

fn sum(tally: &Tally) -> u64 {
    tally.iter().sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_pipeline::Signal;
    use sluice_pipeline::context::Tenant;
    use sluice_pipeline::ledger::Ledger;
    use sluice_pipeline::telemetry::Telemetry;

    use super::*;

    #[test]
    fn losses_choices_and_dead_letters_are_told_apart_and_every_equation_adds_up() {
        let ledger = Ledger::new(&Telemetry::new(), []);
        let filter = Arc::from("filter/a");
        let dropped = [(filter, reasons::FILTER, 3)];
        ledger.pipeline("logs").enter(Signal::Logs, 10).settle(&Tenant::default(), 7, &dropped, 0);
        let otlp = ledger.destination("otlp");
        otlp.routed(Signal::Logs, 7, [0, 0, 7]);
        let mut fate = sluice_pipeline::spine::Completion::dropped(reasons::MAX_AGE, 2);
        (fate.delivered, fate.parked) = (1, 4);
        otlp.completed(Signal::Logs, &Tenant::default(), &fate, [0; 3]);
        let shown = shown(&ledger.snapshot());
        assert_eq!((&shown["lost"], &shown["parked"], &shown["conservation_error"]), (&json!(2), &json!(4), &json!(0)));
        let rows: Vec<_> = shown["rows"].as_array().unwrap().iter().collect();
        let brief = |row: &Value| format!("{} {} {} {}", row["component"], row["reason"], row["group"], row["items"]);
        let brief: Vec<String> = rows.into_iter().map(brief).map(|row| row.replace('"', "")).collect();
        assert_eq!(brief, ["filter/a filter choice 3", "otlp max_age loss 2", "otlp parked parked 4"]);
        for equation in shown["equations"].as_array().unwrap() {
            let term = |name: &str| equation[name]["logs"].as_u64().unwrap();
            let right = term("left") + term("dropped") + term("parked") + term("held");
            assert_eq!(term("entered") + term("created"), right, "{equation}");
        }
    }
}
