"""The main job on real input: see `run.sh`. Every check prints one line; the last line counts them."""

import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import time
import traceback

import authenticated
import canonical
import conformance
import correlated
import differences
import files
import otlp_http
import refusals
from native_histograms import native_histograms as histograms_of_sdks
from peers import (
    HERE, OTELCOL, PYTHON, Backend, Collector, FirstRun, Process, Prometheus, missing, send_all, until,
)

SLUICE = pathlib.Path(os.environ["SLUICE_BIN"]).resolve()
SECRETS = re.compile(r"jane\.roe|acme-mail|4111[ -]?1111[ -]?1111[ -]?1111", re.I)
# What one round of all clients comes to behind the filter: spans, log records, data points.
EXPECTED = (14, 9, 17)
passed = failed = 0


def check(name, condition, detail=""):
    global passed, failed
    if condition:
        passed += 1
        print(f"ok    {name}", flush=True)
    else:
        failed += 1
        print(f"FAIL  {name}  {detail!s:.2000}", flush=True)


def enough(backend, expected=EXPECTED):
    return all(got >= want for got, want in zip(canonical.count(backend.requests()), expected))


def arrived(backend, prometheus, expected=EXPECTED):
    """Waits until everything has reached both backends."""
    try:
        until("all telemetry at the OTLP backend", lambda: enough(backend, expected), 20)
    except TimeoutError:
        pass  # the check on the counts says what is missing
    for one in prometheus:
        until("series in Prometheus", lambda: {"shop_orders_total", "gen_sum_total"} <= {
            labels["__name__"] for labels, _ in one.samples()}, 20)
        until("all services in Prometheus", lambda: {"python-grpc", "python-http", "node-json"} <= {
            labels.get("job") for labels, _ in one.samples() if labels["__name__"] == "shop_latency_seconds_count"}, 20)


def values(prometheus, version):
    """Each counter, gauge and histogram by PromQL."""
    def one(name, promql, want, **labels):
        try:
            got = until(promql, lambda: prometheus.query(f"last_over_time({promql}[1h])"), 10)
        except TimeoutError as error:
            check(f"rw {version}: {name}", False, error)
            return
        fits = len(got) == 1 and got[0][1] == want and all(got[0][0].get(key) == text for key, text in labels.items())
        check(f"rw {version}: {name}", fits, got)

    for job, instance in (("python-grpc", "p1"), ("python-http", "p2"), ("node-json", "n1")):
        at = f'job="{job}",instance="{instance}"'
        orders = 5 if job == "node-json" else 3
        inventory = 6
        one(f"{job} counter", f'shop_orders_total{{{at},currency="EUR"}}', orders, env="interop")
        one(f"{job} up-down counter", f"shop_inventory_bytes{{{at}}}", inventory, env="interop")
        one(f"{job} gauge", f"shop_queue_depth_bytes{{{at}}}", 42.5, env="interop")
        for le, want in (("0.1", 1), ("0.5", 2), ("1", 3), ("+Inf", 4)):
            # The text of a bound is the writer's choice.
            form = r"\+Inf" if le == "+Inf" else re.escape(le) + r"(\.0)?"
            promql = f'shop_latency_seconds_bucket{{{at},le=~`{form}`,route="/pay"}}'
            one(f"{job} histogram le={le}", promql, want)
        one(f"{job} histogram count", f"shop_latency_seconds_count{{{at}}}", 4)
        sums = prometheus.query(f"last_over_time(shop_latency_seconds_sum{{{at}}}[1h])")
        check(f"rw {version}: {job} histogram sum", len(sums) == 1 and abs(sums[0][1] - 3.05) < 1e-9, sums)
        one(f"{job} target_info", f"target_info{{{at}}}", 1, deployment_environment_name="interop")
    one("telemetrygen counter", 'gen_sum_total{job="telemetrygen"}', 0, env="interop")
    dropped = prometheus.query('last_over_time({__name__=~"shop_debug.*"}[1h])')
    check(f"rw {version}: the filtered metric is not there", not dropped, dropped)
    leaked = [labels for labels in prometheus.series() if "internal_token" in labels]
    check(f"rw {version}: the deleted attribute is not there", not leaked, leaked)


