use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_config::{Diagnostic, Problems, parse};
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::VirtualClock;
use sluice_pipeline::context::{Arrival, Identity, Metadata, MetadataKeys, Tenant};
use sluice_pipeline::factory::Validate as _;
use sluice_pipeline::rng::SplitMix;
use sluice_pipeline::telemetry::Telemetry;

use super::*;

struct Token;

impl Component for Token {}

impl Extension for Token {
    fn client_auth(&self) -> Option<Arc<dyn ClientAuth>> {
        Some(Arc::new(Token))
    }
}

impl ClientAuth for Token {
    fn headers<'a>(&'a self, _: &'a Context) -> BoxFuture<'a, Result<Vec<(String, Secret)>, NoCredentials>> {
        Box::pin(std::future::ready(Ok(vec![("Authorization".to_owned(), Secret::new("Bearer t"))])))
    }

    fn metadata_keys(&self) -> Vec<String> {
        vec!["inner".to_owned()]
    }
}

fn decoded(yaml: &str) -> Result<Config, String> {
    let node = parse(yaml.as_bytes()).unwrap();
    let texts = |found: Vec<Diagnostic>| found.into_iter().map(|it| it.message).collect::<Vec<_>>().join("\n");
    let config: Config = sluice_config::decode(&node).map_err(texts)?;
    let mut problems = Problems::new(&node);
    config.validate("", &mut problems);
    problems.finish().map_err(texts)?;
    Ok(config)
}

fn built(config: &Config) -> Result<HeadersSetter, Error> {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::default());
    let token: Arc<dyn Extension> = Arc::new(Token);
    let extensions = BTreeMap::from([(ComponentId::from("token"), token)]);
    let environment = Environment {
        id: ComponentId::new("headers_setter", ""),
        signals: Arc::from([]),
        pipeline: None,
        pipelines: Arc::from([]),
        memory: MemBudget::new(1 << 20, Arc::clone(&clock)),
        clock,
        rng: Arc::new(SplitMix::seeded(1)),
        telemetry: Telemetry::new(),
        extensions: sluice_pipeline::extension::Extensions::new(extensions),
        verdicts: sluice_pipeline::verdict::VerdictBoard::default(),
        gates: Default::default(),
    };
    HeadersSetter::new(config, &environment)
}

/// Of a request with those headers, by an authenticated sender or not.
fn context(config: &Config, headers: &[(&str, &str)], is_known: bool) -> Context {
    let keys = HeadersSetterFactory.metadata_keys(config);
    let keys = MetadataKeys::new(keys.iter().map(String::as_str));
    let identity = Identity {
        subject: "joe".into(),
        scopes: Vec::new(),
        attributes: vec![("auth.claims.team".into(), "blue".into())],
    };
    let identity = is_known.then_some(identity);
    let metadata = Metadata::of_request(&keys, headers.iter().copied(), identity.as_ref());
    let tenant = if is_known { Tenant::new("shop") } else { Tenant::default() };
    Context { metadata, identity, tenant, ..Context::internal(ComponentId::new("otlp", ""), Arrival::default()) }
}

/// The headers that are set, as `name: value`.
async fn set(yaml: &str, headers: &[(&str, &str)], is_known: bool) -> Result<Vec<String>, NoCredentials> {
    let config = decoded(yaml).unwrap_or_else(|found| panic!("{yaml}\n{found}"));
    let auth = built(&config).unwrap().client_auth().unwrap();
    let pairs = auth.headers(&context(&config, headers, is_known)).await?;
    Ok(pairs.into_iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect())
}

