use std::time::Duration;

use serde::de::DeserializeOwned;
use sluice_config::{Args, FixedSources, Problems, Secret, Toggle, resolve};

use super::*;
use crate::factory::Validate;
use crate::processor::Sizer;

fn decoded<T: DeserializeOwned>(yaml: &str) -> (T, sluice_config::Node) {
    let sources = FixedSources::default().file("a.yaml", yaml);
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let root = resolve(&args, &sources).unwrap().root;
    (sluice_config::decode(&root).unwrap(), root)
}

fn problems<T: DeserializeOwned + Validate>(yaml: &str) -> Vec<String> {
    let (config, root) = decoded::<T>(yaml);
    let mut problems = Problems::new(&root);
    config.validate("", &mut problems);
    problems.into_diagnostics().into_iter().map(|found| found.message).collect()
}

#[test]
fn a_queue_that_is_switched_off_is_off_whatever_else_is_set() {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Exporter {
        sending_queue: Toggle<SendingQueue>,
    }
    assert!(!decoded::<Exporter>("sending_queue: {enabled: false, queue_size: 5}").0.sending_queue.is_on());
    assert!(decoded::<Exporter>("sending_queue: {queue_size: 5}").0.sending_queue.is_on());
}

#[test]
fn a_batch_inherits_the_sizer_only_if_the_queue_states_one() {
    let batching = |yaml| decoded::<SendingQueue>(yaml).0.batching();
    assert_eq!(batching("{}"), None);
    assert_eq!(batching("batch: {}").unwrap().sizer, Sizer::Items);
    assert_eq!(batching("{sizer: bytes, batch: {}}").unwrap().sizer, Sizer::Bytes);
    assert_eq!(batching("{sizer: bytes, batch: {sizer: items}}").unwrap().sizer, Sizer::Items);
    let batch = batching("batch: {}").unwrap();
    assert_eq!((batch.flush_timeout, batch.min_size, batch.max_size), (Duration::from_millis(200), 8192, 0));
    assert!(problems::<SendingQueue>("{sizer: items, queue_size: 5, batch: {}}")[0].contains("less than or equal"));
    assert_eq!(problems::<SendingQueue>("{queue_size: 5, batch: {}}"), [""; 0]);
}

#[test]
fn waits_grow_to_the_maximum_with_full_jitter_unless_written() {
    let (retry, _) = decoded::<Retry>("{}");
    assert_eq!(retry.wait(0, 0.5), Duration::from_millis(250));
    assert_eq!(retry.wait(1, 0.5), Duration::from_millis(375));
    assert_eq!(retry.wait(4000, 0.5), Duration::from_secs(15));
    assert_eq!(retry.max_elapsed_time(), None);
    let (retry, _) = decoded::<Retry>("{initial_interval: 1s, randomization_factor: 0.5, max_elapsed_time: 0s}");
    assert_eq!(retry.wait(0, 0.0), Duration::from_millis(500));
    assert_eq!(retry.wait(0, 0.5), Duration::from_secs(1));
    assert_eq!(retry.max_elapsed_time(), None);
}

#[test]
fn tls_is_checked_with_upstreams_texts() {
    let text = "TLS configuration must include both certificate and key for server connections";
    assert!(problems::<TlsServer>("cert_file: a").iter().any(|found| found.ends_with(text)));
    let text = "invalid TLS configuration: min_version cannot be greater than max_version";
    assert!(
        problems::<TlsClient>("{min_version: '1.3', max_version: '1.2'}").iter().any(|found| found.ends_with(text))
    );
    let text = "client_auth needs client_ca_file";
    let own = "cert_file: a, key_file: b";
    assert!(problems::<TlsServer>(&format!("{{{own}, client_auth: require}}"))[0].ends_with(text));
    let text = "allowed_sans, allowed_spiffe_ids and crl_file need client_ca_file and client_auth";
    for more in ["allowed_sans: [a]", "crl_file: c", "client_ca_file: d, client_auth: none, allowed_spiffe_ids: [a]"] {
        assert!(problems::<TlsServer>(&format!("{{{own}, {more}}}"))[0].ends_with(text), "{more}");
    }
    for more in
        ["client_ca_file: d", "client_ca_file: d, client_auth: optional, allowed_sans: [a]", "client_auth: none"]
    {
        assert!(problems::<TlsServer>(&format!("{{{own}, {more}}}")).is_empty(), "{more}");
    }
    let text = "provide either a CA file or the PEM-encoded string, but not both";
    assert!(problems::<TlsClient>("{ca_file: a, ca_pem: b}").iter().any(|found| found.ends_with(text)));
    assert!(problems::<TlsClient>("{min_version: '1.4'}")[0].contains("unsupported TLS version: \"1.4\""));
    assert!(decoded::<TlsClient>("insecure: true").0.is_plain());
    assert!(!decoded::<TlsClient>("{insecure: true, ca_file: a}").0.is_plain());
}