def exemplars(prometheus, version):
    found = prometheus.exemplars('shop_latency_seconds_bucket{job="python-grpc"}')
    labels = [exemplar["labels"] for series in found for exemplar in series["exemplars"]]
    whole = [one for one in labels if re.fullmatch("[0-9a-f]{32}", one.get("trace_id", ""))
             and re.fullmatch("[0-9a-f]{16}", one.get("span_id", ""))]
    check(f"rw {version}: exemplars with trace_id and span_id", len(whole) >= 3 and len(whole) == len(labels), found)


def no_secrets(name, backend, prometheus):
    hits = sorted({hit.group(0) + " in ..." + text[max(0, hit.start() - 90):hit.start()]
                   for text in [backend.text()] for hit in SECRETS.finditer(text)})
    check(f"{name}: no e-mail or card number in the OTLP backend's file", backend.text() and not hits, hits[:8])
    for one in prometheus:
        text = json.dumps([one.series(), one.exemplars(), one.api("metadata"), one.api("labels")])
        hits = [text[max(0, hit.start() - 90):hit.end()] for hit in SECRETS.finditer(text)]
        check(f"{name}: no e-mail or card number in {one.name}", not hits, hits[:8])


def clean_exit(collector):
    code = collector.stop()
    check(f"{collector.name}: SIGTERM drains and exits 0", code == 0, f"{code}\n{collector.tail()}")
    check(f"{collector.name}: the loss ledger balances", "does not balance" not in collector.log.read_text(), collector.tail())


def targets(path, instances):
    """Writes the discovery file in one step, as its producers should."""
    groups = [{"targets": [f"{instance}.local:1"], "labels": {"job": "live", "instance": instance}} for instance in instances]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(groups))
    part.rename(path)


def up(work, collector, prometheus, discovery):
    """A sender lives, is killed, and leaves the discovery file."""
    targets(discovery, ["alive"])
    command = [PYTHON, HERE / "clients/client.py", "grpc", collector.grpc, "live", "alive", "--hold"]
    with Process(work, "live-client", command) as client:
        state = lambda: [number for _, number in prometheus.query('up{job="live",instance="alive"}')]
        until("the live client to send", lambda: client.said("sent"), 60)
        try:
            until("up == 1", lambda: state() == [1.0], 30)
            check("up == 1 while the sender lives", True)
        except TimeoutError as error:
            check("up == 1 while the sender lives", False, f"{error} {prometheus.query('up')}")
            return
        client.stop(signal.SIGKILL)
        killed = time.monotonic()
        # D = 2 x 1 s + 1 s, one grid step of 1 s, and time for the remote write and the query on a loaded machine.
        try:
            until("up == 0", lambda: state() == [0.0], 12)
            check(f"up == 0 within the deadline (after {time.monotonic() - killed:.1f} s)", True)
        except TimeoutError as error:
            check("up == 0 within the deadline", False, error)
        targets(discovery, [])
        try:
            until("up to be stale", lambda: not state(), 20)
            check("up is stale after the target left the discovery file", True)
        except TimeoutError as error:
            check("up is stale after the target left the discovery file", False, error)


def main_job(work):
    """Sluice between real clients and real backends."""
    discovery = work / "targets.json"
    targets(discovery, [])
    with Prometheus(work, "prometheus-1.0") as first, Prometheus(work, "prometheus-2.0") as second, \
            Backend(work, "main-backend") as backend:
        more = {"REMOTE_WRITE_V2": second.write, "DISCOVERY": discovery}
        with Collector(work, "sluice-main", SLUICE, ["pipeline.yaml", "sluice.yaml"], backend, first, more) as collector:
            send_all(work, collector)
            arrived(backend, [first, second])
            got = canonical.count(backend.requests())
            check("spans, log records and data points behind the filter", got == EXPECTED, f"{got}, not {EXPECTED}")
            for prometheus, version in ((first, "1.0"), (second, "2.0")):
                values(prometheus, version)
                exemplars(prometheus, version)
            up(work, collector, first, discovery)
            no_secrets("sluice", backend, [first, second])
            clean_exit(collector)


def snapshot(work, name, binary):
    """What both backends hold after one round through a collector with pipeline.yaml alone."""
    with Prometheus(work, f"{name}-prometheus") as prometheus, Backend(work, f"{name}-backend") as backend:
        with Collector(work, name, binary, ["pipeline.yaml"], backend, prometheus) as collector:
            send_all(work, collector)
            arrived(backend, [prometheus])
            code = collector.stop()
            check(f"{name}: pipeline.yaml runs as it is and SIGTERM exits 0", code == 0, collector.tail())
        until("the file to be whole", lambda: enough(backend), 10)
        series = sorted((tuple(sorted(labels.items())), number) for labels, number in prometheus.samples())
        marks = sorted(
            (tuple(sorted(entry["seriesLabels"].items())), exemplar["value"], tuple(sorted(exemplar["labels"].keys())))
            for entry in prometheus.exemplars() for exemplar in entry["exemplars"]
        )
        return {"otlp": canonical.items(backend.requests()), "series": series, "exemplars": marks}


