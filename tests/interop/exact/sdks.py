"""What SDKs send is what arrives. Each SDK has two exporters of the same kind for the same telemetry: one to Sluice, one to a
recording endpoint. Behind Sluice are its file exporter and, by each protocol, the Go Collector with one."""

import collections

from exact import go, otlp
from exact.parts import SIGNALS, Capture, Config, Row, arrived, files, parsed
from peers import GO_CLIENT, HERE, NODE_MODULES, PYTHON, Process, port

CLIENTS = {
    "python": ([PYTHON, HERE / "clients/exact.py"], {}),
    "node": (["node", HERE / "clients/exact.js"], {"NODE_PATH": NODE_MODULES}),
    "go": ([GO_CLIENT], {}),
}
# What each SDK can be told to use.
ROWS = {
    "python": ["grpc-none", "grpc-gzip", "proto-none", "proto-gzip", "proto-deflate"],
    "node": ["grpc-none", "grpc-gzip", "proto-none", "proto-gzip", "json-none", "json-gzip"],
    "go": ["grpc-none", "grpc-gzip", "proto-none", "proto-gzip"],
}
ONWARD = [("grpc", "gzip"), ("proto", "zstd"), ("json", "none")]


def sdks(work, sluice, check):
    source, target = Config(), Config()
    grpc, http = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
    onward = [Row(*row) for row in ONWARD]
    listen = {"protocols": {"grpc": {"endpoint": grpc}, "http": {"endpoint": http}}}
    source.pipeline("sdks", {"otlp": listen}, dict(row.exporter() for row in onward), work)
    for row in onward:
        target.pipeline(f"sdks-{row.name}", {f"otlp/{row.name}": row.listen()}, {}, work)
    with Capture(work, "sdks-capture") as capture, target.go(work, "sdks-go") as end, \
            source.sluice(work, "sdks-sluice", sluice) as between:
        running = {
            sdk: Process(work, f"sdks-{sdk}", [*command, grpc, http, capture.grpc, capture.http], env)
            for sdk, (command, env) in CLIENTS.items()
        }
        for sdk, client in running.items():
            with client:
                client.child.wait(60)
                check(f"sdks: the {sdk} client ends well", client.child.returncode == 0, client.tail())
        amounts = {signal: otlp.resources(parse(note) for note in capture.notes() if note["signal"] == signal).total() for signal in SIGNALS}
        arrived(work, [f"sdks-{row.name}" for row in onward], amounts)
        check("sdks: sluice exits 0", between.stop() == 0, between.tail())
        end.stop()
        notes = capture.notes()
    written = files(work, "sdks")
    kept = {row.name: parsed(work, f"sdks-{row.name}") for row in onward}
    for signal in SIGNALS:
        recorded = [note for note in notes if note["signal"] == signal]
        sent = by_row(parse(note) for note in recorded)
        in_file = by_row(otlp.parse(signal, body) for body in written[signal])
        raw = collections.Counter(one for body in written[signal] for one in otlp.top_level(body))
        behind = {row.name: by_row(kept[row.name][signal]) for row in onward}
        for name in (f"{sdk}-{row}" for sdk, rows in ROWS.items() for row in rows):
            protocol, compression = name.split("-")[1:]
            mine = [note for note in recorded if name in by_row([parse(note)])]
            how = {(note["how"], compression if protocol == "grpc" else note["encoding"] or "none") for note in mine}
            check(f"sdks {name}: {signal} are sent as asked for", how == {(protocol, compression)}, how)
            if protocol != "json":
                bodies = collections.Counter(one for note in mine for one in otlp.top_level(note["body"]))
                check(f"sdks {name} -> sluice's file: {signal} byte for byte", bodies and not bodies - raw, bodies - raw)
            compare(check, f"sdks {name} -> sluice's file", signal, sent[name], in_file[name], protocol)
            for row in onward:
                want = [go.form(request) for request in sent[name]]
                compare(check, f"sdks {name} -> sluice -> go {row.name}", signal, want, behind[row.name][name], protocol, row.protocol)


def parse(note):
    read = otlp.from_json if note["how"] == "json" else otlp.parse
    return read(note["signal"], note["body"])


def by_row(requests):
    """Requests of one resource each, by the row that the resource names."""
    found = collections.defaultdict(list)
    for request in requests:
        [(field, groups)] = request.ListFields()
        for group in groups:
            [row] = [pair.value.string_value for pair in group.resource.attributes if pair.key == "row"]
            one = type(request)()
            getattr(one, field.name).append(group)
            found[row].append(one)
    return found


def compare(check, name, signal, want, got, *protocols):
    form = otlp.json_form if "json" in protocols else lambda request: request
    expected, found = otlp.resources(map(form, want)), otlp.resources(map(form, got))
    check(f"{name}: {otlp.items(want)} items of {signal}", expected and expected == found,
          otlp.difference(expected, found, otlp.resource_type(signal)))
