//! How the certificates of listeners and clients are doing (security §3).

use std::time::SystemTime;

use sluice_net::tls::TlsWatch;

use super::registry::Telemetry;

const RELOADS: &str = "sluice_tls_reloads_total";
const FAILURES: &str = "sluice_tls_reload_failures_total";
const EXPIRY: &str = "sluice_cert_expiry_seconds";

/// Shows at each scrape how the certificates are doing that `watch` looks at, under `labels`, until nobody uses them any more.
pub fn show_certificates(telemetry: &Telemetry, labels: &[(&str, &str)], watch: TlsWatch) {
    telemetry.describe(RELOADS, None, "Changed TLS files that were taken over.");
    telemetry.describe(FAILURES, None, "Looks at TLS files that could not be used; the old ones stayed.");
    telemetry.describe(EXPIRY, None, "When the own certificate ends, in seconds since 1970.");
    let labels: Vec<(String, String)> =
        labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let shown = telemetry.clone();
    telemetry.on_scrape_while(move || {
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Some(status) = watch.look() else {
            // What a reload put in its place comes later in the order and shows itself again.
            [RELOADS, FAILURES, EXPIRY].iter().for_each(|name| shown.forget(name, &labels));
            return false;
        };
        shown.total(RELOADS, &labels).set(status.reloads as f64);
        shown.total(FAILURES, &labels).set(status.reload_failures as f64);
        match status.not_after.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            Some(end) => shown.gauge(EXPIRY, &labels).set(end.as_secs_f64()),
            None => shown.forget(EXPIRY, &labels),
        }
        true
    });
}
