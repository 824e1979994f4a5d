"""Histograms of SDKs at Prometheus as native histograms, each bucket compared with the observations themselves; and receivers
that read remote write 1.0 only: the exporter falls back, once for each, and nothing is missing."""

import bisect
import json
import math
import random
import subprocess
import time
import urllib.parse

from first_version import FirstVersion
from peers import HERE, NODE_MODULES, PEERS, PYTHON, Collector, Process, Prometheus, get, port, until

VICTORIA = PEERS / "bin/victoria-metrics"
BOUNDS = [0.005, 0.05, 0.1, 0.5, 1.0, 2.5]
JOBS = {"python-histograms": "p1", "node-histograms": "n1"}
EXPORTER = "prometheus_remote_write"


class Victoria(Process):
    """A VictoriaMetrics: reads remote write 1.0 only, and takes 2.0 for an empty request."""

    def __init__(self, work, name):
        self.port = port()
        super().__init__(work, name, [
            VICTORIA, f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={work}/{name}.data",
            "-search.latencyOffset=0s", "-memory.allowedBytes=64MB",
        ])
        self.write = f"http://127.0.0.1:{self.port}/api/v1/write"
        until(f"{name} to be ready", lambda: get(f"http://127.0.0.1:{self.port}/health"))

    def samples(self):
        """{labels: {milliseconds: value}} of all series."""
        get(f"http://127.0.0.1:{self.port}/internal/force_flush")
        match = urllib.parse.quote('{__name__!=""}')
        lines = get(f"http://127.0.0.1:{self.port}/api/v1/export?match[]={match}").decode().splitlines()
        found = (json.loads(line) for line in lines)
        return {key(one["metric"]): dict(zip(one["timestamps"], one["values"])) for one in found}


def key(labels):
    return tuple(sorted(labels.items()))


def load(seed):
    """Three rounds of observations on three routes: around a value, over decades with some zeros, and so close together that the
    SDK's scale is finer than Prometheus has one."""
    rng = random.Random(seed)
    rounds = []
    for size in (40, 400, 900):
        rounds.append({
            "/pay": [rng.lognormvariate(-2, 1.2) for _ in range(size)],
            "/cart": [0.0 if rng.random() < 0.1 else 10 ** rng.uniform(-6, 3) for _ in range(size)],
            "/tick": [rng.uniform(1.0, 1.02) for _ in range(size)],
        })
    return {"bounds": BOUNDS, "rounds": rounds}


def truth(rounds):
    """The observations of each route, sorted."""
    return {route: sorted(one for observed in rounds for one in observed[route]) for route in rounds[0]}


def raw(prometheus):
    """{labels: {milliseconds: value}} of all samples as they were written, floats and native histograms apart."""
    floats, natives = {}, {}
    for series in prometheus.api("query", query='{__name__=~".+"}[1h]')["result"]:
        labels = key(series["metric"])
        for at, value in series.get("values", []):
            floats.setdefault(labels, {})[round(at * 1000)] = float(value)
        for at, value in series.get("histograms", []):
            natives.setdefault(labels, {})[round(at * 1000)] = (int(value["count"]), float(value["sum"]))
    return floats, natives


def native(prometheus, selector):
    """Count, sum and [(lower, upper, count)] of the one native histogram that the selector finds."""
    found = prometheus.api("query", query=f"last_over_time({selector}[1h])")["result"]
    if len(found) != 1 or "histogram" not in found[0]:
        raise ValueError(f"{selector}: {found!s:.500}")
    histogram = found[0]["histogram"][1]
    buckets = [(int(rule), float(low), float(high), float(count)) for rule, low, high, count in histogram.get("buckets", [])]
    return float(histogram["count"]), float(histogram["sum"]), buckets


def between(observed, rule, low, high):
    """Observations in a bucket. Rule 0 is open on the left, 3 is closed on both sides."""
    left = bisect.bisect_left if rule in (1, 3) else bisect.bisect_right
    right = bisect.bisect_right if rule in (0, 3) else bisect.bisect_left
    return right(observed, high) - left(observed, low)


def number(prometheus, promql):
    found = prometheus.query(promql)
    return found[0][1] if len(found) == 1 else math.nan


def close(got, want):
    return abs(got - want) <= 1e-9 * max(abs(got), abs(want))


def whole(check, name, prometheus, selector, observed):
    """Count, sum and each bucket are those of the observations. Returns the buckets."""
    try:
        count, total, buckets = native(prometheus, selector)
    except ValueError as error:
        check(f"{name}: is a native histogram", False, error)
        return []
    check(f"{name}: count", count == len(observed), f"{count}, not {len(observed)}")
    check(f"{name}: sum", close(total, math.fsum(observed)), f"{total}, not {math.fsum(observed)}")
    check(f"{name}: histogram_count", number(prometheus, f"histogram_count(last_over_time({selector}[1h]))") == len(observed))
    check(f"{name}: histogram_sum", close(number(prometheus, f"histogram_sum(last_over_time({selector}[1h]))"), math.fsum(observed)))
    wrong = [bucket for bucket in buckets if between(observed, *bucket[:3]) != bucket[3]]
    held = sum(count for *_, count in buckets)
    check(f"{name}: each of {len(buckets)} buckets holds the observations between its bounds",
          not wrong and held == len(observed), f"{held} of {len(observed)}; {wrong[:5]}")
    return buckets


