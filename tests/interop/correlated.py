"""A shop whose traces are sampled as a whole: what is dropped is gone from every backend, what is kept is there with its logs and
may have exemplars. One backend gets everything, undecided; from it every verdict is worked out once more, plainly."""

import collections
import json
import subprocess

from peers import HERE, Backend, Collector, Prometheus, get, until

SEED = 7
SECONDS = 12
# T of the rule `rest`: one in four.
THRESHOLD = 0xC << 52
ROUTES = ("http.route", "rpc.method", "messaging.destination.name")
STATUSES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
KINDS = tuple(f"SPAN_KIND_{kind}" for kind in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))


def plain(value):
    """An attribute's value."""
    kind, inner = next(iter(value.items()), ("", None))
    return int(inner) if kind == "intValue" else inner


def attributes(item):
    return {pair["key"]: plain(pair.get("value", {})) for pair in item.get("attributes", [])}


def items(requests, outer, inner, kind):
    """[(attributes of the resource, item)]"""
    return [(attributes(group.get("resource", {})), item) for request in requests for group in request.get(outer, [])
            for scope in group.get(inner, []) for item in scope.get(kind, [])]


class Got:
    """What a backend has: spans by ids, logs by number."""

    def __init__(self, backend):
        requests = backend.requests()
        self.span_list = items(requests, "resourceSpans", "scopeSpans", "spans")
        self.log_list = items(requests, "resourceLogs", "scopeLogs", "logRecords")
        self.spans = {(span["traceId"], span["spanId"]): span for _, span in self.span_list}
        self.services = {(span["traceId"], span["spanId"]): resource["service.name"] for resource, span in self.span_list}
        self.logs = {attributes(log)["log.record.uid"]: log for _, log in self.log_list}
        self.roots = {span["traceId"]: key for key, span in self.spans.items() if not span.get("parentSpanId")}

    def traces(self):
        return {trace for trace, _ in self.spans} | {log["traceId"] for log in self.logs.values() if log.get("traceId")}

    def counts(self):
        return len(self.span_list), len(self.log_list)


def randomness(trace):
    return int(trace[18:], 16)


def verdicts(got):
    """{trace: threshold it is kept at, or None}, by the rules of correlated.yaml."""
    spans, logs = collections.defaultdict(list), collections.defaultdict(list)
    for (trace, _), span in got.spans.items():
        spans[trace].append(span)
    for log in got.logs.values():
        if log.get("traceId"):
            logs[log["traceId"]].append(log)
    found = {}
    for trace in set(spans) | set(logs):
        if any(attributes(span).get("url.path") == "/cart" for span in spans[trace]):
            found[trace] = None
            continue
        times = [(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])) for span in spans[trace]]
        sure = any(span.get("status", {}).get("code") == 2 for span in spans[trace])
        sure = sure or any(log.get("severityNumber", 0) >= 17 for log in logs[trace])
        sure = sure or bool(times) and max(end for _, end in times) - min(start for start, _ in times) > 1_000_000_000
        found[trace] = 0 if sure else THRESHOLD if randomness(trace) >= THRESHOLD else None
    return found


def series(collector):
    """[(name, labels as text, value)] of the collector's own metrics."""
    for line in get(f"http://127.0.0.1:{collector.metrics}/metrics").decode().splitlines():
        if not line.startswith("#"):
            name, number = line.rsplit(" ", 1)
            yield name.split("{")[0], name.partition("{")[2], float(number)


def total(collector, name, *labels):
    return sum(number for one, text, number in series(collector) if one == name and all(label in text for label in labels))


