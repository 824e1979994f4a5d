//! The answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_net::Unlimited;
use sluice_net::compression::DecompressLimits;
use sluice_net::http::{
    Admission, HeaderValue, HttpService, Method, Refusal, Request, Response, ResponseBody, StatusCode, header,
};
use sluice_net::listen::RequestHead;
use sluice_pipeline::clock::{Clock, Monotonic, WallTime};

use super::config::Config;

/// Whether the collector takes data, and since when.
pub(super) struct Health {
    ready: AtomicBool,
    since: std::sync::Mutex<(Monotonic, WallTime)>,
    clock: Arc<dyn Clock>,
}

impl Health {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let now = (clock.now(), clock.wall());
        Health { ready: AtomicBool::new(false), since: std::sync::Mutex::new(now), clock }
    }

    pub(super) fn set(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::AcqRel) != ready {
            let mut since = self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *since = (self.clock.now(), self.clock.wall());
        }
    }
}

/// Answers on one path.
pub(super) struct Service {
    pub(super) health: Arc<Health>,
    pub(super) config: Config,
}

impl Service {
    /// Status, content type and body, as upstream words them.
    fn answer(&self) -> (StatusCode, &'static str, String) {
        let ready = self.health.ready.load(Ordering::Acquire);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if let Some(bodies) = &self.config.response_body {
            let body = if ready { &bodies.healthy } else { &bodies.unhealthy };
            return (status, "text/plain; charset=utf-8", body.clone());
        }
        let body = if ready {
            let (since, wall) = *self.health.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let up = self.health.clock.now().since(since);
            serde_json::json!({"status": "Server available", "upSince": rfc3339(wall), "uptime": go_duration(up)})
        } else {
            serde_json::json!({"status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": ""})
        };
        (status, "application/json", body.to_string())
    }
}

impl HttpService for Service {
    type Route = ();
    type Context = ();

    fn route(&self, path: &str) -> Option<()> {
        (path == self.config.path).then_some(())
    }

    fn methods(&self, _route: &()) -> &[Method] {
        &[Method::GET, Method::HEAD]
    }

    async fn admit(&self, _route: &(), _head: &RequestHead) -> Result<Admission<()>, Response<ResponseBody>> {
        Ok(Admission {
            context: (),
            reserve: Arc::new(Unlimited),
            max_wire_bytes: 0,
            decompress: DecompressLimits::default(),
        })
    }

    async fn call(&self, _request: Request<(), ()>) -> Response<ResponseBody> {
        let (status, kind, body) = self.answer();
        let mut response = Response::new(ResponseBody::from(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn refuse(&self, _head: &RequestHead, refusal: &Refusal) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::from(Bytes::from(refusal.to_string())));
        *response.status_mut() = refusal.status();
        response
    }
}

/// `2026-01-31T12:00:00.5Z`.
fn rfc3339(wall: WallTime) -> String {
    let (seconds, nanos) = (wall.0 / 1_000_000_000, wall.0 % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days of years that begin in March, so that the leap day is the last: Howard Hinnant, "chrono-compatible algorithms".
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_era_years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + of_era_years + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// `1h2m3.5s`, as Go prints it.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = (duration - Duration::from_secs(seconds - seconds % 60)).as_secs_f64();
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_upstream_writes_them() {
        assert_eq!(rfc3339(WallTime(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(WallTime(1_709_164_799_000_000_001)), "2024-02-28T23:59:59.000000001Z");
        assert_eq!(rfc3339(WallTime(1_709_164_800_000_000_000)), "2024-02-29T00:00:00.000000000Z");
        assert_eq!(rfc3339(WallTime(4_107_542_400_000_000_000)), "2100-03-01T00:00:00.000000000Z");
        assert_eq!(go_duration(Duration::from_millis(1500)), "1.5s");
        assert_eq!(go_duration(Duration::from_secs(61)), "1m1s");
        assert_eq!(go_duration(Duration::from_secs(7322)), "2h2m2s");
    }
}