#[tokio::test]
async fn headers_are_set_as_upstream_does() {
    let tenant = [("X-Tenant", "acme"), ("other", "x")];
    type Sent = [(&'static str, &'static str)];
    let cases: [(&str, &Sent, &[&str]); 12] = [
        ("[{key: A, value: one}]", &[], &["A: one"]),
        ("[{key: A, value: one}, {key: a, value: two}]", &[], &["A: two"]),
        ("[{action: insert, key: A, value: one}, {action: insert, key: A, value: two}]", &[], &["A: one"]),
        ("[{action: update, key: A, value: one}]", &[], &[]),
        ("[{key: A, value: one}, {action: update, key: A, value: two}]", &[], &["A: two"]),
        ("[{key: A, value: one}, {key: B, value: b}, {action: delete, key: a}]", &[], &["B: b"]),
        ("[{action: upsert, key: X-Scope-OrgID, from_context: x-tenant}]", &tenant, &["X-Scope-OrgID: acme"]),
        ("[{key: X-Scope-OrgID, from_context: x-tenant, default_value: all}]", &tenant, &["X-Scope-OrgID: acme"]),
        ("[{key: X-Scope-OrgID, from_context: x-tenant, default_value: all}]", &[], &["X-Scope-OrgID: all"]),
        ("[{key: X-Scope-OrgID, from_context: x-tenant}]", &[], &[]),
        ("[{key: A, from_context: x-tenant, default_value: all}]", &[("x-tenant", "")], &["A: all"]),
        ("[{key: A, from_attribute: subject, default_value: nobody}]", &[], &["A: nobody"]),
    ];
    for (headers, sent, expected) in cases {
        assert_eq!(set(&format!("headers: {headers}"), sent, false).await.unwrap(), expected, "{headers}");
    }
    let of_sender = "headers: [{key: A, from_attribute: subject}, {key: B, from_attribute: auth.claims.team}, {key: C, from_attribute: tenant}]";
    assert_eq!(set(of_sender, &[], true).await.unwrap(), ["A: joe", "B: blue", "C: shop"]);
    let more = "headers: [{key: A, value: one}, {key: authorization, value: x}]\nadditional_auth: token";
    assert_eq!(set(more, &[], false).await.unwrap(), ["A: one", "authorization: x", "Authorization: Bearer t"]);
}

#[tokio::test]
async fn a_header_that_came_twice_is_no_value() {
    let twice = [("x-tenant", "a"), ("X-Tenant", "b")];
    let error = set("headers: [{key: A, from_context: X-Tenant}]", &twice, false).await.unwrap_err();
    let said = "\"X-Tenant\": 2 source keys found in the context, can't determine which one to use";
    assert_eq!(error, NoCredentials::ForThis(said.to_owned()));
}

#[test]
fn what_values_come_from_keeps_batches_apart() {
    let config = decoded(
        "headers: [{key: A, from_context: X-Tenant}, {key: B, from_attribute: subject}, {key: C, value: c}, {key: D, from_attribute: tenant}]\nadditional_auth: token",
    );
    let config = config.unwrap();
    assert_eq!(HeadersSetterFactory.metadata_keys(&config), ["x-tenant", "auth:subject"]);
    let auth = built(&config).unwrap().client_auth().unwrap();
    assert_eq!(auth.metadata_keys(), ["x-tenant", "auth:subject", "inner"]);
}

#[tokio::test]
async fn a_value_may_stand_in_a_file_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("value");
    std::fs::write(&path, "first\n").unwrap();
    let yaml = format!("headers: [{{key: A, value: a}}, {{key: B, value_file: {}}}]", path.display());
    let config = decoded(&yaml).unwrap();
    let setter = built(&config).unwrap();
    let auth = setter.client_auth().unwrap();
    let context = context(&config, &[], false);
    let value = || async { auth.headers(&context).await.unwrap()[1].1.expose().to_owned() };
    assert_eq!(value().await, "first");
    setter.setter.files.set(trimmed(&vec![Secret::new("second\n")]));
    assert_eq!(value().await, "second");
}

#[test]
fn what_is_wrong_is_said_in_upstreams_words() {
    let cases = [
        ("{}", "missing headers configuration"),
        ("headers: [{value: x}]", "missing header name"),
        (
            "headers: [{key: A}]",
            "missing header source, must be 'from_context', 'from_attribute', 'value', or 'value_file'",
        ),
        (
            "headers: [{key: A, value: x, from_context: y}]",
            "invalid header source, must be only one of 'from_context', 'from_attribute', 'value', or 'value_file'",
        ),
        ("headers: [{key: A, action: set, value: x}]", "unknown action \"set\""),
        ("headers: [{key: 'a b', value: x}]", "invalid header name \"a b\""),
        ("headers: [{key: Content-Length, value: x}]", "\"Content-Length\" is the exporter's to set"),
        ("headers: [{key: A, from_context: Authorization}]", "is a credential: it is not kept"),
        ("headers: [{key: A, from_attribute: raw}]", "\"raw\" is the credential itself"),
    ];
    for (yaml, expected) in cases {
        let error = decoded(yaml).err().unwrap_or_else(|| panic!("{yaml} is accepted"));
        assert!(error.contains(expected), "{yaml}: {error}");
    }
    let config = decoded("headers: [{key: A, value: x}]\nadditional_auth: nobody").unwrap();
    let error = built(&config).err().unwrap().to_string();
    assert!(error.contains("authenticator not found"), "{error}");
}