def log_problems(log, span, key, everything, threshold):
    """What a log of a kept trace lacks, or has wrong."""
    has, of_span, want = attributes(log), attributes(span) if span else {}, {"trace.sampled": True}
    if span:
        want["span.name"] = span["name"]
        want["span.kind"] = KINDS[span.get("kind", 0)]
        want["span.status_code"] = STATUSES[span.get("status", {}).get("code", 0)]
        for route in [route for route in ROUTES if route in of_span][:1]:
            want[route] = of_span[route]
        if "http.response.status_code" in of_span:
            want["http.response.status_code"] = of_span["http.response.status_code"]
        if root := everything.roots.get(log["traceId"]):
            want["trace.root.service.name"] = everything.services[root]
            want["trace.root.span.name"] = everything.spans[root]["name"]
    if threshold:
        want["sampling.threshold"] = f"{threshold:014x}".rstrip("0")
        want["sampling.randomness"] = f"{randomness(log['traceId']):014x}"
    else:
        want["sampling.threshold"] = None
    wrong = {name: (has.get(name), value) for name, value in want.items() if has.get(name) != value}
    if log.get("flags", 0) & 1 != 1:
        wrong["flags"] = log.get("flags")
    return (key, wrong) if wrong else None


def span_problems(span, logs, threshold):
    """The same for a span."""
    has, severities = attributes(span), [log.get("severityNumber", 0) for log in logs]
    want = {"log.count": len(logs)} if logs else {}
    if logs:
        want["log.warn.count"] = sum(13 <= number <= 16 for number in severities)
        want["log.error.count"] = sum(number >= 17 for number in severities)
    wrong = {name: (has.get(name), value) for name, value in want.items() if (has.get(name) or 0) != value}
    errors = [plain(log["body"]).encode()[:256].decode(errors="ignore") for log in logs if log.get("severityNumber", 0) >= 17]
    if errors and has.get("log.first_error.body") not in errors:
        wrong["log.first_error.body"] = (has.get("log.first_error.body"), errors)
    if not logs and has.get("log.count"):
        wrong["log.count"] = has["log.count"]
    state = f"ot=th:{threshold:014x}".rstrip("0") if threshold else ""
    if span.get("traceState", "") != state:
        wrong["traceState"] = (span.get("traceState"), state)
    return (span["spanId"], wrong) if wrong else None


