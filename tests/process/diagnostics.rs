//! What `check` says about mistakes: a golden report for each in `tests/diagnostics`, and the pages of all codes.
//! `UPDATE_GOLDEN=1` writes the reports anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::sluice::{root, text};

/// Never to be seen in any report.
const CANARY: &str = "canary-secret";

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == extension)).collect();
    found.sort();
    found
}

/// `sluice check` in the folder of the case, with the variables that cases name, and with what its lines `# set:` and `# args:`
/// ask for.
fn check(case: &Path, arguments: &[&str]) -> Output {
    let yaml = String::from_utf8_lossy(&std::fs::read(case).unwrap()).into_owned();
    let sets = yaml.lines().filter_map(|line| line.strip_prefix("# set: ")).flat_map(|set| ["--set", set]);
    let flags = yaml.lines().filter_map(|line| line.strip_prefix("# args: ")).flat_map(str::split_whitespace);
    Command::new(env!("CARGO_BIN_EXE_sluice"))
        .current_dir(case.parent().unwrap())
        .args(["check", "-c", case.file_name().unwrap().to_str().unwrap()])
        .args(sets)
        .args(flags)
        .args(arguments)
        .env("SLUICE_TEST_WORDS", "some words")
        .env("SLUICE_TEST_SECRET", CANARY)
        .env("SLUICE_TEST_LOOP", "${env:SLUICE_TEST_LOOP}")
        .env("SLUICE_TEST_EMPTY", "")
        .env("SLUICE_TEST_NOT_YAML", "[x")
        .env_remove("SLUICE_TEST_UNSET")
        .output()
        .unwrap()
}

