use sluice_config::{Args, FixedSources, resolve};

use super::*;
use crate::blocks::{Retry, SendingQueue};
use sluice_config::Toggle;

/// Decodes a YAML snippet as the config of one exporter.
fn node(yaml: &str) -> Node {
    let sources = FixedSources::default().file("a.yaml", yaml);
    let args = Args { configs: vec!["a.yaml".into()], ..Args::default() };
    resolve(&args, &sources).unwrap().root.with_label("exporters::toy")
}

#[derive(Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
struct ToyConfig {
    sending_queue: Toggle<SendingQueue>,
    retry_on_failure: Toggle<Retry>,
}

impl Validate for ToyConfig {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if let Some(queue) = self.sending_queue.as_ref() {
            queue.validate(&field(at, "sending_queue"), problems);
        }
        if let Some(retry) = self.retry_on_failure.as_ref() {
            retry.validate(&field(at, "retry_on_failure"), problems);
        }
    }
}

struct Toy;

impl Factory<Processors> for Toy {
    type Config = ToyConfig;

    fn meta(&self) -> Meta {
        Meta { reasons: &["toy_reason"], ..Meta::new("toy", Stability::Alpha) }
    }

    fn metadata_keys(&self, config: &ToyConfig) -> Vec<String> {
        config.sending_queue.as_ref().and_then(SendingQueue::batching).map(|b| b.metadata_keys).unwrap_or_default()
    }

    fn build(&self, _config: &ToyConfig, _environment: Environment) -> Result<Processor, Error> {
        Err(Error::config("nothing to build"))
    }
}

fn registry() -> Registry<Processors> {
    let mut registry = Registry::new();
    registry.register(Toy);
    registry
}

fn errors(yaml: &str) -> Vec<String> {
    match registry().decode("toy", &node(yaml)).unwrap() {
        Ok(_) => Vec::new(),
        Err(found) => found.into_iter().map(|found| found.message).collect(),
    }
}

#[test]
fn every_problem_of_a_config_is_reported_in_upstreams_words() {
    let found = errors(
        "
sending_queue:
  num_consumers: 0
  queue_size: -1
  storage: file_storage
  wait_for_result: true
  on_quota: drop_oldest
  batch: {min_size: 10, max_size: 5, partition: {metadata_keys: [a, A]}}
retry_on_failure: {max_elapsed_time: 1s, initial_interval: 2s}
",
    );
    let expected = [
        "exporters::toy::sending_queue: `num_consumers` must be positive",
        "exporters::toy::sending_queue: `queue_size` must be positive",
        "exporters::toy::sending_queue: `wait_for_result` is not supported with a persistent queue configured with `storage`",
        "exporters::toy::sending_queue: `on_quota: drop_oldest` loses data: it needs `loss_tolerant: true`",
        "exporters::toy::sending_queue::batch: `max_size` (5) must be greater or equal to `min_size` (10)",
        "exporters::toy::retry_on_failure: 'max_elapsed_time' must not be less than 'initial_interval'",
        "exporters::toy::retry_on_failure: 'max_elapsed_time' must not be less than 'max_interval'",
    ];
    for text in expected {
        assert!(found.iter().any(|message| message == text), "{text} not in {found:#?}");
    }
    assert!(found.iter().any(|message| message.contains("duplicate entry in metadata_keys: \"a\" (case-insensitive)")));
}

#[test]
fn unknown_keys_are_refused() {
    assert_eq!(errors("{sending_queue: {queue_sise: 3}}").len(), 1);
}

#[test]
fn a_decoded_config_remembers_its_factory_and_metadata_keys() {
    let yaml = "{sending_queue: {batch: {partition: {metadata_keys: [X-Team]}}}}";
    let configured = registry().decode("toy", &node(yaml)).unwrap().ok().unwrap();
    assert_eq!(configured.metadata_keys, ["x-team"]);
    assert!(registry().decode("other", &node("{}")).is_none());
    let mut all = Registries::default();
    all.processors.register(Toy);
    assert_eq!(all.reasons(), ["toy_reason"]);
}
