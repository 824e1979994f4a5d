"""Broken and whole configurations by the hundred: does the Go Collector's `validate` accept and refuse what ours does?

Each mutation changes one thing of a configuration that both accept, at every place where it can be changed. Both validate each
result; where they disagree, `MUTATIONS.md` must say why, and where it says so they must disagree: a difference that is gone is
reported, too. `SLUICE_BIN` names our binary. Without the peer nothing can be compared: then it says so and fails if CI=true.
"""

import concurrent.futures
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OTELCOL = pathlib.Path(os.environ.get("SLUICE_PEERS", pathlib.Path.home() / ".cache/sluice-peers")) / "bin/otelcol"
LISTED = HERE / "MUTATIONS.md"

BASE = {
    "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "localhost:4317"}, "http": {"endpoint": "localhost:4318"}}}},
    "processors": {},
    "exporters": {"nop": None},
    "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["nop"]}}},
}


def around(section, component, config, signal="traces"):
    """BASE with one more component in its pipeline."""
    made = copy.deepcopy(BASE)
    made[section] = {**(made[section] or {}), component: config}
    pipeline = made["service"]["pipelines"].pop("traces")
    pipeline[section] = [*pipeline.get(section, []), component] if section != "receivers" else [component]
    made["service"]["pipelines"][signal] = pipeline
    if section == "receivers":
        del made["receivers"]["otlp"]
    return made


SEEDS = {
    "base": BASE,
    "otlp": around("receivers", "otlp/in", {"protocols": {
        "grpc": {"endpoint": "localhost:4317", "max_recv_msg_size_mib": 16, "transport": "tcp", "include_metadata": True,
                 "keepalive": {"server_parameters": {"max_connection_idle": "11s", "time": "30s"},
                               "enforcement_policy": {"min_time": "10s", "permit_without_stream": True}}},
        "http": {"endpoint": "localhost:4318", "traces_url_path": "/a", "read_header_timeout": "10s",
                 "cors": {"allowed_origins": ["https://a.example"], "max_age": 7200}}}}),
    "otlp_grpc": around("exporters", "otlp_grpc/out", {
        "endpoint": "backend:4317", "compression": "gzip", "timeout": "10s", "headers": {"x-a": "b"}, "balancer_name": "round_robin",
        "tls": {"insecure": True, "min_version": "1.2"}, "keepalive": {"time": "20s", "timeout": "30s"},
        "sending_queue": {"enabled": True, "num_consumers": 2, "queue_size": 10000, "sizer": "items", "block_on_overflow": True,
                          "batch": {"flush_timeout": "200ms", "min_size": 100, "max_size": 1000}},
        "retry_on_failure": {"enabled": True, "initial_interval": "1s", "randomization_factor": 0.5, "multiplier": 1.5,
                             "max_interval": "10s", "max_elapsed_time": "1m"}}),
    "prometheus_remote_write": around("exporters", "prometheus_remote_write/out", {
        "endpoint": "http://localhost:9090/api/v1/write", "namespace": "a", "external_labels": {"region": "x"}, "timeout": "5s",
        "remote_write_queue": {"enabled": True, "queue_size": 100, "num_consumers": 5}, "add_metric_suffixes": True,
        "resource_to_telemetry_conversion": {"enabled": True}, "target_info": {"enabled": True}, "max_batch_size_bytes": 3000000,
        "send_metadata": False, "headers": {"a": "b"}}, "metrics"),
    "attributes": around("processors", "attributes/a", {
        "include": {"match_type": "regexp", "services": ["auth.*"], "attributes": [{"key": "env", "value": "dev"}]},
        "actions": [{"key": "a", "value": 1, "action": "insert"}, {"key": "b", "from_attribute": "c", "action": "upsert"},
                    {"key": "d", "action": "delete"}, {"key": "u", "pattern": "^(?P<x>.*)y", "action": "extract"},
                    {"key": "e", "action": "convert", "converted_type": "int"}, {"key": "f", "action": "hash"}]}),
    "resource": around("processors", "resource", {"attributes": [{"key": "z", "value": "zone-1", "action": "upsert"}]}),
    "filter": around("processors", "filter/f", {
        "error_mode": "ignore",
        "traces": {"span": ["attributes[\"a\"] == \"b\"", "IsMatch(name, \"x.*\")"], "spanevent": ["name == \"e\""]},
        "logs": {"log_record": ["severity_number < SEVERITY_NUMBER_WARN"]},
        "metrics": {"metric": ["name == \"m\""], "datapoint": ["metric.name == \"m\""]}}),
    "redaction": around("processors", "redaction/r", {
        "allow_all_keys": False, "allowed_keys": ["a"], "ignored_keys": ["i"], "blocked_values": ["4[0-9]{12}"],
        "blocked_key_patterns": [".*token.*"], "allowed_values": [".+@a.example"], "redact_all_types": True, "hash_function": "md5",
        "summary": "debug", "url_sanitizer": {"enabled": True, "attributes": ["http.url"]}}),
    "telemetry": {**BASE, "service": {**BASE["service"], "telemetry": {
        "logs": {"level": "info", "encoding": "json", "sampling": {"enabled": True, "tick": "10s", "initial": 5, "thereafter": 10}},
        "metrics": {"level": "normal", "readers": [{"pull": {"exporter": {"prometheus": {"host": "localhost", "port": 8888}}}}]}}}},
}