def drop_in(work):
    """The same file on both collectors: the backends hold the same but for what `differences.py` names."""
    sluice = snapshot(work, "sluice-same-file", SLUICE)
    upstream = snapshot(work, "go-same-file", OTELCOL)
    for name, ok, detail in differences.compare(upstream, sluice):
        check(name, ok, detail)


def first_run(work):
    """Without a configuration: what real clients send shows up in the terminal, redacted."""
    with FirstRun(work, "sluice-first-run", SLUICE) as collector:
        send_all(work, collector)
        for what in ("charge ", "mail to ", "orders, ask ", "shop.queue.depth", "python-grpc", "python-http", "node-json", "telemetrygen"):
            try:
                until(f"{what!r} in the terminal", lambda: what in collector.log.read_text(), 10)
                check(f"first run: {what!r} is shown", True)
            except TimeoutError as error:
                check(f"first run: {what!r} is shown", False, error)
        clean_exit(collector)
        hits = SECRETS.findall(collector.log.read_text())
        check("first run: no e-mail or card number in the terminal", not hits, hits[:8])


def refusing(work):
    """SDKs that are refused for a while lose nothing."""
    refusals.refusals(work, SLUICE, check)


def over_http(work):
    """OTLP/HTTP in every encoding and compression loses and changes nothing."""
    otlp_http.otlp_http(work, SLUICE, check)


def to_files(work):
    """Files as the Go Collector writes them."""
    files.files(work, SLUICE, check)


def sampled(work):
    """Whole traces sampled, logs and exemplars with them."""
    correlated.correlated(work, SLUICE, check)


def who_may_send(work):
    """SDKs that show credentials."""
    authenticated.authenticated(work, SLUICE, check)


def native_histograms(work):
    """Native histograms and custom buckets, and receivers that read remote write 1.0 only."""
    histograms_of_sdks(work, SLUICE, check)


def matrix(work):
    """Every field over every protocol and compression between Sluice and the Go Collector, both ways."""
    from exact.matrix import matrix
    matrix(work, SLUICE, check)


def relay(work):
    """Every field through Sluice alone: the same bytes, and the same meaning between protobuf and JSON."""
    from exact.relay import relay
    relay(work, SLUICE, check)


def sdks(work):
    """What the Python, Node and Go SDKs send."""
    from exact.sdks import sdks
    sdks(work, SLUICE, check)


def examples(work):
    """The example files of the OTLP definitions, sent by curl."""
    from exact.examples import examples
    examples(work, SLUICE, check)


def ids(work):
    """Items that a destination cannot read cost no other item."""
    from exact.ids import ids
    ids(work, SLUICE, check)


def h2spec(work):
    """Both listeners keep the rules of HTTP/2."""
    conformance.conformance(work, SLUICE, check)


# By their names on the command line, some of them alone. Those of `exact/` import the definitions of OTLP from the peers' Python,
# and so they do when they run.
PARTS = (first_run, main_job, refusing, drop_in, over_http, to_files, sampled, who_may_send, native_histograms, matrix, relay, sdks,
         examples, ids, h2spec)


def main():
    # Ended from outside, it takes its children along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lacking = missing()
    if lacking:
        print(f"MISSING PEERS: {', '.join(lacking)} (tests/peers/install.sh)", flush=True)
        strict = os.environ.get("CI") == "true"
        print(f"0 passed, {1 if strict else 0} failed" + ("" if strict else " (all skipped)"))
        return 1 if strict else 0
    keep = os.environ.get("INTEROP_WORK")
    with tempfile.TemporaryDirectory(prefix="sluice-interop-") as directory:
        work = pathlib.Path(keep or directory)
        work.mkdir(parents=True, exist_ok=True)
        for part in [part for part in PARTS if part.__name__ in sys.argv[1:] or len(sys.argv) == 1]:
            try:
                part(work)
            except Exception as error:
                check(f"{part.__name__} runs to its end", False, error)
                traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
