"""The `file` exporter of Sluice beside that of the Go Collector: the same configuration and the same requests to both, and what
is in their files read back the same way."""

import json
import pathlib
import re
import subprocess

import otlp_http
from peers import OTELCOL, Backend, Collector

# What is written under `exporters: file:` besides the path, and how it is read.
MODES = {
    "json": ("{}", "lines"),
    "json-zstd": ("{compression: zstd}", "framed-zstd"),
    "proto": ("{format: proto}", "framed"),
    "proto-zstd": ("{format: proto, compression: zstd}", "framed-zstd"),
}
BACKUP = re.compile(r"out-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}-size\.json")


def records(data, how):
    """The messages in a file."""
    if how == "lines":
        assert data.endswith(b"\n"), data[-100:]
        return data.split(b"\n")[:-1]
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        assert len(data) >= 4 + size, "cut off"
        found.append(data[4:4 + size])
        data = data[4 + size:]
    if how == "framed-zstd":
        found = [subprocess.run(["zstd", "-dc"], input=one, capture_output=True, check=True).stdout for one in found]
    return found


def written(work, name, binary, settings, sent, path="out.json"):
    """Everything a collector has written, by the name of the file."""
    folder = work / f"files-{name}"
    folder.mkdir()
    # Each field is set on top of the file, for a map cannot come out of the environment in both.
    config = work / f"files-{name}.yaml"
    exporter = json.dumps(str(folder / path))
    text = (pathlib.Path(__file__).parent / "configs/file.yaml").read_text()
    block = f"  file: {{path: {exporter}, {settings[1:-1]}}}"
    config.write_text(text.replace('  file: {path: "${env:OUT}", create_directory: true}', block))
    with Collector(work, f"files-{name}", binary, [config], otlp_http.Target(""), None) as collector:
        for signal, request in sent:
            otlp_http.post(collector.http, signal, request)
        code = collector.stop()
        assert code == 0, collector.tail()
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def tidy(node):
    """Without enumerations that are 0: the same whether written or left out, and Sluice keeps them as they came."""
    if isinstance(node, dict):
        return {key: tidy(inner) for key, inner in node.items() if not (key in ("kind", "severityNumber", "code") and inner == 0)}
    return [tidy(inner) for inner in node] if isinstance(node, list) else node


def parsed(lines):
    return otlp_http.items([tidy(json.loads(line)) for line in lines])


def of_requests(work, name, messages, is_json):
    """The items of messages: of JSON at once, of protobuf by way of the Go Collector."""
    if is_json:
        return parsed(messages)
    with Backend(work, f"files-read-{name}") as backend:
        amount = 0
        for message in messages:
            post_protobuf(backend.http, message)
            amount += 1
        # All of them are one signal, and its items are known to the caller only: wait until nothing more comes.
        otlp_http.until("every message", lambda: len(backend.requests()) >= amount, 30)
        return otlp_http.items(backend.requests())


def post_protobuf(address, message):
    sent = otlp_http.urllib.request.Request(
        f"http://{address}/v1/logs", message, {"Content-Type": "application/x-protobuf"})
    with otlp_http.urllib.request.urlopen(sent, timeout=30) as answer:
        answer.read()


def files(work, sluice, check):
    everything = otlp_http.requests()
    logs = [(signal, request) for signal, request in everything if signal == "logs"]
    for mode, (settings, how) in MODES.items():
        is_json = mode.startswith("json")
        sent = everything if is_json else logs
        both = {}
        for whose, binary in (("go", OTELCOL), ("sluice", sluice)):
            found = written(work, f"{mode}-{whose}", binary, settings, sent)
            check(f"file {mode}: {whose} writes the one file", list(found) == ["out.json"], list(found))
            both[whose] = of_requests(work, f"{mode}-{whose}", records(found["out.json"], how), is_json)
        otlp_http.compare(check, f"file {mode}: every item as the Go Collector writes it", both["sluice"], both["go"])
    grouped(work, sluice, check, logs)
    rotated(work, sluice, check, logs)


def grouped(work, sluice, check, logs):
    """A file for each value of a resource attribute."""
    settings = "{group_by: {enabled: true, resource_attribute: service.name}}"
    both = {}
    for whose, binary in (("go", OTELCOL), ("sluice", sluice)):
        found = written(work, f"grouped-{whose}", binary, settings, logs, "by/*.json")
        both[whose] = {name: parsed(records(data, "lines")) for name, data in found.items()}
    check("file group_by: the same files", sorted(both["sluice"]) == sorted(both["go"]), [sorted(both[one]) for one in both])
    for name, expected in both["go"].items():
        otlp_http.compare(check, f"file group_by: every item of {name}", both["sluice"].get(name, []), expected)


def rotated(work, sluice, check, logs):
    """More than a megabyte, so that both begin another file, under names of one form."""
    settings = "{rotation: {max_megabytes: 1, max_backups: 50}}"
    both = {}
    for whose, binary in (("go", OTELCOL), ("sluice", sluice)):
        # The large request alone is larger than a file may be, for which the Go Collector has no place.
        found = written(work, f"rotated-{whose}", binary, settings, logs[:3] * 120)
        backups = [name for name in found if name != "out.json"]
        named = len(backups) >= 1 and all(BACKUP.fullmatch(name) for name in backups)
        check(f"file rotation: {whose} puts files aside", named, sorted(found))
        check(f"file rotation: {whose} keeps to the size", all(len(data) <= 1 << 20 for data in found.values()),
              {name: len(data) for name, data in found.items()})
        lines = [line for data in found.values() for line in records(data, "lines")]
        both[whose] = parsed(lines)
    otlp_http.compare(check, "file rotation: every item", both["sluice"], both["go"])
