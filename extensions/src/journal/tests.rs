//! Decoding, bounds, and the settings that come out.

use std::path::Path;
use std::time::Duration;

use sluice_config::{Args, FixedSources, resolve};
use sluice_pipeline::factory::{Extensions, Registry};

use super::*;

/// The messages about a config, each with the line and column it is about.
fn problems(yaml: &str) -> Vec<String> {
    let sources = FixedSources::default().file("a.yaml", yaml);
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    let document = resolve(&args, &sources).unwrap();
    let mut registry = Registry::<Extensions>::new();
    crate::register(&mut registry);
    let node = document.root.get("journal").unwrap();
    match registry.decode("journal", node).unwrap() {
        Ok(configured) => configured.warnings.iter().map(ToString::to_string).collect(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_is_out_of_bounds_is_named_with_its_place() {
    let cases = [
        ("{}", None),
        ("{directory: /var/lib/x, max_size: 1GiB, segment_size: 32MiB, compression: zstd, detach_grace: 1h}", None),
        ("{directory: relative}", Some(("absolute", "a.yaml:1:22"))),
        ("{max_size: 100MiB}", Some(("at least 256MiB", "a.yaml:1:21"))),
        ("{segment_size: 4MiB}", Some(("8MiB", "a.yaml:1:25"))),
        ("{max_size: 256MiB, segment_size: 64MiB}", Some(("sixteenth", "a.yaml:1:43"))),
        ("{compression: gzip}", Some(("gzip", "a.yaml:1:24"))),
        ("{dir: /x}", Some(("dir", "a.yaml:1:11"))),
    ];
    for (config, expected) in cases {
        let found = problems(&format!("journal: {config}\n"));
        match expected {
            None => assert!(found.is_empty(), "{config}: {found:?}"),
            Some((text, place)) => {
                assert_eq!(found.len(), 1, "{config}: {found:?}");
                assert!(found[0].contains(text) && found[0].contains(place), "{config}: {found:?}");
            }
        }
    }
}

#[test]
fn settings_are_what_is_written() {
    let config = Config {
        directory: Some("/x".into()),
        max_size: Some(sluice_config::ByteSize(1 << 30)),
        compression: Compression::Zstd,
        detach_grace: Some(sluice_config::GoDuration::from_secs(60)),
        ..Config::default()
    };
    let settings = config.settings();
    assert_eq!(settings.directory.as_deref(), Some(Path::new("/x")));
    assert_eq!((settings.max_size, settings.segment_size, settings.compress), (Some(1 << 30), None, true));
    assert_eq!(settings.detach_grace, Some(Duration::from_secs(60)));
}
