//! Which passwords are let in, what is believed and for how long, and what is said of a config.

use std::time::Duration;

use sluice_config::{Args, FixedSources, resolve};
use sluice_pipeline::clock::VirtualClock;
use sluice_pipeline::extension::HeaderSource;
use sluice_pipeline::factory::Registry;

use super::*;

/// Of `canary-pass`, by another implementation (libxcrypt).
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuubC196syqc6uJlI1sIoDtWoGsUpRW2dO";
/// Of `password`: a test vector of the reference implementation.
const ARGON2ID: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

struct Sent<'h>(&'h [&'h str]);

impl HeaderSource for Sent<'_> {
    fn values(&self, name: &str) -> Vec<&str> {
        if name.eq_ignore_ascii_case("authorization") { self.0.to_vec() } else { Vec::new() }
    }
}

fn server(inline: &str, weak: bool, clock: &VirtualClock) -> Arc<Server> {
    let source = Htpasswd { inline: Secret::new(inline), ..Htpasswd::default() };
    let config = Config { htpasswd: Some(source), allow_weak_hashes: weak, ..Config::default() };
    match BasicAuth::new(config, "basicauth", Arc::new(clock.clone())).unwrap().side {
        Side::Server(server) => server,
        Side::Client(_) => panic!("a client"),
    }
}