/// A report without what every new component would change.
fn without_lists(report: &str) -> String {
    let line = |line: &str| match line.split_once(" of this build: ") {
        Some((before, _)) => format!("{before} of this build: …\n"),
        None => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}

/// Codes of the head lines of a report: `error[E0102]: …`.
fn codes(report: &str) -> BTreeSet<String> {
    let heads = report.lines().filter_map(|line| {
        let (kind, rest) = line.split_once('[')?;
        let (code, _) = rest.split_once("]: ")?;
        matches!(kind, "error" | "warning" | "note").then(|| code.to_owned())
    });
    heads.collect()
}

#[test]
fn reports_of_mistakes_read_as_written_down() {
    let folder = root().join("tests/diagnostics");
    let cases = files(&folder, "yaml");
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let output = check(case, &[]);
        let report = without_lists(&text(&output.stderr));
        let golden = case.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &report).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if report != expected {
            let _ = writeln!(wrong, "== {}\n{report}-- expected\n{expected}", case.display());
        }
        let errors = report.lines().any(|line| line.starts_with("error["));
        assert_eq!(output.status.code(), Some(if errors { 3 } else { 0 }), "{}", case.display());
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every finding names a place and a way out, in every format alike, and no secret.
#[test]
fn every_format_carries_the_same_findings() {
    // There is nothing to point at.
    let nowhere = ["empty configuration file", "no receiver configuration specified in config", "is not UTF-8"];
    for case in files(&root().join("tests/diagnostics"), "yaml") {
        let name = case.display();
        let human = text(&check(&case, &["--all"]).stderr);
        let json = text(&check(&case, &["-o", "json"]).stdout);
        let sarif = text(&check(&case, &["-o", "sarif"]).stdout);
        let github = text(&check(&case, &["-o", "github"]).stdout);
        for report in [&human, &json, &sarif, &github] {
            assert!(!report.contains(CANARY), "{name} shows a secret: {report}");
        }
        let json: Value = serde_json::from_str(&json).unwrap();
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        assert_eq!(json["schema"], "sluice.check/1");
        assert_eq!(
            (&sarif["version"], &sarif["runs"][0]["columnKind"]),
            (&"2.1.0".into(), &"unicodeCodePoints".into())
        );
        let found = json["diagnostics"].as_array().unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert_eq!((found.len(), found.len()), (results.len(), github.lines().count()), "{name}");
        for ((one, result), line) in found.iter().zip(results).zip(github.lines()) {
            let (code, message) = (one["code"].as_str().unwrap(), one["message"].as_str().unwrap());
            assert_eq!(result["ruleId"], code, "{name}");
            assert!(line.contains(code), "{name}: {line}");
            assert!(human.contains(&format!("[{code}]: ")), "{name}: {code} in {human}");
            let says = |key: &str| one[key].as_str().is_some_and(|text| !text.is_empty());
            let notes = one["notes"].as_array().is_some_and(|notes| !notes.is_empty());
            assert!(
                says("label")
                    || says("help")
                    || (notes && !code.starts_with('E'))
                    || code == "N0601"
                    || code == "N0602",
                "{name}: {code} does not say what to do: {one:#}"
            );
            if nowhere.iter().any(|text| message.contains(text)) {
                continue;
            }
            let span = &one["span"];
            let at = |key: &str| span[key].as_u64().unwrap_or_else(|| panic!("{name}: {code} has no place: {one:#}"));
            assert!(at("line") >= 1 && at("col") >= 1 && at("byte") <= at("byte_end"), "{name}: {span}");
            let region = &result["locations"][0]["physicalLocation"]["region"];
            assert_eq!((&region["startLine"], &region["startColumn"]), (&span["line"], &span["col"]), "{name}");
            assert!(human.contains(&format!(":{}:{}\n", at("line"), at("col"))), "{name}");
        }
    }
}

#[test]
fn every_code_has_a_golden_report() {
    let folders = ["tests/diagnostics", "config/tests/diagnostics"];
    let reports = folders.iter().flat_map(|folder| files(&root().join(folder), "txt"));
    let seen: BTreeSet<String> = reports.flat_map(|path| codes(&std::fs::read_to_string(path).unwrap())).collect();
    // Those of the start and of running have tests of their own (`troubles`).
    let of_check = |code: &&str| !code.starts_with("E07") && !code.starts_with("E08");
    let missing = sluice_config::codes::ALL.iter().map(|(code, _)| *code).filter(of_check);
    let missing: Vec<&str> = missing.filter(|code| !seen.contains(*code)).collect();
    assert!(missing.is_empty(), "codes without a golden report: {missing:?}");
}

#[test]
fn ten_mistakes_are_ten_errors_in_the_order_of_the_source() {
    let report = text(&check(&root().join("tests/diagnostics/ten_mistakes.yaml"), &[]).stderr);
    assert_eq!(report.lines().filter(|line| line.starts_with("error[")).count(), 10, "{report}");
    let places = report.lines().filter_map(|line| line.split_once("┌─ ten_mistakes.yaml:"));
    let lines: Vec<usize> = places.filter_map(|(_, place)| place.split(':').next()?.parse().ok()).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

/// What stands around a block of a page that configures only a part.
const AROUND: &str = "yaml:receivers: {otlp: {protocols: {grpc: }}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}";

/// The codes that `check` gives for a block of a page.
fn of_block(block: &str) -> BTreeSet<String> {
    let block = format!("yaml:{block}");
    let mut arguments = vec!["check"];
    if !block.contains("\nservice:") {
        arguments.extend(["-c", AROUND]);
    }
    arguments.extend(["-c", &block]);
    let output = Command::new(env!("CARGO_BIN_EXE_sluice")).args(arguments).env("HOME", "/root").output().unwrap();
    codes(&text(&output.stderr))
}

#[test]
fn the_wrong_example_of_each_page_gives_its_code_and_the_right_one_does_not() {
    let mut examples = 0;
    for (code, _) in sluice_config::codes::ALL {
        let page = std::fs::read_to_string(root().join(format!("docs/diagnostics/{code}.md"))).unwrap();
        let block = |title: &str| {
            let (_, rest) = page.split_once(&format!("## {title}\n\n```yaml\n"))?;
            rest.split_once("\n```").map(|(block, _)| format!("{block}\n"))
        };
        let (Some(wrong), Some(right)) = (block("Wrong"), block("Right")) else { continue };
        assert!(of_block(&wrong).contains(*code), "{code}: {wrong}");
        let remaining = of_block(&right);
        assert!(!remaining.contains(*code), "{code}: {right}");
        assert!(!remaining.iter().any(|code| code.starts_with('E')), "{code}: {remaining:?} in {right}");
        examples += 1;
    }
    assert!(examples >= 30, "only {examples} pages with examples");
}

#[test]
fn explain_prints_the_page_of_a_code_and_the_fields_of_a_component() {
    let run = crate::sluice::run;
    let page = std::fs::read_to_string(root().join("docs/diagnostics/E0102.md")).unwrap();
    assert_eq!(text(&run(&["explain", "e0102"]).stdout), page);
    let fields = text(&run(&["explain", "otlp_grpc.sending_queue"]).stdout);
    assert!(fields.contains("queue_size: whole number") && fields.contains("enabled: false"), "{fields}");
    let unknown = run(&["explain", "E0120"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean"), "{}", text(&unknown.stderr));
}
