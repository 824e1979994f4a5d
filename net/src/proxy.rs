//! Through which proxy a connection goes: by the rules that Go's clients follow, so that an environment made for the Collector
//! means the same here (`collector-compat.md` section 2.2).

use std::net::IpAddr;
use std::sync::Arc;

use ::http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::limits::IpPrefix;

/// Through which proxy a client connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, or the same in lower case.
    #[default]
    Environment,
    /// What these variables would say.
    Rules(ProxyRules),
    /// This one, for everything (`proxy_url`).
    Url(String),
    /// None.
    None,
}

impl Proxy {
    /// Whether a proxy that is written for a client can be used. What the environment says is looked at when a connection is
    /// made.
    ///
    /// # Errors
    /// Why not, without what is written: it may hold a password.
    pub fn check(&self) -> Result<(), String> {
        let Proxy::Url(url) = self else { return Ok(()) };
        match hop(url) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(UnusableProxy(reason))) => Err(reason.to_owned()),
        }
    }
}

/// What the environment says of proxies. A proxy is a URL, or `host:port`; empty is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyRules {
    /// `HTTP_PROXY`: for `http://`. Not read where `REQUEST_METHOD` is set: a CGI program's clients could choose it.
    pub http: String,
    /// `HTTPS_PROXY`: for `https://`, and for gRPC whether encrypted or not.
    pub https: String,
    /// `NO_PROXY`: hosts that are connected to directly, separated by commas. Addresses and blocks of them, names (with all
    /// below), `.names` (only what is below), each with a port if need be, or `*`.
    pub no_proxy: String,
}

impl std::fmt::Debug for ProxyRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyRules").field("no_proxy", &self.no_proxy).finish_non_exhaustive() // URLs may hold passwords
    }
}

impl ProxyRules {
    /// Reads the environment.
    pub fn from_env() -> Self {
        let read = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_lowercase()];
            names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty())).unwrap_or_default()
        };
        let cgi = std::env::var_os("REQUEST_METHOD").is_some();
        ProxyRules {
            http: if cgi { String::new() } else { read("HTTP_PROXY") },
            https: read("HTTPS_PROXY"),
            no_proxy: read("NO_PROXY"),
        }
    }
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Hop {
    /// `http://host:port/`.
    pub(crate) uri: Uri,
    /// `Proxy-Authorization`.
    pub(crate) credentials: Option<HeaderValue>,
}