def send(work, binary, collector):
    """The shop, to its end. What it says about itself."""
    truth = work / "shop-truth.json"
    command = [binary, "send", "--scenario", "shop", "--endpoint", collector.grpc, "--seed", SEED, "--seconds", SECONDS,
               "--timers", "1s", "--traces-per-second", "20", "--truth", truth]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        raise RuntimeError(f"sluice send ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(truth.read_text())


def correlated(work, binary, check):
    with Prometheus(work, "correlated-prometheus", "prometheus.yaml") as prometheus, Backend(work, "correlated-all") as all_, \
            Backend(work, "correlated-kept") as kept:
        more = {"OTLP_ALL": all_.endpoint}
        with Collector(work, "sluice-correlated", binary, ["correlated.yaml"], kept, prometheus, more) as collector:
            truth = send(work, binary, collector)
            sent = (sum(trace["spans"] for trace in truth["traces"]), len(truth["logs"]))
            until("everything at the backend that gets all", lambda: Got(all_).counts() == sent, 20)
            # Every verdict has fallen once the window is empty.
            until("all verdicts", lambda: total(collector, "otelcol_processor_correlate_window_held_logs") == 0, 30)
            # Two flushes of the connector later, what its exemplars waited for is told.
            flushed = lambda: total(collector, "sluice_items_admitted_total", 'pipeline="metrics"')
            for _ in range(2):
                before = flushed()
                until("a flush of the connector", lambda: flushed() > before, 20)
            late = total(collector, "otelcol_processor_correlate_records_total", 'outcome="late_dropped"')
            gone = [int(total(collector, "otelcol_processor_correlate_records_total", 'outcome="dropped"', f'signal="{signal}"'))
                    for signal in ("traces", "logs")]
            dropped = [total(collector, "sluice_items_dropped_total", 'component="correlate"', 'reason="sampled"', f'signal="{signal}"')
                       for signal in ("traces", "logs")]
            refused = total(collector, "sluice_items_dropped_total", 'reason="http_400"')
            split = total(collector, "otelcol_processor_correlate_split_decisions_total")
            code = collector.stop()
            log_text = collector.log.read_text()
        check("correlate: SIGTERM drains, exits 0, and the ledger balances", code == 0 and "does not balance" not in log_text, collector.tail())
        everything, left = Got(all_), Got(kept)
        examine(check, everything, left, prometheus, truth, late)
        balance = tuple(count + number for count, number in zip(left.counts(), gone))
        check("correlate: spans and logs kept and dropped are those that came", balance == everything.counts() and split == 0,
              f"{left.counts()} + {gone}, not {everything.counts()}; {split:g} split")
        check("correlate: the ledger counts the same", late or dropped == gone, f"{dropped}, not {gone}")
        check("correlate: Prometheus refuses no sample", refused == 0, f"{refused:g} points")


def examine(check, everything, left, prometheus, truth, late):
    verdict = verdicts(everything)
    keep = {trace: threshold for trace, threshold in verdict.items() if threshold is not None}
    kinds = {"traces": len(verdict), "by chance": sum(bool(t) for t in keep.values()), "sure": sum(t == 0 for t in keep.values())}
    check("correlate: the shop has traces of every kind", all(number > 10 for number in kinds.values()), kinds)
    unknown = {trace["trace_id"] for trace in truth["traces"]} - set(verdict)
    check("correlate: every trace that was sent is there", not unknown, sorted(unknown)[:5])
    wrong = left.traces() ^ set(keep)
    # What came after its trace had been decided may have told another story.
    check("correlate: each trace has the verdict that its rules give", len(wrong) <= late, f"{len(wrong)}: {sorted(wrong)[:5]}")
    check("correlate: the rules were given all they needed", late == 0, f"{late:g} items came too late")
    keep = {trace: keep.get(trace, 0) for trace in left.traces()}

    spans = {key for key in everything.spans if key[0] in keep}
    check("correlate: a kept trace has all its spans, a dropped one none", spans == set(left.spans), spans ^ set(left.spans))
    logs = {uid for uid, log in everything.logs.items() if not log.get("traceId") or log["traceId"] in keep}
    check("correlate: and so with logs", logs == set(left.logs), sorted(logs ^ set(left.logs))[:5])

    of_span = collections.defaultdict(list)
    for log in everything.logs.values():
        of_span[log.get("traceId"), log.get("spanId")].append(log)
    traced = {uid: log for uid, log in left.logs.items() if log.get("traceId")}
    joined = [left.spans.get((log["traceId"], log.get("spanId"))) for log in traced.values()]
    problems = [log_problems(log, span, uid, everything, keep[log["traceId"]])
                for (uid, log), span in zip(traced.items(), joined)]
    problems = [problem for problem in problems if problem]
    found = sum(span is not None for span in joined)
    check(f"correlate: {found} logs carry span name, route, status, verdict and threshold", found > 200 and not problems,
          f"{len(problems)} of {len(traced)}: {problems[:3]}")
    problems = [span_problems(span, of_span[key], keep[key[0]]) for key, span in left.spans.items()]
    problems = [problem for problem in problems if problem]
    counted = sum("log.count" in attributes(span) for span in left.spans.values())
    check(f"correlate: {counted} spans carry the counts of their logs and the first error", counted > 100 and not problems,
          f"{len(problems)} of {len(left.spans)}: {problems[:3]}")
    exemplars(check, left, prometheus)


def exemplars(check, left, prometheus):
    own, made = [], []
    for entry in prometheus.exemplars():
        name = entry["seriesLabels"]["__name__"]
        (made if name.startswith("traces_span_metrics") else own).extend(one["labels"] for one in entry["exemplars"])
    dangling = [labels for labels in own + made if (labels["trace_id"], labels["span_id"]) not in left.spans]
    check(f"correlate: {len(own)} exemplars of applications and {len(made)} of the connector point to spans that are there",
          len(own) >= 20 and len(made) >= 20 and not dangling, f"{len(dangling)}: {dangling[:3]}")
    lines = get(f"http://127.0.0.1:{prometheus.port}/metrics").decode().splitlines()
    refused = [line for line in lines if line.startswith("prometheus_tsdb_exemplar_out_of_order_exemplars_total")]
    check("correlate: Prometheus takes every exemplar in its order", refused and refused[0].endswith(" 0"), refused)
