//! Requests of pages in browsers (CORS, the Fetch standard section 3.3), as upstream answers them: credentials are always
//! allowed.

use sluice_net::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, ResponseBody, StatusCode, header};
use sluice_net::listen::RequestHead;
use sluice_pipeline::blocks;

/// Headers that every page may send.
const ALWAYS: [&str; 3] = ["accept", "content-type", "x-requested-with"];
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// Which pages may send what.
pub(crate) struct Cors {
    /// Lower-case, each split at its asterisk.
    origins: Vec<(String, Option<String>)>,
    /// Lower-case; `None` for all.
    headers: Option<Vec<String>>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// `None` if no origin is allowed: then there is nothing to answer.
    pub(crate) fn new(written: &blocks::Cors) -> Option<Self> {
        if written.allowed_origins.is_empty() {
            return None;
        }
        let origins = written.allowed_origins.iter().map(|origin| {
            let origin = origin.to_ascii_lowercase();
            match origin.split_once('*') {
                Some((start, end)) => (start.to_owned(), Some(end.to_owned())),
                None => (origin, None),
            }
        });
        let any = written.allowed_headers.iter().any(|name| name == "*");
        let headers = written.allowed_headers.iter().map(|name| name.to_ascii_lowercase());
        let headers = headers.chain(ALWAYS.map(str::to_owned)).collect();
        let exposed = written.exposed_headers.join(", ");
        Some(Cors {
            origins: origins.collect(),
            headers: (!any).then_some(headers),
            exposed: Some(exposed).filter(|names| !names.is_empty()).and_then(|names| names.try_into().ok()),
            max_age: (written.max_age > 0).then(|| HeaderValue::from(written.max_age)),
        })
    }

    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|(start, end)| match end {
            None => origin == *start,
            Some(end) => origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end),
        })
    }

    fn allowed_origin<'h>(&self, head: &'h RequestHead) -> Option<&'h HeaderValue> {
        let mut values = head.headers.get_all(header::ORIGIN).iter();
        let origin = values.next().filter(|origin| origin.to_str().is_ok_and(|origin| self.allows(origin)));
        origin.filter(|_| values.next().is_none())
    }

    /// The answer to a preflight; `None` if this is none.
    pub(crate) fn preflight(&self, head: &RequestHead) -> Option<Response<ResponseBody>> {
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asked.filter(|_| head.method == Method::OPTIONS)?;
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static(VARY));
        let wanted = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let (Some(origin), Some(wanted)) = (self.allowed_origin(head), self.allowed_headers(wanted)) else {
            return Some(response);
        };
        if asked != "POST" {
            return Some(response);
        }
        self.allow(origin, headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        if let Some(wanted) = wanted {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if let Some(seconds) = &self.max_age {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds.clone());
        }
        Some(response)
    }

    /// The headers that were asked for, if all of them are allowed.
    fn allowed_headers<'h>(&self, wanted: Option<&'h HeaderValue>) -> Option<Option<&'h HeaderValue>> {
        let (Some(value), Some(allowed)) = (wanted, &self.headers) else { return Some(wanted) };
        let mut names = value.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase());
        names.all(|name| name.is_empty() || allowed.contains(&name)).then_some(wanted)
    }

    /// What any other answer needs, refusals as well: else the page cannot read it.
    pub(crate) fn mark(&self, head: &RequestHead, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed_origin(head) {
            self.allow(origin, headers);
            if let Some(exposed) = &self.exposed {
                headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
        }
    }

    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        const CREDENTIALS: HeaderName = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests;
