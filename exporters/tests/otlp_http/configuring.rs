//! What a config may hold, and what is said of one that cannot work.

use std::time::Duration;

use sluice_pipeline::clock::{VirtualClock, WallTime};

use crate::rig::{build, decode};

#[test]
fn the_defaults_are_upstreams() {
    let config = decode("endpoint: https://h").unwrap();
    assert_eq!((config.compression(), config.encoding.as_str()), ("gzip", "proto"));
    let delivery = config.delivery();
    assert_eq!(delivery.timeout, Duration::from_secs(30));
    assert!(delivery.queue.is_some() && delivery.retry.is_some());
    let off = decode(
        "{endpoint: http://h, timeout: 0s, sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}",
    );
    let delivery = off.unwrap().delivery();
    assert!(delivery.timeout.is_zero() && delivery.queue.is_none() && delivery.retry.is_none());
}

#[test]
fn every_field_of_upstream_is_read() {
    let yaml = "
endpoint: https://backend.example.com:4318
traces_endpoint: https://t/v1/traces
metrics_endpoint: https://m/v1/metrics
logs_endpoint: https://l/v1/logs
profiles_endpoint: https://p/v1development/profiles
encoding: json
proxy_url: http://proxy:3128
tls: {insecure: false, min_version: \"1.3\", server_name_override: x}
read_buffer_size: 1
write_buffer_size: 1
timeout: 10s
headers: {a: b}
compression: zstd
compression_params: {level: 3}
max_idle_conns: 1
max_idle_conns_per_host: 1
max_conns_per_host: 1
idle_conn_timeout: 1s
disable_keep_alives: true
http2_read_idle_timeout: 1s
http2_ping_timeout: 1s
force_attempt_http2: false
sending_queue: {num_consumers: 2, queue_size: 10, batch: {}}
retry_on_failure: {enabled: true, initial_interval: 1s}
";
    assert!(decode(yaml).is_ok());
}

#[test]
fn what_cannot_work_is_refused_in_upstreams_words() {
    let cases = [
        ("{}", "at least one endpoint must be specified"),
        ("{endpoint: http://h, encoding: xml}", "invalid encoding type: xml"),
        ("{endpoint: http://h, compression: br}", "unsupported compression type \\\"br\\\""),
        (
            "{endpoint: http://h, compression: lz4, compression_params: {level: 1}}",
            "unsupported parameters {Level:1} for compression type \\\"lz4\\\"",
        ),
        (
            "{endpoint: http://h, compression: gzip, compression_params: {level: 10}}",
            "unsupported parameters {Level:10} for compression type \\\"gzip\\\"",
        ),
        (
            "{endpoint: http://h, compression: snappy, compression_params: {level: 1}}",
            "unsupported parameters {Level:1} for compression type \\\"snappy\\\"",
        ),
        ("endpoint: localhost:4318", "write \\\"http://localhost:4318\\\""),
        ("traces_endpoint: \"ftp://h\"", "unsupported protocol scheme"),
        ("{endpoint: http://h, proxy_url: \"socks5://p\"}", "proxies are reached by http://"),
        ("{endpoint: http://h, middlewares: [{id: x}]}", "`middlewares` is not available"),
        ("{endpoint: http://h, sending_queue: {queue_size: 0}}", "`queue_size` must be positive"),
        ("{endpoint: http://h, tls: {cert_file: x}}", "provide both certificate and key"),
        ("{endpoint: http://h, cookies: {enabled: true}}", "cookies"),
    ];
    for (yaml, expected) in cases {
        let problems = decode(yaml).map(|_| ()).unwrap_err();
        assert!(problems.contains(expected), "{yaml}: {problems}");
    }
}

#[test]
fn levels_that_the_algorithms_have_are_taken() {
    for (compression, levels) in [("gzip", &[-2, -1, 0, 1, 9][..]), ("zstd", &[-3, 0, 1, 11, 22]), ("snappy", &[0])] {
        for level in levels {
            let yaml =
                format!("{{endpoint: http://h, compression: {compression}, compression_params: {{level: {level}}}}}");
            assert!(decode(&yaml).is_ok(), "{yaml}");
        }
    }
}

#[test]
fn authenticators_and_headers_that_cannot_work_fail_the_start() {
    let clock = VirtualClock::new(WallTime(0));
    let failed = |yaml: &str| build(yaml, &clock).map(|_| ()).unwrap_err().to_string();
    let missing = failed("{endpoint: http://h, auth: {authenticator: nobody}}");
    assert_eq!(missing, "failed to resolve authenticator \"nobody\": authenticator not found");
    let other = failed("{endpoint: http://h, auth: {authenticator: other}}");
    assert!(other.contains("requested authenticator is not a HTTP client authenticator"), "{other}");
    let header = failed("{endpoint: http://h, headers: {\"a b\": c}}");
    assert_eq!(header, "invalid header \"a b\"");
    let value = failed("{endpoint: http://h, headers: {a: \"canary\\nvalue\"}}");
    assert!(value.contains("\"a\"") && !value.contains("canary"), "{value}");
    let endpoint = failed("traces_endpoint: http://h");
    assert_eq!(endpoint, "either endpoint or metrics_endpoint must be specified");
}
