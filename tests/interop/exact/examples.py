"""The example files of the OTLP definitions, sent by curl as their documentation shows it."""

import json
import subprocess

from exact import go, otlp
from exact.parts import SIGNALS, Capture, Config, Row, arrived, parsed
from peers import EXAMPLES, port

FILES = {"trace.json": "traces", "metrics.json": "metrics", "logs.json": "logs", "events.json": "logs"}
# Protocol and compression of what Sluice sends on; each goes to a recording endpoint and to the Go Collector.
ONWARD = [("grpc", "none"), ("proto", "gzip"), ("json", "none")]


def examples(work, sluice, check):
    here, lines = f"127.0.0.1:{port()}", work / "examples.json"
    source, target = Config(), Config()
    with Capture(work, "examples-capture") as capture:
        exporters = {"file/json": {"path": str(lines)}}
        onward = [Row(*row) for row in ONWARD]
        for row in onward:
            id, settings = row.exporter()
            exporters[id] = settings
            target.pipeline(f"examples-{row.name}", {f"otlp/{row.name}": row.listen()}, {}, work)
            recorded = capture.grpc if row.protocol == "grpc" else f"http://{capture.http}"
            exporters[f"{id}-recorded"] = {**settings, "endpoint": recorded, "headers": {"row": row.name}}
        source.pipeline("examples", {"otlp": {"protocols": {"http": {"endpoint": here}}}}, exporters)
        with target.go(work, "examples-go") as end, source.sluice(work, "examples-sluice", sluice) as between:
            for name, signal in FILES.items():
                for how in ([], ["--compressed"], ["--http2-prior-knowledge"]):
                    said = curl(EXAMPLES / name, f"http://{here}/v1/{signal}", how)
                    check(f"examples: curl {' '.join([*how, name])} is answered", said == "{} 200 application/json", said)
            sent = {signal: [] for signal in SIGNALS}
            for name, signal in FILES.items():
                sent[signal] += [otlp.from_json(signal, (EXAMPLES / name).read_text())] * 3
            arrived(work, [f"examples-{row.name}" for row in onward], otlp.amounts(sent))
            check("examples: sluice exits 0", between.stop() == 0, between.tail())
            end.stop()
        notes = capture.notes()
    requests = [json.loads(line) for line in lines.read_text().splitlines()]
    for signal in SIGNALS:
        outer = otlp.REQUESTS[signal].DESCRIPTOR.fields[0].json_name
        in_file = [otlp.from_json(signal, json.dumps(one)) for one in requests if outer in one]
        compare(check, "examples -> sluice's file", signal, sent[signal], in_file)
        for row in onward:
            mine = [note for note in notes if (note["row"], note["signal"]) == (row.name, signal)]
            read = otlp.from_json if row.protocol == "json" else otlp.parse
            compare(check, f"examples -> sluice {row.name}", signal, sent[signal], [read(signal, note["body"]) for note in mine])
            kept = parsed(work, f"examples-{row.name}")[signal]
            compare(check, f"examples -> sluice -> go {row.name}", signal, [go.form(one) for one in sent[signal]], kept)


def curl(file, url, how):
    """The answer, its status and its type."""
    command = ["curl", "-sS", "-X", "POST", "-H", "Content-Type: application/json", "-d", f"@{file}", "-w", " %{http_code} %{content_type}",
               *how, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


def compare(check, name, signal, want, got):
    expected, found = otlp.resources(want), otlp.resources(got)
    check(f"{name}: {otlp.items(want)} items of {signal}", expected and expected == found,
          otlp.difference(expected, found, otlp.resource_type(signal)))