/// No proxy can be used where one is asked for: connecting directly would be the wrong thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configured proxy cannot be used: {0}")]
pub(crate) struct UnusableProxy(&'static str);

type Found = Option<Result<Hop, UnusableProxy>>;

/// The proxies of a client. Clones share them.
#[derive(Clone)]
pub(crate) struct Proxies(Arc<Inner>);

struct Inner {
    http: Found,
    https: Found,
    /// Loopback and what `NO_PROXY` lists is connected to directly.
    direct: Option<Vec<Exempt>>,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Exempt {
    Everything,
    Block(IpPrefix),
    Address(IpAddr, Option<u16>),
    /// `.name`, and whether the name itself is meant too.
    Domain(String, bool, Option<u16>),
}

impl Proxies {
    pub(crate) fn new(proxy: &Proxy) -> Self {
        Proxies(Arc::new(match proxy {
            Proxy::None => Inner { http: None, https: None, direct: None },
            Proxy::Url(url) => Inner { http: hop(url), https: hop(url), direct: None },
            Proxy::Environment => Inner::of(&ProxyRules::from_env()),
            Proxy::Rules(rules) => Inner::of(rules),
        }))
    }

    /// The proxy for the target of a request.
    pub(crate) fn of(&self, target: &Uri) -> Found {
        let https = target.scheme_str() == Some("https");
        let port = target.port_u16().unwrap_or(if https { 443 } else { 80 });
        self.find(https, target.host()?, port)
    }

    /// The proxy of a gRPC client. It is that for `https://` whatever the connection will be, as for Go's gRPC.
    pub(crate) fn of_grpc(&self, host: &str, port: u16) -> Found {
        self.find(true, host, port)
    }

    fn find(&self, https: bool, host: &str, port: u16) -> Found {
        let found = if https { &self.0.https } else { &self.0.http };
        let host = host.trim_matches(['[', ']']);
        let is_direct = |exempt: &Vec<Exempt>| is_local(host) || exempt.iter().any(|exempt| exempt.covers(host, port));
        if found.is_none() || self.0.direct.as_ref().is_some_and(is_direct) { None } else { found.clone() }
    }
}

impl Inner {
    fn of(rules: &ProxyRules) -> Self {
        let direct = rules.no_proxy.split(',').filter_map(Exempt::parse).collect();
        Inner { http: hop(&rules.http), https: hop(&rules.https), direct: Some(direct) }
    }
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Reads the URL of a proxy, `http://` being understood.
fn hop(url: &str) -> Found {
    if url.is_empty() {
        return None;
    }
    // Only the library knows how a URL's user and password become a header.
    let matcher = Matcher::builder().all(url).build();
    let Some(found) = matcher.intercept(&Uri::from_static("http://any.invalid/")) else {
        return Some(Err(UnusableProxy("it is no URL such as http://proxy.example.com:3128")));
    };
    if !has_valid_port(found.uri()) {
        return Some(Err(UnusableProxy("its port is none")));
    }
    if found.uri().scheme_str() != Some("http") {
        return Some(Err(UnusableProxy("proxies are reached by http:// only")));
    }
    Some(Ok(Hop { uri: found.uri().clone(), credentials: found.basic_auth().cloned() }))
}

/// For the parser any digits are a port, of which it then says nothing.
fn has_valid_port(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let port = authority.as_str().rsplit('@').next().and_then(|rest| rest.strip_prefix(authority.host()));
    match port.map(|port| port.strip_prefix(':')) {
        None => false,
        Some(None) => true,
        Some(Some(port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
    }
}

impl Exempt {
    fn parse(written: &str) -> Option<Self> {
        let written = written.trim().to_ascii_lowercase();
        if written.is_empty() {
            return None;
        }
        if written == "*" {
            return Some(Exempt::Everything);
        }
        if written.contains('/') {
            return written.parse().ok().map(Exempt::Block);
        }
        let (host, port) = host_and_port(&written);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Exempt::Address(address.to_canonical(), port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Exempt::Domain(host.to_owned(), false, port)),
            None => Some(Exempt::Domain(format!(".{host}"), true, port)),
        }
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let at = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        match (self, address) {
            (Exempt::Everything, _) => true,
            (Exempt::Block(block), Some(address)) => block.contains(address),
            (Exempt::Address(own, wanted), Some(address)) => *own == address && at(wanted),
            (Exempt::Domain(domain, itself, wanted), None) => {
                let host = host.to_ascii_lowercase();
                at(wanted) && (host.ends_with(domain.as_str()) || *itself && host == domain[1..])
            }
            _ => false,
        }
    }
}

/// Cuts `host:port`, `[v6]:port` or a host alone.
fn host_and_port(written: &str) -> (&str, Option<u16>) {
    let bare = |host: &'_ str| -> (usize, usize) {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if inner.is_some() { (1, host.len() - 1) } else { (0, host.len()) }
    };
    if let Some((host, port)) = written.rsplit_once(':')
        && (!host.contains(':') || host.ends_with(']'))
        && let Ok(port) = port.parse()
    {
        let (from, to) = bare(host);
        return (&host[from..to], Some(port));
    }
    let (from, to) = bare(written);
    (&written[from..to], None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(http: &str, https: &str, no_proxy: &str) -> Proxies {
        let rules = ProxyRules { http: http.into(), https: https.into(), no_proxy: no_proxy.into() };
        Proxies::new(&Proxy::Rules(rules))
    }

    fn through(proxies: &Proxies, target: &str) -> Option<String> {
        proxies.of(&target.parse().unwrap()).map(|found| match found {
            Ok(hop) => hop.uri.authority().unwrap().to_string(),
            Err(error) => error.to_string(),
        })
    }

    #[test]
    fn each_scheme_has_its_proxy_and_grpc_that_of_https() {
        let both = proxies("http://plain:1", "secure:2", "");
        assert_eq!(through(&both, "http://backend/x").as_deref(), Some("plain:1"));
        assert_eq!(through(&both, "https://backend/x").as_deref(), Some("secure:2"));
        assert!(matches!(both.of_grpc("backend", 4317), Some(Ok(hop)) if hop.uri.port_u16() == Some(2)));
        let one = proxies("http://plain:1", "", "");
        assert_eq!(through(&one, "https://backend/x"), None);
        assert!(one.of_grpc("backend", 4317).is_none());
    }

    #[test]
    fn this_machine_is_reached_directly_unless_the_proxy_is_written_for_the_client() {
        let environment = proxies("http://p:1", "http://p:1", "");
        let written = Proxies::new(&Proxy::Url("http://p:1".into()));
        for local in ["http://localhost:9/", "https://127.0.0.1/", "http://127.8.0.1:80/", "http://[::1]:80/"] {
            assert_eq!(through(&environment, local), None, "{local}");
            assert_eq!(through(&written, local).as_deref(), Some("p:1"), "{local}");
        }
        assert_eq!(through(&Proxies::new(&Proxy::None), "http://backend/"), None);
    }

    #[test]
    fn what_no_proxy_lists_is_reached_directly() {
        let cases: [(&str, &str, bool); 26] = [
            ("example.com", "http://example.com/", true),
            ("example.com", "http://sub.example.com/", true),
            ("example.com", "http://EXAMPLE.com/", true),
            ("example.com", "http://notexample.com/", false),
            (".example.com", "http://sub.example.com/", true),
            (".example.com", "http://example.com/", false),
            ("*.example.com", "http://sub.example.com/", true),
            ("*.example.com", "http://example.com/", false),
            ("example.com:8080", "http://example.com:8080/", true),
            ("example.com:8080", "http://example.com/", false),
            ("example.com:80", "http://example.com/", true),
            ("example.com:443", "https://example.com/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.0.0.0/8", "http://ten.example/", false),
            ("10.1.2.3", "http://10.1.2.3:99/", true),
            ("10.1.2.3:99", "http://10.1.2.3:98/", false),
            ("2001:db8::/32", "http://[2001:db8::1]/", true),
            ("2001:db8::1", "http://[2001:db8::1]:80/", true),
            ("[2001:db8::1]:81", "http://[2001:db8::1]:80/", false),
            ("[2001:db8::1]:80", "http://[2001:db8::1]:80/", true),
            ("*", "http://anything.example/", true),
            ("a, b ,, c", "http://b/", true),
            ("a, b ,, c", "http://d/", false),
            (",:80,/,*.", "http://d/", false),
            ("3.3.3.3", "http://x3.3.3.3/", false),
        ];
        for (no_proxy, target, direct) in cases {
            let found = through(&proxies("http://p:1", "http://p:1", no_proxy), target);
            assert_eq!(found.is_none(), direct, "{no_proxy} {target}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_not_passed_by() {
        for url in ["socks5://p:1080", "https://p:3128", "http://", "::", "http://p:0", "http://p:70000"] {
            let found = through(&proxies(url, "", ""), "http://backend/").unwrap();
            assert!(found.starts_with("the configured proxy cannot be used"), "{url}: {found}");
            assert_eq!(through(&proxies(url, "", "backend"), "http://backend/"), None, "{url}");
        }
        let shown = format!("{:?}", ProxyRules { http: "http://user:canary@p".into(), ..ProxyRules::default() });
        assert!(!shown.contains("canary"), "{shown}");
    }
}
