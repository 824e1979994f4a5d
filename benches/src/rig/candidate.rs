//! How each collector under test is started. They read their addresses from the environment, so that one config file
//! serves every run: `IN_GRPC`, `IN_HTTP`, `OUT_GRPC`, `OUT_HTTP`, the same with `OUT2` and `OUT3`, `TELEMETRY`, `STORAGE`.

use super::bench::{Bench, Ports, SinkProcess};
use super::process::Launch;
use super::scenario::{CandidateSpec, Program, Scenario};
use crate::Error;
use crate::encoding::Encoding;
use std::path::PathBuf;

/// Where the backends are.
const OUTPUTS: [(&str, &str); 3] = [("OUT_GRPC", "OUT_HTTP"), ("OUT2_GRPC", "OUT2_HTTP"), ("OUT3_GRPC", "OUT3_HTTP")];

/// The program's file.
pub(super) fn program(bench: &Bench, spec: &CandidateSpec) -> PathBuf {
    match spec.program {
        Program::Relay => bench.own("bare-relay"),
        Program::Sluice => bench.options.sluice.clone(),
        Program::Otelcol => bench.peer("otelcol"),
        Program::OtelcolSampling => bench.peer("otelcol-sampling"),
        Program::Vmagent => bench.peer("vmagent"),
        Program::Prometheus => bench.peer("prometheus"),
    }
}

/// Where a run keeps what it writes to disk.
pub(super) fn storage(bench: &Bench, run: &str) -> PathBuf {
    bench.options.out.join(format!("{run}.storage"))
}

/// The command for one run.
pub(super) fn launch(
    bench: &Bench,
    scenario: &Scenario,
    spec: &CandidateSpec,
    run: &str,
    ports: Ports,
    sinks: &[&SinkProcess],
) -> Result<Launch, Error> {
    let config = || {
        let file = spec.config.as_ref().map(|config| scenario.folder.join(config));
        file.ok_or_else(|| Error::Invalid(format!("{}: {} needs a config", scenario.name, spec.name)))
    };
    let Some(sink) = sinks.first() else { return Err(Error::Invalid("a candidate needs a sink".into())) };
    let storage = storage(bench, run);
    let _ = std::fs::remove_dir_all(&storage); // what an earlier run left
    std::fs::create_dir_all(&storage).map_err(Error::io(storage.display().to_string()))?;
    let mut environment = vec![
        ("IN_GRPC", ports.in_grpc.to_string()),
        ("IN_HTTP", ports.in_http.to_string()),
        ("TELEMETRY", ports.telemetry.to_string()),
        ("TELEMETRY_HOST", ports.telemetry.ip().to_string()),
        ("TELEMETRY_PORT", ports.telemetry.port().to_string()),
        ("STORAGE", storage.display().to_string()),
    ];
    for ((grpc, http), sink) in OUTPUTS.into_iter().zip(sinks) {
        environment.extend([(grpc, sink.grpc.to_string()), (http, sink.http.to_string())]);
    }
    let file = Launch::new(program(bench, spec));
    let mut launch = match spec.program {
        Program::Relay => {
            let relay = file.arg("--listen").arg(ports.in_grpc.to_string()).arg("--target").arg(sink.grpc.to_string());
            match scenario.load.compression {
                Encoding::None => relay,
                Encoding::Gzip => relay.arg("--compression").arg("gzip"),
                Encoding::Zstd => relay.arg("--compression").arg("zstd"),
            }
        }
        Program::Sluice => file.arg("run").arg("-c").arg(config()?),
        Program::Otelcol | Program::OtelcolSampling => file.arg("--config").arg(config()?),
        Program::Vmagent => file
            .arg(format!("-httpListenAddr={}", ports.in_http))
            .arg(format!("-remoteWrite.url=http://{}/api/v1/write", sink.http))
            .arg(format!("-remoteWrite.tmpDataPath={}", storage.display()))
            .arg("-remoteWrite.forcePromProto"),
        Program::Prometheus => {
            // It expands no environment in its config, so the addresses are written into a copy.
            let template = config()?;
            let text = std::fs::read_to_string(&template).map_err(Error::io(template.display().to_string()))?;
            let filled =
                environment.iter().fold(text, |text, (key, value)| text.replace(&format!("${{{key}}}"), value));
            let copy = storage.join("prometheus.yml");
            std::fs::write(&copy, filled).map_err(Error::io(copy.display().to_string()))?;
            file.arg("--agent")
                .arg(format!("--config.file={}", copy.display()))
                .arg(format!("--storage.agent.path={}", storage.join("agent").display()))
                .arg(format!("--web.listen-address={}", ports.in_http))
                .arg("--web.enable-otlp-receiver")
                .arg("--log.level=error")
        }
    };
    launch.args.extend(spec.args.iter().map(Into::into));
    launch.environment = environment;
    Ok(launch)
}
