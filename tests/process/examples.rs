//! What the documentation shows works: example configurations start, and the pages' blocks are valid.

use std::path::{Path, PathBuf};

use crate::sluice::{Sluice, root, run, text};
use crate::wire::{frame, grpc};

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == extension)).collect();
    found.sort();
    found
}

#[test]
fn the_example_configurations_pass_check_and_start() {
    let examples = files(&root().join("configs"), "yaml");
    let names: Vec<_> = examples.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["agent.yaml", "companion.yaml", "gateway.yaml"]);
    for path in &examples {
        let path = path.to_str().unwrap();
        let output = run(&["check", "-c", path]);
        assert_eq!(output.status.code(), Some(0), "{path}: {}", text(&output.stderr));
        let sluice = Sluice::start(&["-c", path]);
        let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
        assert_eq!(grpc(sluice.grpc, metrics, &[], &frame(b"")).code, 0, "{path}");
        sluice.signal("TERM");
        let (status, log, _) = sluice.end();
        assert_eq!(status.code(), Some(0), "{path}: {log}");
    }
}

/// The ```yaml blocks of a page that are whole configurations.
fn configurations(page: &str) -> Vec<&str> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter(|block| block.starts_with("receivers:") || block.contains("\nservice:")).collect()
}

#[test]
fn every_whole_configuration_in_the_documentation_passes_check() {
    let mut pages = files(&root().join("docs/components"), "md");
    pages.push(root().join("README.md"));
    let mut checked = 0;
    for page in pages {
        let content = std::fs::read_to_string(&page).unwrap();
        for block in configurations(&content) {
            let output = run(&["check", "-c", &format!("yaml:{block}")]);
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{}:\n{block}\n{errors}", page.display());
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} configurations found");
}

#[test]
fn every_component_has_a_page_with_a_whole_configuration() {
    let listed = text(&run(&["components"]).stdout);
    let names = listed.lines().filter_map(|line| line.strip_prefix("  - name: "));
    let pages = root().join("docs/components");
    for name in names {
        let content = ["", "_receiver", "_exporter", "_processor"]
            .iter()
            .filter_map(|suffix| std::fs::read_to_string(pages.join(format!("{name}{suffix}.md"))).ok())
            .next();
        let content = content.unwrap_or_else(|| panic!("docs/components has no page for {name}"));
        assert!(!configurations(&content).is_empty(), "{name}: no whole configuration on its page");
    }
}