def quantiles(check, name, prometheus, selector, observed, error_of):
    """Quantiles by PromQL are no farther from the true ones than a bucket is wide."""
    bad = []
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.9, 0.99):
        got = number(prometheus, f"histogram_quantile({quantile}, last_over_time({selector}[1h]))")
        want = observed[math.ceil(quantile * len(observed)) - 1]
        low, high = error_of(want)
        if not low <= got <= high:
            bad.append((quantile, got, want, low, high))
    check(f"{name}: histogram_quantile within a bucket of the true one", not bad, bad)


def exponential(check, name, prometheus, selector, observed):
    buckets = whole(check, name, prometheus, selector, observed)
    positive = [bucket for bucket in buckets if bucket[0] == 0 and bucket[1] > 0]
    if not positive:
        check(f"{name}: has exponential buckets", False, buckets)
        return
    base = positive[0][2] / positive[0][1]
    check(f"{name}: buckets grow by 2^(2^-scale)", math.isclose(math.log2(base), 2.0 ** round(math.log2(math.log2(base))), rel_tol=1e-6), base)
    if observed[-1] < 1.03:
        check(f"{name}: what was finer is merged to schema 8", math.isclose(base, 2 ** (2 ** -8), rel_tol=1e-9), base)
    check(f"{name}: zeros are in the zero bucket", sum(count for rule, *_, count in buckets if rule == 3) == observed.count(0.0), buckets[:3])
    quantiles(check, name, prometheus, selector, observed, lambda want: (want / base, want * base) if want else (-1e-9, 1e-9))


def custom(check, name, prometheus, selector, observed):
    buckets = whole(check, name, prometheus, selector, observed)
    highs = {high for _, _, high, _ in buckets}
    check(f"{name}: the bounds are the application's", highs <= set(BOUNDS) | {math.inf}, sorted(highs))

    def error_of(want):
        at = bisect.bisect_left(BOUNDS, want)
        return (BOUNDS[at - 1] if at else 0.0), BOUNDS[min(at, len(BOUNDS) - 1)]
    # What is above the last bound is told as the last bound.
    quantiles(check, name, prometheus, selector, observed, lambda want: (BOUNDS[-1], BOUNDS[-1]) if want > BOUNDS[-1] else error_of(want))


def classic(samples, job, route, observed, suffix="shop_latency_seconds"):
    """What is wrong with the last values of a classic histogram."""
    last = {}
    for labels, values in samples.items():
        labels = dict(labels)
        if labels["__name__"].startswith(suffix) and labels.get("job") == job and labels.get("route") == route:
            last[labels["__name__"].removeprefix(suffix), labels.get("le", "")] = values[max(values)]
    wrong = [bound for bound in BOUNDS
             if not any(last.get(("_bucket", text)) == bisect.bisect_right(observed, bound) for text in (f"{bound:g}", str(bound)))]
    if last.get(("_bucket", "+Inf")) != len(observed) or last.get(("_count", "")) != len(observed):
        wrong.append("count")
    if not close(last.get(("_sum", ""), math.nan), math.fsum(observed)):
        wrong.append("sum")
    return [wrong, last] if wrong else []


def metrics(collector):
    return get(f"http://127.0.0.1:{collector.metrics}/metrics").decode()


