//! Which tokens are let in, and what is said of a config.

use std::sync::Arc;

use sluice_config::{Args, FixedSources, Secret, resolve};
use sluice_pipeline::clock::VirtualClock;
use sluice_pipeline::context::Tenant;
use sluice_pipeline::extension::HeaderSource;
use sluice_pipeline::factory::Registry;

use super::*;

/// Headers of a request.
struct Sent<'h>(&'h [(&'h str, &'h str)]);

impl HeaderSource for Sent<'_> {
    fn values(&self, name: &str) -> Vec<&str> {
        let same = self.0.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        same.map(|(_, value)| *value).collect()
    }
}

fn shown(auth: &BearerTokenAuth, headers: &[(&str, &str)]) -> Result<Principal, Denied> {
    auth.bearer.verify(AuthRequest { peer: None, headers: &Sent(headers), certificates: &[], penalised: false })
}

fn extension(config: Config) -> BearerTokenAuth {
    BearerTokenAuth::new(config, "bearertokenauth/x", Arc::new(VirtualClock::default())).unwrap()
}

fn decode(config: &str) -> Result<Vec<String>, Vec<String>> {
    let sources = FixedSources::default().file("a.yaml", format!("it: {config}\n").as_str());
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let document = resolve(&args, &sources).unwrap();
    let mut registry = Registry::<Extensions>::new();
    crate::register(&mut registry);
    let texts = |found: &[sluice_config::Diagnostic]| found.iter().map(ToString::to_string).collect();
    match registry.decode("bearertokenauth", document.root.get("it").unwrap()).unwrap() {
        Ok(configured) => Ok(texts(&configured.warnings)),
        Err(found) => Err(texts(&found)),
    }
}

#[test]
fn mistakes_are_told_in_upstreams_words_and_without_the_token() {
    assert_eq!(decode("{token: s3cret}"), Ok(Vec::new()));
    assert_eq!(decode("{filename: /etc/token, scheme: '', header: X-Token}"), Ok(Vec::new()));
    for (config, said) in [
        ("{}", "no bearer token provided"),
        ("{token: s3cret, tokens: [s3cret]}", "either tokens or token should be set, not both"),
        ("{tokens: [s3cret, '']}", "must not be empty"),
        ("{token: s3cret, header: 'no header'}", "invalid header name"),
        ("{token: s3cret, scheme: 'two words'}", "one word"),
        ("{token: s3cret, scopes: [write:everything]}", "unknown scope"),
    ] {
        let found = decode(config).unwrap_err().join("\n");
        assert!(found.contains(said) && !found.contains("s3cret"), "{config}: {found}");
    }
    assert!(decode("{token: s3cret, filename: /etc/token}").unwrap()[0].contains("W0518"));
}

#[test]
fn a_token_is_right_or_wrong_and_the_case_of_the_scheme_does_not_matter() {
    let auth = extension(Config { tokens: vec![Secret::new("one"), Secret::new("two")], ..Config::default() });
    for (value, outcome) in [
        ("Bearer one", Ok(())),
        ("bearer two", Ok(())),
        ("BEARER  two", Ok(())),
        ("Bearer three", Err(Denied::Wrong)),
        ("Bearer on", Err(Denied::Wrong)),
        ("Bearer onetwo", Err(Denied::Wrong)),
        ("Bearer one ", Err(Denied::Wrong)),
        ("Bearer ", Err(Denied::Malformed)),
        ("Bearerone", Err(Denied::Malformed)),
        ("Basic one", Err(Denied::Malformed)),
        ("one", Err(Denied::Malformed)),
        ("", Err(Denied::Missing)),
    ] {
        assert_eq!(shown(&auth, &[("authorization", value)]).map(drop), outcome, "{value:?}");
    }
    assert_eq!(shown(&auth, &[]), Err(Denied::Missing));
    assert_eq!(
        shown(&auth, &[("authorization", "Bearer one"), ("Authorization", "Bearer one")]),
        Err(Denied::Repeated)
    );
    let bare = extension(Config {
        token: Secret::new("one"),
        scheme: String::new(),
        header: "X-Token".to_owned(),
        ..Config::default()
    });
    assert!(shown(&bare, &[("x-token", "one")]).is_ok());
    assert_eq!(shown(&bare, &[("authorization", "one")]), Err(Denied::Missing));
}

#[test]
fn digests_say_who_it_is_and_what_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hashes");
    // `printf %s agent-token | sha256sum`.
    let hex = "eb47b9ce4840a5b3ea138b8691253b78035b9289d9014409067e9844c272ef99";
    std::fs::write(&path, format!("# agents\n{hex} subject=agent tenant=shop scopes=write:logs,tenant:any\n\n"))
        .unwrap();
    let auth = extension(Config { token_hashes_file: Some(path.clone()), ..Config::default() });
    let principal = shown(&auth, &[("authorization", "Bearer agent-token")]).unwrap();
    assert_eq!(&*principal.identity.subject, "agent");
    assert_eq!(principal.tenant, Some(Tenant::new("shop")));
    assert!(principal.identity.has_scope("write:logs") && principal.identity.has_scope("tenant:any"));
    assert!(!principal.identity.has_scope("write:traces"));
    assert!(auth.client_auth().is_none(), "a digest cannot be sent");
    for (line, said) in [
        ("c1dd", "line 1: does not begin with 64"),
        (&format!("{hex} scopes=all"), "line 1: unknown scope"),
        (&format!("{hex} agent"), "only subject="),
        ("# nobody", "no bearer token provided"),
    ] {
        std::fs::write(&path, line).unwrap();
        let config = Config { token_hashes_file: Some(path.clone()), ..Config::default() };
        let refused = BearerTokenAuth::new(config, "x", Arc::new(VirtualClock::default()));
        let error = refused.err().unwrap().to_string();
        assert!(error.contains(said), "{line}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_changes_brings_other_tokens_and_a_broken_one_leaves_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "first\nsecond\n").unwrap();
    let auth = extension(Config { filename: Some(path), ..Config::default() });
    let right = |token: &str| shown(&auth, &[("authorization", &format!("Bearer {token}"))]).is_ok();
    assert!(right("first") && right("second"));
    auth.bearer.take(&vec![Secret::new("third\n")]).unwrap();
    assert!(right("third") && !right("first"));
    assert!(auth.bearer.take(&vec![Secret::new("\n")]).is_err());
    assert!(right("third"));
    let headers = auth.client_auth().unwrap().headers(&nobody()).await.unwrap();
    assert_eq!((headers[0].0.as_str(), headers[0].1.expose()), ("Authorization", "Bearer third"));
    assert!(!format!("{headers:?}").contains("third"));
}

/// Where data comes from that the collector makes itself.
fn nobody() -> Context {
    Context::internal(sluice_pipeline::ComponentId::from("test"), sluice_pipeline::context::Arrival::default())
}
