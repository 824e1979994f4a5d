//! Upstream's settings become a journal's.

use std::path::Path;

use sluice_config::{Args, FixedSources, resolve};
use sluice_pipeline::factory::{Extensions, Registry};

use super::*;

fn decode(config: &str) -> Result<Vec<String>, Vec<String>> {
    let sources = FixedSources::default().file("a.yaml", format!("storage: {config}\n").as_str());
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let document = resolve(&args, &sources).unwrap();
    let mut registry = Registry::<Extensions>::new();
    crate::register(&mut registry);
    let texts = |found: &[sluice_config::Diagnostic]| found.iter().map(ToString::to_string).collect();
    match registry.decode("file_storage", document.root.get("storage").unwrap()).unwrap() {
        Ok(configured) => Ok(texts(&configured.warnings)),
        Err(found) => Err(texts(&found)),
    }
}

#[test]
fn what_upstream_takes_is_taken() {
    let upstream =
        "{directory: /var/lib/otelcol/mydir, timeout: 1s, create_directory: true, directory_permissions: '0700',
        compaction: {on_start: true, directory: /tmp/, max_transaction_size: 65536}, fsync: true, recreate: true}";
    assert_eq!(decode(upstream), Ok(Vec::new()));
    let found = decode("{fsync: false}").unwrap();
    assert!(found.len() == 1 && found[0].contains("N0602") && found[0].contains("a.yaml:1:18"), "{found:?}");
    assert!(decode("{directory: here}").unwrap_err()[0].contains("absolute"));
    assert!(decode("{direktory: /x}").is_err());
}

#[test]
fn the_journal_is_inside_and_the_directory_is_made_only_on_request() {
    let mut config = Config { directory: Some("/data".into()), ..Config::default() };
    let settings = config.settings();
    assert_eq!(settings.directory.as_deref(), Some(Path::new("/data/sluice.journal")));
    assert_eq!(settings.must_exist.as_deref(), Some(Path::new("/data")));
    config.create_directory = true;
    assert_eq!(config.settings().must_exist, None);
}

#[test]
fn files_of_another_collector_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sluice.journal")).unwrap();
    assert!(foreign(folder.path()).is_empty());
    std::fs::write(folder.path().join("exporter_otlp__traces"), b"bbolt").unwrap();
    assert_eq!(foreign(folder.path()), ["exporter_otlp__traces"]);
}