# What can be done to a value, by its type. Each gives a name and the new value.
OTHER = {
    dict: [("a text", "x"), ("a list", [1]), ("null", None), ("empty", {})],
    list: [("a number", 7), ("a map", {"x": 1}), ("null", None), ("empty", [])],
    bool: [("a text", "yes"), ("a number", 1), ("a list", [True]), ("null", None)],
    int: [("negative", -1), ("a text", "many"), ("a map", {"x": 1}), ("zero", 0), ("null", None), ("true", True)],
    float: [("negative", -1.5), ("a text", "half"), ("null", None)],
    str: [("a list", ["x", "y"]), ("a map", {"x": 1}), ("a number", 5), ("empty text", ""), ("null", None), ("another text", "bogus!"),
          ("an unclosed bracket", "(x"), ("a variable that is not set", "${env:SLUICE_MUTATION_UNSET}"), ("a bad reference", "${env:A-B}")],
    type(None): [("a text", "x"), ("a map", {"x": 1})],
}


def places(node, path=()):
    """Every path into a tree, the root left out."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, key), value
        yield from places(value, (*path, key))


def changed(tree, path, change):
    made = copy.deepcopy(tree)
    node = made
    for key in path[:-1]:
        node = node[key]
    change(node, path[-1])
    return made


def rename(node, key):
    renamed = {(f"{name}x" if name == key else name): value for name, value in node.items()}
    node.clear()
    node.update(renamed)


def mutations():
    """Names and configurations. Nothing is left to chance: a run is like any other."""
    for seed, tree in SEEDS.items():
        yield f"{seed}: as it is", tree
        for path, value in places(tree):
            # What all seeds share is changed in the first alone.
            if seed != "base" and path[:2] in {("receivers", "otlp"), ("exporters", "nop")} or path == ("processors",):
                continue
            if seed not in ("base", "telemetry") and path[0] == "service":
                continue
            at = "::".join(map(str, path))

            def remove(node, key):
                del node[key]
            yield f"{seed}: {at}: removed", changed(tree, path, remove)
            if isinstance(path[-1], str):
                yield f"{seed}: {at}: misspelled", changed(tree, path, rename)
            for name, other in OTHER[type(value)]:
                def replace(node, key, other=other):
                    node[key] = other
                yield f"{seed}: {at}: {name}", changed(tree, path, replace)


def validate(binary, path):
    environment = {name: value for name, value in os.environ.items() if name != "SLUICE_MUTATION_UNSET"}
    run = subprocess.run([binary, "validate", f"--config={path}"], capture_output=True, text=True, timeout=60, env=environment)
    return run.returncode == 0, run.stderr.strip()


def listed():
    """Patterns of names in the tables of MUTATIONS.md: what ours does there, and a use count."""
    rows = re.findall(r"^\| `([^`]+)` \| (accepts|refuses) \|", LISTED.read_text(), re.M)
    return [[re.compile(pattern.replace("\\|", "|")), does, 0] for pattern, does in rows]


def main():
    if not OTELCOL.exists():
        print(f"SKIPPED: {OTELCOL} is missing (tests/peers/install.sh makes it); nothing was compared", flush=True)
        return 1 if os.environ.get("CI") == "true" else 0
    sluice = pathlib.Path(os.environ["SLUICE_BIN"]).resolve()
    differences, agreed, meant = listed(), 0, 0
    failures = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        def one(numbered):
            number, (name, tree) = numbered
            path = pathlib.Path(folder) / f"{number}.yaml"
            path.write_text(json.dumps(tree))  # JSON is YAML
            return name, validate(sluice, path), validate(OTELCOL, path)
        for name, (ours, our_words), (theirs, their_words) in pool.map(one, enumerate(mutations())):
            row = next((row for row in differences if row[0].fullmatch(name)), None)
            if ours == theirs:
                agreed += 1
                continue
            if row and row[1] == ("accepts" if ours else "refuses"):
                row[2] += 1
                meant += 1
                continue
            word = {True: "accepts", False: "refuses"}
            failures.append(f"{name}: sluice {word[ours]}, otelcol {word[theirs]}\n    {(our_words or their_words)[-300:]}")
    failures += [f"MUTATIONS.md: `{pattern.pattern}` differs nowhere any more" for pattern, _, uses in differences if not uses]
    for failure in failures:
        print("FAIL ", failure)
    print(f"{agreed + meant + len(failures)} configurations: {agreed} agreed on, {meant} differ and are meant to, {len(failures)} failed")
    enough = agreed >= 200
    if not enough:
        print("FAIL  fewer than 200 agreed on")
    return 0 if not failures and enough else 1


if __name__ == "__main__":
    sys.exit(main())