async fn shown(server: &Server, values: &[&str], penalised: bool) -> Result<Principal, Denied> {
    server.verify(AuthRequest { peer: None, headers: &Sent(values), certificates: &[], penalised }).await
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn decode(config: &str) -> Result<Vec<String>, Vec<String>> {
    let config = format!("it: {}\n", config.replace('$', "$$"));
    let sources = FixedSources::default().file("a.yaml", config.as_str());
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let document = resolve(&args, &sources).unwrap();
    let mut registry = Registry::<Extensions>::new();
    crate::register(&mut registry);
    let texts = |found: &[sluice_config::Diagnostic]| found.iter().map(ToString::to_string).collect();
    match registry.decode("basicauth", document.root.get("it").unwrap()).unwrap() {
        Ok(configured) => Ok(texts(&configured.warnings)),
        Err(found) => Err(texts(&found)),
    }
}

#[test]
fn mistakes_are_told_and_no_hash_or_password_with_them() {
    assert_eq!(decode(&format!("{{htpasswd: {{inline: 'joe:{BCRYPT}'}}}}")), Ok(Vec::new()));
    assert_eq!(decode(&format!("{{htpasswd: {{inline: 'joe:{ARGON2ID}'}}}}")), Ok(Vec::new()));
    assert_eq!(decode("{allow_weak_hashes: true, htpasswd: {inline: 'joe:s3cret'}}"), Ok(Vec::new()));
    assert_eq!(decode("{client_auth: {username: joe, password: s3cret}}"), Ok(Vec::new()));
    for (config, said) in [
        ("{}", "no credential source provided"),
        ("{htpasswd: {}}", "no credential source provided"),
        ("{htpasswd: {file: /x}, client_auth: {username: x}}", "only one of `htpasswd` or `client_auth`"),
        ("{htpasswd: {inline: 's3cret'}}", "line 1: expected `user:hash`"),
        ("{htpasswd: {inline: 'joe:s3cret'}}", "line 1: user \"joe\": the password must be hashed with bcrypt"),
        ("{htpasswd: {inline: 'joe:{SHA}s3cret'}}", "must be hashed with bcrypt"),
        ("{htpasswd: {inline: 'joe:$apr1$s3cret'}, allow_weak_hashes: true}", "must be hashed with bcrypt"),
        ("{htpasswd: {inline: 'joe:$2y$31$s3cret'}}", "a bcrypt cost over 16"),
        ("{htpasswd: {inline: 'joe:$2y$05$s3cret'}}", "not a bcrypt hash"),
        ("{htpasswd: {inline: 'joe:$argon2id$s3cret'}}", "not an argon2id hash"),
        ("{client_auth: {password: s3cret}}", "`username` or `username_file` must be set"),
        ("{client_auth: {username: 'a:b', password: s3cret}}", "must not contain a colon"),
    ] {
        let found = decode(config).unwrap_err().join("\n");
        assert!(found.contains(said) && !found.contains("s3cret"), "{config}: {found}");
    }
    let large = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert!(htpasswd::parse(&format!("joe:{large}"), false).unwrap_err().contains("256 MiB"));
}

#[tokio::test]
async fn passwords_of_every_kind_are_verified() {
    let clock = VirtualClock::default();
    let users = format!("joe:{BCRYPT}\nann:{ARGON2ID}\nsha:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nraw:in the clear\n");
    let server = server(&users, true, &clock);
    for (name, password) in [("joe", "canary-pass"), ("ann", "password"), ("sha", "password"), ("raw", "in the clear")]
    {
        let principal = shown(&server, &[&basic(name, password)], false).await.unwrap();
        assert_eq!(&*principal.identity.subject, name);
        assert_eq!(principal.identity.attributes, [("username".into(), name.into())]);
        assert_eq!(shown(&server, &[&basic(name, "wrong")], false).await, Err(Denied::Wrong));
        assert_eq!(shown(&server, &[&basic(name, "")], false).await, Err(Denied::Wrong));
    }
    assert_eq!(shown(&server, &[&basic("nobody", "canary-pass")], false).await, Err(Denied::Wrong));
    let right = basic("joe", "canary-pass");
    assert_eq!(shown(&server, &[&right, &right], false).await, Err(Denied::Repeated));
    assert_eq!(shown(&server, &[], false).await, Err(Denied::Missing));
    assert_eq!(shown(&server, &["Basic %%%"], false).await, Err(Denied::Malformed));
    assert_eq!(shown(&server, &[&format!("Basic {}", STANDARD.encode("joe"))], false).await, Err(Denied::Malformed));
    assert!(shown(&server, &[&right.replace("Basic", "bASIC")], false).await.is_ok());
}

#[tokio::test]
async fn a_right_password_is_believed_for_five_minutes_and_not_after_a_change() {
    let clock = VirtualClock::default();
    let server = server(&format!("joe:{BCRYPT}"), false, &clock);
    let right = basic("joe", "canary-pass");
    // A penalised address pays nothing, so it shows what is believed.
    assert_eq!(shown(&server, &[&right], true).await, Err(Denied::Wrong));
    assert!(shown(&server, &[&right], false).await.is_ok());
    assert!(shown(&server, &[&right], true).await.is_ok());
    assert_eq!(shown(&server, &[&basic("joe", "wrong")], true).await, Err(Denied::Wrong));
    clock.advance(Duration::from_secs(299));
    assert!(shown(&server, &[&right], true).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(shown(&server, &[&right], true).await, Err(Denied::Wrong));
    assert!(shown(&server, &[&right], false).await.is_ok());
    server.users.set(users_of(&server.config, &Vec::new()).unwrap());
    assert_eq!(shown(&server, &[&right], true).await, Err(Denied::Wrong), "other users, other beliefs");
}

#[tokio::test]
async fn users_have_tenants_and_scopes_of_their_own() {
    let mut config = Config { tenant: "all".to_owned(), ..Config::default() };
    config
        .users
        .insert("joe".to_owned(), User { tenant: "shop".to_owned(), scopes: Some(vec!["write:logs".to_owned()]) });
    let (joe, ann) = (config.grant("joe"), config.grant("ann"));
    assert_eq!(joe.tenant.as_ref().map(|tenant| tenant.name()), Some("shop"));
    assert_eq!(joe.scopes, ["write:logs".into()]);
    assert_eq!(ann.tenant.as_ref().map(|tenant| tenant.name()), Some("all"));
    assert_eq!(ann.scopes.len(), 3);
}

#[tokio::test]
async fn a_client_shows_what_its_files_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "s3cret\n").unwrap();
    let client = Client { username: "joe".to_owned(), password_file: Some(path), ..Client::default() };
    let config = Config { client_auth: Some(client), ..Config::default() };
    let auth = BasicAuth::new(config, "basicauth", Arc::new(VirtualClock::default())).unwrap();
    assert!(auth.server_auth().is_none());
    let value = || async { auth.client_auth().unwrap().headers(&nobody()).await.unwrap()[0].1.expose().to_owned() };
    assert_eq!(value().await, basic("joe", "s3cret"));
    auth.side.take(&vec![Secret::new("other")]).unwrap();
    assert_eq!(value().await, basic("joe", "other"));
}

/// Where data comes from that the collector makes itself.
fn nobody() -> Context {
    Context::internal(sluice_pipeline::ComponentId::from("test"), sluice_pipeline::context::Arrival::default())
}