#[test]
fn endpoints_need_a_port() {
    assert!(problems::<GrpcServer>("endpoint: localhost:4317").is_empty());
    assert!(problems::<GrpcServer>("endpoint: localhost:x")[0].contains("invalid port \"x\""));
    assert!(problems::<GrpcServer>("transport: unix")[0].contains("unix socket path cannot be empty"));
    for good in ["localhost:1", "http://localhost:1", "https://a.b:1/", "dns:///a:1", "unix:///tmp/x", "https://a"] {
        assert_eq!(problems::<GrpcClient>(&format!("endpoint: {good}")), [""; 0], "{good}");
    }
    assert!(problems::<GrpcClient>("endpoint: localhost")[0].contains("missing port"));
    assert!(problems::<GrpcClient>("balancer_name: x")[0].contains("invalid balancer_name: x"));
    assert!(problems::<GrpcServer>("max_recv_msg_size_mib: 3000")[0].contains("must be between 1 and"));
}

#[test]
fn bounds_of_connections_have_to_make_sense() {
    let good = "{max_connections: 10, max_connections_per_ip: 10, trusted_proxies: [10.0.0.0/8, '::1']}";
    let over = "{max_connections: 10, max_connections_per_ip: 11}";
    let odd = "trusted_proxies: [10.0.0.1, 10.0.0.0/33]";
    assert_eq!(problems::<GrpcServer>(good), [""; 0]);
    assert_eq!(problems::<HttpServer>(good), [""; 0]);
    for problems in [problems::<GrpcServer> as fn(&str) -> Vec<String>, problems::<HttpServer>] {
        assert_eq!(problems("max_connections_per_ip: 10000"), [""; 0], "fewer than those in all are said by these");
        assert!(problems(over)[0].contains("max_connections_per_ip must not be over max_connections (10)"));
        assert!(problems(odd)[0].contains("invalid address or CIDR block \"10.0.0.0/33\""));
    }
}

#[test]
fn the_scheme_decides_on_tls() {
    let plain = |yaml: &str| decoded::<GrpcClient>(yaml).0.is_plain();
    assert!(plain("endpoint: http://a:1"));
    assert!(!plain("endpoint: a:1"));
    assert!(plain("{endpoint: 'a:1', tls: {insecure: true}}"));
    assert!(!plain("{endpoint: 'https://a:1', tls: {insecure: true}}"));
    assert_eq!(decoded::<GrpcClient>("endpoint: dns:///a:1").0.target(), "a:1");
}

#[test]
fn a_tls_block_reaches_the_network_whole() {
    let material = TlsMaterial {
        ca_file: "/ca".to_owned(),
        cert_pem: Secret::new("cert"),
        key_file: "/key".to_owned(),
        min_version: "1.3".to_owned(),
        cipher_suites: vec!["TLS_AES_128_GCM_SHA256".to_owned()],
        curve_preferences: vec!["X25519".to_owned()],
        include_system_ca_certs_pool: true,
        ..TlsMaterial::default()
    };
    let client = TlsClient {
        material: material.clone(),
        insecure_skip_verify: true,
        server_name_override: "name".to_owned(),
        ..TlsClient::default()
    };
    let settings = client.settings();
    assert!(settings.insecure_skip_verify && !settings.insecure);
    assert_eq!(settings.server_name_override.as_deref(), Some("name"));
    let server = TlsServer { material, client_ca_file: "/clients".to_owned(), ..TlsServer::default() };
    assert_eq!(server.settings().client_ca_file, Some("/clients".into()));
    assert_eq!(server.settings().common, settings.common);
    let (named, _) =
        decoded::<TlsServer>("{client_auth: optional, allowed_sans: [a], allowed_spiffe_ids: [b], crl_file: c}");
    let named = named.settings();
    assert_eq!(named.client_auth, Some(sluice_net::tls::ClientAuth::Optional));
    assert_eq!((named.allowed_sans, named.allowed_spiffe_ids), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(named.crl_file, Some("c".into()));
    let common = settings.common;
    assert_eq!((common.ca_file, common.ca_pem), (Some("/ca".into()), None), "what is empty is not set");
    assert_eq!((common.cert_file, common.cert_pem.as_deref()), (None, Some("cert")));
    assert_eq!((common.key_file, common.key_pem), (Some("/key".into()), None));
    assert_eq!((common.min_version.as_deref(), common.max_version), (Some("1.3"), None));
    assert_eq!((common.cipher_suites.len(), common.curve_preferences.len()), (1, 1));
    assert!(common.include_system_ca_certs_pool);
    assert_eq!(common.reload_interval, None);
}
