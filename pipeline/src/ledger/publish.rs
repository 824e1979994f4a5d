//! The ledger as metrics: every term of every equation, so that whoever reads them can add them up.

use super::book::{AccountSnapshot, Snapshot};
use crate::Signal;
use crate::telemetry::Telemetry;

const ERROR: &str = "sluice_conservation_error";
const ITEMS: &str = "sluice_ledger_items";

pub(super) fn describe(telemetry: &Telemetry) {
    telemetry.describe(ERROR, None, "Items unaccounted for. Anything but 0 is a bug.");
    let terms = "Items by account and term. At every scrape entered + created = left + dropped + parked + held.";
    telemetry.describe(ITEMS, None, terms);
}

/// Sets the series of a snapshot. A signal that an account has never seen has none.
pub(super) fn publish(telemetry: &Telemetry, snapshot: &Snapshot) {
    for account in &snapshot.accounts {
        telemetry.gauge(ERROR, &[("scope", &account.scope)]).set(account.error as f64);
        let terms = terms(account);
        for signal in Signal::ALL {
            let of_signal = |tally: &[u64; 3]| tally[signal as usize];
            if account.error == 0 && terms.iter().all(|(_, tally)| of_signal(tally) == 0) {
                continue;
            }
            for (term, tally) in &terms {
                let labels = [("scope", account.scope.as_str()), ("signal", signal.name()), ("term", term)];
                telemetry.gauge(ITEMS, &labels).set(of_signal(tally) as f64);
            }
        }
    }
}

/// The terms of an account's equation by name. What the names mean for each kind of account says [`AccountSnapshot`].
fn terms(account: &AccountSnapshot) -> [(&'static str, [u64; 3]); 6] {
    let dropped = account
        .dropped
        .iter()
        .fold([0; 3], |sum: [u64; 3], (_, _, tally)| std::array::from_fn(|signal| sum[signal] + tally[signal]));
    [
        ("entered", account.entered),
        ("created", account.created),
        ("left", account.left),
        ("dropped", dropped),
        ("parked", account.parked),
        ("held", account.held),
    ]
}