def metric(text, name, **labels):
    """The value of the one series of this name that has these labels."""
    for line in text.splitlines():
        if line.startswith(name + "{") and all(f'{label}="{value}"' in line for label, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


def send(work, collector):
    """Both SDKs, one after the other. Returns what they observed."""
    observed = {}
    for job, instance in JOBS.items():
        given = load(job)
        path = work / f"{job}.json"
        path.write_text(json.dumps(given))
        if job.startswith("python"):
            command, env = [PYTHON, HERE / "clients/histograms.py", collector.grpc], {}
        else:
            command, env = ["node", HERE / "clients/histograms.js", collector.http], {"NODE_PATH": NODE_MODULES}
        with Process(work, job, command + [job, instance, path], env) as client:
            try:
                code = client.child.wait(60)
            except subprocess.TimeoutExpired:
                code = "no end after 60 s"
            if code != 0:
                raise RuntimeError(f"{job} ended with {code}:\n{client.tail()}")
        observed[job] = truth(given["rounds"])
    return observed


def fell_back(check, name, collector, text):
    exporter = f"{EXPORTER}/{name}"
    told = [line for line in collector.log.read_text().splitlines() if "does not read remote write 2.0" in line and exporter in line]
    check(f"{name}: the log tells of the fallback in one line", len(told) == 1, told)
    values = [metric(text, f"sluice_remote_write_{what}", exporter=exporter) for what in ("fallbacks_total", "protocol_version")]
    check(f"{name}: the metrics show one fallback, and version 1", values == [1, 1], values)
    missing = metric(text, "sluice_remote_write_left_out_total", exporter=exporter, kind="start_timestamp")
    check(f"{name}: start times that 1.0 has no place for are counted", missing and missing > 0, missing)


def native_histograms(work, sluice, check):
    first_only = ["prometheus.WriteRequest"]
    with Prometheus(work, "both") as both, Prometheus(work, "custom") as nhcb, \
            Prometheus(work, "first", accepted=first_only) as first, FirstVersion() as strict, Victoria(work, "victoria") as victoria:
        env = {"BOTH": both.write, "CUSTOM": nhcb.write, "FIRST": first.write, "STRICT": strict.write, "VICTORIA": victoria.write}
        with Collector(work, "sluice-histograms", sluice, ["native_histograms.yaml"], None, None, env) as collector:
            observed = send(work, collector)
            # Everything is there when all destinations have said so.
            time_limit = time.monotonic() + 30
            while time.monotonic() < time_limit:
                queues = [line for line in metrics(collector).splitlines() if line.startswith("otelcol_exporter_queue_size{")]
                if queues and all(line.endswith(" 0") for line in queues):
                    break
                time.sleep(0.2)
            text = metrics(collector)
            code = collector.stop()
            check("histograms: SIGTERM drains and exits 0", code == 0, collector.tail())
            check("histograms: the loss ledger balances", "does not balance" not in collector.log.read_text(), collector.tail())

        floats, natives = raw(both)

        def short():
            found = victoria.samples()
            return [labels for labels, values in floats.items()
                    if dict(labels)["__name__"] != "target_info" and len(found.get(labels, {})) != len(values)]
        try:
            # VictoriaMetrics shows new series some seconds after it has taken them.
            until("all series at VictoriaMetrics", lambda: not short(), 30)
        except TimeoutError:
            pass  # the check says what is missing
        check("victoria: each float sample is there", not short(), short()[:3])
        stored = victoria.samples()
        for job, routes in observed.items():
            for route, values in routes.items():
                at = f'{{job="{job}",route="{route}"}}'
                for name, prometheus in (("2.0", both), ("1.0", first)):
                    exponential(check, f"{job} {route} over {name}", prometheus, f"shop_payment_seconds{at}", values)
                custom(check, f"{job} {route} with custom buckets", nhcb, f"shop_latency_seconds{at}", values)
                for name, samples in (("2.0", floats), ("1.0, custom buckets asked for", raw(first)[0]), ("strict", strict.floats), ("victoria", stored)):
                    wrong = classic(samples, job, route, values)
                    check(f"{job} {route} {name}: the classic histogram", not wrong, wrong)
                count = {key_: value for key_, value in stored.items()
                         if dict(key_)["__name__"] == "shop_payment_seconds_count" and dict(key_).get("job") == job and dict(key_).get("route") == route}
                last = [value[max(value)] for value in count.values()]
                check(f"{job} {route} victoria: the count of what was exponential", last == [len(values)], last)
        leftover = [labels for labels in raw(nhcb)[0] if dict(labels)["__name__"].startswith("shop_latency")]
        check("custom buckets: no classic series beside them", not leftover, leftover[:3])

        check("strict: every rule of 1.0 is kept", not strict.faults, strict.faults[:5])
        check("strict: 2.0 was tried once", strict.refused == 1, strict.refused)
        check("strict: every float sample of the 2.0 receiver is there, and no other", strict.floats == floats,
              f"{len(strict.floats)} and {len(floats)} series; {[labels for labels in floats if strict.floats.get(labels) != floats[labels]][:3]}")
        check("strict: every native histogram is there, and no other", strict.natives == natives and len(natives) == len(JOBS) * 3,
              f"{len(strict.natives)} and {len(natives)} series")
        rounds = {len(values) for labels, values in natives.items()}
        check("each push is a sample", rounds == {3}, rounds)
        for name in ("first", "strict", "victoria"):
            fell_back(check, name, collector, text)
        for name in ("both", "custom"):
            exporter = f"{EXPORTER}/{name}"
            values = [metric(text, f"sluice_remote_write_{what}", exporter=exporter) for what in ("fallbacks_total", "protocol_version")]
            check(f"{name}: 2.0 is spoken, and there was no fallback", values == [0, 2], values)
        lost = [line for line in text.splitlines() if line.startswith(("otelcol_exporter_send_failed", "sluice_dropped")) and not line.endswith(" 0")]
        check("histograms: nothing was dropped on the way", not lost, lost)
