//! What a path stands for.

use sluice_net::http::Method;

use super::access::Class;
use crate::queue::report::Action;

/// A route of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Live,
    Ready,
    Metrics,
    Ledger,
    Queues,
    /// The dead letters of a destination.
    Dead(String),
    Work(String, Action),
    Reload,
}

impl Route {
    pub fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/livez" | "/-/healthy" => Route::Live,
            "/readyz" | "/-/ready" => Route::Ready,
            "/metrics" => Route::Metrics,
            "/admin/v1/ledger" => Route::Ledger,
            "/admin/v1/queues" => Route::Queues,
            "/admin/v1/reload" => Route::Reload,
            _ => {
                // Ids have a slash of their own, which may be written as such.
                let (id, last) = path.strip_prefix("/admin/v1/queues/")?.rsplit_once('/')?;
                let id = decoded(id)?;
                match last {
                    "dead" => Route::Dead(id),
                    "replay" => Route::Work(id, Action::Replay),
                    "drop" => Route::Work(id, Action::Drop),
                    _ => return None,
                }
            }
        })
    }

    pub fn methods(&self) -> &'static [Method] {
        match self {
            Route::Work(..) | Route::Reload => &[Method::POST],
            _ => &[Method::GET, Method::HEAD],
        }
    }

    pub fn class(&self, query: &Query) -> Class {
        match self {
            Route::Live | Route::Ready | Route::Metrics => Class::Public,
            Route::Dead(_) if query.bodies => Class::Tap,
            Route::Ledger | Route::Queues | Route::Dead(_) => Class::Read,
            Route::Reload if query.dry_run => Class::Read,
            Route::Work(..) | Route::Reload => Class::Write,
        }
    }
}

/// What follows the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub limit: usize,
    /// Where a page begins.
    pub cursor: u64,
    /// Only ids that hold this.
    pub filter: String,
    pub bodies: bool,
    pub dry_run: bool,
}

/// Entries of a page, and most of them.
const LIMIT: usize = 100;
const MOST: usize = 1000;

impl Default for Query {
    fn default() -> Self {
        Query { limit: LIMIT, cursor: 0, filter: String::new(), bodies: false, dry_run: false }
    }
}

impl Query {
    /// # Errors
    /// The name of the parameter that is unknown or has no such value.
    pub fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut parsed = Query::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let wrong = || name.to_owned();
            let value = decoded(value).ok_or_else(wrong)?;
            match name {
                "limit" => {
                    let limit: usize = value.parse().map_err(|_| wrong())?;
                    parsed.limit = if (1..=MOST).contains(&limit) { limit } else { return Err(wrong()) };
                }
                "cursor" => parsed.cursor = value.parse().map_err(|_| wrong())?,
                "filter" => parsed.filter = value,
                "bodies" => parsed.bodies = value.parse().map_err(|_| wrong())?,
                "dry_run" => parsed.dry_run = value.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        Ok(parsed)
    }
}

/// A part of a target with its `%xx` resolved. `None` if it is not UTF-8 then.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match *first {
            b'%' => {
                let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind.get(2..)?;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The same the other way, for one segment of a path.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_a_slash_are_found_either_way() {
        let id = "otlp_grpc/a b";
        assert_eq!(encoded(id), "otlp_grpc%2Fa%20b");
        for path in ["/admin/v1/queues/otlp_grpc%2Fa%20b/dead", "/admin/v1/queues/otlp_grpc/a%20b/dead"] {
            assert_eq!(Route::find(path), Some(Route::Dead(id.to_owned())), "{path}");
        }
        assert_eq!(Route::find("/admin/v1/queues/x/drop"), Some(Route::Work("x".to_owned(), Action::Drop)));
        for path in ["/", "/admin/v1/queues/x", "/admin/v1/queues/x/peek", "/admin/v1/queues/%2/dead", "/metrics/"] {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }

    #[test]
    fn bodies_are_telemetry_and_a_dry_run_changes_nothing() {
        let class = |path: &str, query| Route::find(path).unwrap().class(&Query::parse(Some(query)).unwrap());
        assert_eq!(class("/admin/v1/queues/x/dead", ""), Class::Read);
        assert_eq!(class("/admin/v1/queues/x/dead", "limit=3&bodies=true"), Class::Tap);
        assert_eq!(class("/admin/v1/reload", ""), Class::Write);
        assert_eq!(class("/admin/v1/reload", "dry_run"), Class::Read);
        assert_eq!(class("/admin/v1/queues/x/replay", "bodies=true"), Class::Write);
    }

    #[test]
    fn parameters_that_make_no_sense_are_named() {
        for (query, name) in [("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor"), ("x=1", "x")] {
            assert_eq!(Query::parse(Some(query)), Err(name.to_owned()));
        }
        assert_eq!(Query::parse(Some("filter=a%2Fb&cursor=7")).unwrap().filter, "a/b");
    }
}
