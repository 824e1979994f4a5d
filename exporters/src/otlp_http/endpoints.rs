//! Where each signal goes: its own URL, or a path below `endpoint` (collector-compat §6.1).

use sluice_net::http::Uri;
use sluice_pipeline::{Error, Signal};

use super::config::Config;

/// A URL by signal; `None` for signals that no pipeline sends here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoints([Option<Uri>; 3]);

impl Endpoints {
    /// The URLs of the signals in use.
    pub(super) fn new(config: &Config, signals: &[Signal]) -> Result<Self, Error> {
        let of_signals = config.of_signals();
        let mut endpoints = Endpoints::default();
        for &signal in signals {
            let (name, own) = of_signals[signal as usize];
            let base = &config.client.endpoint;
            let url = match (own, base.strip_suffix('/').unwrap_or(base)) {
                ("", "") => {
                    return Err(Error::config(format!("either endpoint or {name} must be specified")));
                }
                ("", base) => format!("{base}{}", signal.http_path()),
                (own, _) => own.to_owned(),
            };
            let uri = check(&url, false).map_err(|text| Error::Config { path: name.to_owned(), text })?;
            endpoints.0[signal as usize] = Some(uri);
        }
        Ok(endpoints)
    }

    /// Where this signal goes.
    pub(super) fn of(&self, signal: Signal) -> Option<&Uri> {
        self.0[signal as usize].as_ref()
    }

    /// Any of them, to see whether the host is there.
    pub(super) fn any(&self) -> Option<&Uri> {
        self.0.iter().flatten().next()
    }

    /// Whether any is in plain text, and any by TLS.
    pub(super) fn has_https(&self) -> bool {
        self.0.iter().flatten().any(|uri| uri.scheme_str() == Some("https"))
    }
}

/// A URL that requests can be sent to, or, for people, why it is none. A `base` gets a path behind it.
pub(super) fn check(written: &str, base: bool) -> Result<Uri, String> {
    let not_whole = || format!("endpoint must be a valid URL: write \"http://{written}\" or \"https://{written}\"");
    let uri: Uri = written.parse().map_err(|_| format!("endpoint must be a valid URL, found {written:?}"))?;
    let authority = uri.authority().ok_or_else(not_whole)?;
    match uri.scheme_str() {
        None => return Err(not_whole()),
        Some("http" | "https") => {}
        Some(scheme) => return Err(format!("unsupported protocol scheme {scheme:?}: write http:// or https://")),
    }
    if authority.host().is_empty() {
        return Err("endpoint must be a valid URL: the host is missing".to_owned());
    }
    if authority.as_str().contains('@') {
        return Err("credentials do not belong into a URL: write them in `headers` or `auth`".to_owned());
    }
    if base && uri.query().is_some() {
        let text = "a path is added to `endpoint`: write whole URLs with a query in `traces_endpoint`, `metrics_endpoint` and `logs_endpoint`";
        return Err(text.to_owned());
    }
    Ok(uri)
}

/// A URL as it is told: without a query, which may hold a key.
pub(super) fn shown(uri: &Uri) -> String {
    let (scheme, authority) =
        (uri.scheme_str().unwrap_or(""), uri.authority().map_or("", |authority| authority.as_str()));
    format!("{scheme}://{authority}{}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(yaml: &str, signals: &[Signal]) -> Result<Vec<String>, String> {
        let node = sluice_config::parse(yaml.as_bytes()).unwrap();
        let config: Config = sluice_config::decode(&node).unwrap();
        let endpoints = Endpoints::new(&config, signals).map_err(|error| error.to_string())?;
        Ok(signals.iter().map(|&signal| endpoints.of(signal).unwrap().to_string()).collect())
    }

    #[test]
    fn signals_go_below_the_endpoint_or_to_their_own() {
        use Signal::{Logs, Metrics, Traces};
        let cases = [
            ("endpoint: http://h:4318", "http://h:4318/v1/traces"),
            ("endpoint: http://h:4318/", "http://h:4318/v1/traces"),
            ("endpoint: https://h/otlp", "https://h/otlp/v1/traces"),
            ("{endpoint: http://h:4318, traces_endpoint: https://t/x?y=z}", "https://t/x?y=z"),
            ("traces_endpoint: http://t:4318", "http://t:4318/"),
        ];
        for (yaml, expected) in cases {
            assert_eq!(endpoints(yaml, &[Traces]).unwrap(), [expected], "{yaml}");
        }
        let all = endpoints("{endpoint: http://h, logs_endpoint: http://l/}", &[Traces, Metrics, Logs]).unwrap();
        assert_eq!(all, ["http://h/v1/traces", "http://h/v1/metrics", "http://l/"]);
        let error = endpoints("traces_endpoint: http://t", &[Traces, Logs]).unwrap_err();
        assert_eq!(error, "either endpoint or logs_endpoint must be specified");
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_to_write() {
        let cases = [
            ("localhost:4318", "write \"http://localhost:4318\""),
            ("backend", "write \"http://backend\""),
            ("/v1/traces", "valid URL"),
            ("ftp://h/", "unsupported protocol scheme \"ftp\""),
            ("http://", "valid URL"),
            ("http://user:pass@h/", "credentials do not belong"),
            ("http://h/?key=x", "whole URLs"),
            ("http://h h/", "valid URL"),
        ];
        for (written, expected) in cases {
            let text = check(written, true).unwrap_err();
            assert!(text.contains(expected), "{written}: {text}");
            assert!(!text.contains("pass"), "{text}");
        }
        assert!(check("http://h/?key=x", false).is_ok());
        assert_eq!(shown(&check("http://h/a?key=x", false).unwrap()), "http://h/a");
    }
}
