//! The binary from outside, without peers: how it starts, what it answers, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "process/admin.rs"]
mod admin;
#[path = "process/answers.rs"]
mod answers;
#[path = "process/auth.rs"]
mod auth;
#[path = "process/browsers.rs"]
mod browsers;
#[path = "process/command.rs"]
mod command;
#[path = "process/configuration.rs"]
mod configuration;
#[path = "process/connectors.rs"]
mod connectors;
#[path = "process/correlate.rs"]
mod correlate;
#[path = "process/correlate_shop.rs"]
mod correlate_shop;
#[path = "process/dead_letters.rs"]
mod dead_letters;
#[path = "process/diagnostics.rs"]
mod diagnostics;
#[path = "process/durable.rs"]
mod durable;
#[path = "process/durable_damage.rs"]
mod durable_damage;
#[path = "process/durable_disk.rs"]
mod durable_disk;
#[path = "process/durable_kills.rs"]
mod durable_kills;
#[path = "process/durable_load.rs"]
mod durable_load;
#[path = "process/durable_reload.rs"]
mod durable_reload;
#[path = "process/durable_sink.rs"]
mod durable_sink;
#[path = "process/examples.rs"]
mod examples;
#[path = "process/exported.rs"]
mod exported;
#[path = "process/exported_sink.rs"]
mod exported_sink;
#[path = "process/exposure.rs"]
mod exposure;
#[path = "process/getting_started.rs"]
mod getting_started;
#[path = "process/headers.rs"]
mod headers;
#[path = "process/health.rs"]
mod health;
#[path = "process/hostile/mod.rs"]
mod hostile;
#[path = "process/life.rs"]
mod life;
#[path = "process/load.rs"]
mod load;
#[path = "process/mtls.rs"]
mod mtls;
#[path = "process/network.rs"]
mod network;
#[path = "process/proxied.rs"]
mod proxied;
#[path = "process/queue.rs"]
mod queue;
#[path = "process/refusals.rs"]
mod refusals;
#[path = "process/reload.rs"]
mod reload;
#[path = "process/sampling.rs"]
mod sampling;
#[path = "process/secrets.rs"]
mod secrets;
#[path = "process/send.rs"]
mod send;
#[path = "process/sink.rs"]
mod sink;
#[path = "process/sluice.rs"]
mod sluice;
#[path = "process/troubles.rs"]
mod troubles;
#[path = "process/upstream_examples.rs"]
mod upstream_examples;
#[path = "process/ways_in.rs"]
mod ways_in;
#[path = "process/wire.rs"]
mod wire;
