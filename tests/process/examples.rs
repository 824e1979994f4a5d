//! What the documentation shows works: example configurations start, and the pages' blocks are valid.

use std::path::{Path, PathBuf};

use crate::sluice::{Sluice, root, run, text};
use crate::wire::{frame, grpc};

pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
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

/// The ```yaml blocks of a page that configure pipelines, made whole: a block of one section gets the rest around it.
pub fn configurations(page: &str) -> Vec<String> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter_map(whole).collect()
}

fn whole(block: &str) -> Option<String> {
    if block.lines().any(|line| line == "service:") {
        return Some(block.to_owned());
    }
    let (section, _) = block.split_once(":\n")?;
    let ids: Vec<_> = block.lines().filter_map(id).collect();
    let (ids, otlp, nop) = (ids.join(", "), "receivers: {otlp: {protocols: {grpc: }}}\n", "exporters: {nop: }\n");
    let (rest, receivers, processors, exporters) = match section {
        "receivers" => (nop.to_owned(), ids.as_str(), "", "nop"),
        "processors" => ([otlp, nop].concat(), "otlp", ids.as_str(), "nop"),
        "exporters" => (otlp.to_owned(), "otlp", "", ids.as_str()),
        _ => return None,
    };
    let lists = format!("receivers: [{receivers}], processors: [{processors}], exporters: [{exporters}]");
    Some(format!("{block}\n{rest}service: {{pipelines: {{metrics: {{{lists}}}}}}}\n"))
}

/// The id that a line of a section begins.
fn id(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("  ")?.split_once(':')?;
    id.starts_with(|first: char| first.is_ascii_lowercase()).then_some(id)
}

#[test]
fn every_configuration_in_the_documentation_passes_check() {
    let mut pages = files(&root().join("docs/components"), "md");
    pages.extend(
        ["README.md", "docs/connections.md", "docs/delivery.md", "docs/destinations.md"].map(|page| root().join(page)),
    );
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
fn every_component_has_a_page_with_an_example() {
    let listed = text(&run(&["components"]).stdout);
    let pages = root().join("docs/components");
    let mut kind = "";
    for line in listed.lines() {
        if let Some(section) = line.strip_suffix("s:") {
            kind = section;
        }
        let Some(name) = line.strip_prefix("  - name: ") else { continue };
        let names = [format!("{name}.md"), format!("{name}_{kind}.md")];
        let mut contents = names.iter().filter_map(|file| std::fs::read_to_string(pages.join(file)).ok());
        let content = contents.next().unwrap_or_else(|| panic!("docs/components has no page for {kind} {name}"));
        // An example is one that has the component; that it passes `check` is tested above.
        let has = |yaml: &String| {
            let tree = sluice_config::parse(yaml.as_bytes()).unwrap();
            let section = tree.get(&format!("{kind}s")).and_then(sluice_config::Node::as_map);
            section.is_some_and(|ids| ids.keys().any(|id| id.split('/').next() == Some(name)))
        };
        assert!(configurations(&content).iter().any(has), "{kind} {name}: no configuration with it on its page");
    }
}
