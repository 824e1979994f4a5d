"""Every item over `otlp_http`, exactly, through two Sluices to the Go Collector. One alone is the matter of `exact/matrix.py`.

What must arrive is what the Go Collector writes when it gets the very same requests directly."""

import json
import urllib.request

from canonical import GROUPS
from peers import Backend, Collector, until

# Every encoding with every compression that the Go Collector reads.
ROWS = [
    (encoding, compression)
    for encoding in ("proto", "json")
    for compression in ("none", "gzip", "zstd", "deflate", "snappy", "lz4")
]
TIME = 1_760_000_000_123_456_789


def attributes(number):
    """One attribute of each kind, and values that a careless encoder loses."""
    values = [
        {"stringValue": "text"}, {"stringValue": ""}, {"stringValue": 'quotes " \\ \n \t \u0001 \u2028 \U0001f600 ü'},
        {"boolValue": True}, {"boolValue": False}, {"intValue": str(number)}, {"intValue": "-9223372036854775808"},
        {"intValue": "9223372036854775807"}, {"doubleValue": 0.1}, {"doubleValue": -1.5e-300}, {"doubleValue": 0.0},
        {"bytesValue": "AP/+Kz8="}, {"bytesValue": ""},
        {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {"arrayValue": {"values": []}}]}},
        {"kvlistValue": {"values": [{"key": "in", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}}]}},
        {},
    ]
    return [{"key": f"key.{index}", "value": value} for index, value in enumerate(values)]


def about(number, outer, inner, kind, items):
    """A request of one resource and scope."""
    scope = {"name": "scope", "version": "1.2", "attributes": attributes(number), "droppedAttributesCount": 3}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": f"shop-{number}"}}, *attributes(number)], "droppedAttributesCount": 1}
    scopes = [{"scope": scope, "schemaUrl": "https://example.com/scope", kind: items}]
    return {outer: [{"resource": resource, "schemaUrl": "https://example.com/resource", inner: scopes}]}


def traces(number):
    def span(index):
        return {
            "traceId": f"{number:016x}{index + 1:016x}", "spanId": f"{index + 1:016x}", "parentSpanId": f"{index + 77:016x}",
            "traceState": "a=b,c=d", "name": f"span {index}", "kind": index % 6, "flags": 769,
            "startTimeUnixNano": str(TIME), "endTimeUnixNano": str(TIME + index), "attributes": attributes(index),
            "droppedAttributesCount": 4294967295, "droppedEventsCount": 2, "droppedLinksCount": 3,
            "events": [{"timeUnixNano": str(TIME), "name": "event", "attributes": attributes(1), "droppedAttributesCount": 1}],
            "links": [{"traceId": "0f" * 16, "spanId": "0e" * 8, "traceState": "x=y", "attributes": attributes(2), "flags": 256}],
            "status": {"code": index % 3, "message": "why"},
        }
    return about(number, "resourceSpans", "scopeSpans", "spans", [span(index) for index in range(7)])


def logs(number, amount=9):
    bodies = [attribute["value"] for attribute in attributes(number)]
    def record(index):
        return {
            "timeUnixNano": str(TIME + index), "observedTimeUnixNano": str(TIME + 5), "severityNumber": index % 25,
            "severityText": "Warn", "body": bodies[index % len(bodies)], "attributes": attributes(index)[:index % 17],
            "traceId": "ab" * 16, "spanId": "cd" * 8, "flags": 1, "eventName": f"event.{index}",
        }
    return about(number, "resourceLogs", "scopeLogs", "logRecords", [record(index) for index in range(amount)])


def metrics(number):
    times = {"startTimeUnixNano": str(TIME), "timeUnixNano": str(TIME + 1), "attributes": attributes(3)}
    exemplars = [{"timeUnixNano": str(TIME), "asInt": "-7", "spanId": "01" * 8, "traceId": "02" * 16, "filteredAttributes": attributes(1)},
                 {"timeUnixNano": str(TIME), "asDouble": 0.25}]
    histogram = {**times, "count": "6", "sum": 3.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.1, 1.0], "min": 0.0, "max": 2.5, "exemplars": exemplars}
    exponential = {
        **times, "count": "18446744073709551615", "sum": -1.0, "scale": -3, "zeroCount": "2", "zeroThreshold": 1e-9, "flags": 1,
        "positive": {"offset": -5, "bucketCounts": ["1", "0", "4"]}, "negative": {"offset": 2, "bucketCounts": ["9"]}, "exemplars": exemplars,
    }
    kinds = [
        {"gauge": {"dataPoints": [{**times, "asDouble": 42.5}, {**times, "asInt": "-9223372036854775808"}, {**times, "flags": 1}]}},
        {"sum": {"dataPoints": [{**times, "asInt": "0", "exemplars": exemplars}], "aggregationTemporality": 2, "isMonotonic": True}},
        {"sum": {"dataPoints": [{**times, "asDouble": -0.5}], "aggregationTemporality": 1}},
        {"histogram": {"dataPoints": [histogram], "aggregationTemporality": 1}},
        {"exponentialHistogram": {"dataPoints": [exponential], "aggregationTemporality": 2}},
        {"summary": {"dataPoints": [{**times, "count": "3", "sum": 1.5, "quantileValues": [{"quantile": 0.5, "value": 0.25}, {"quantile": 1.0}]}]}},
    ]
    items = [
        {"name": f"metric.{index}", "description": "what it is", "unit": "By", "metadata": attributes(4), **kind}
        for index, kind in enumerate(kinds)
    ]
    return about(number, "resourceMetrics", "scopeMetrics", "metrics", items)


def requests():
    """All that is sent: small requests of each signal, and one that is worth compressing elsewhere."""
    small = [(path, make(number)) for number in range(3) for path, make in (("traces", traces), ("logs", logs), ("metrics", metrics))]
    return [*small, ("logs", logs(9, 3000))]


def post(address, path, request):
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(f"http://{address}/v1/{path}", body, headers)
    with urllib.request.urlopen(sent, timeout=30) as answer:
        answer.read()


def items(written):
    """One line of JSON for each item with its resource and scope, nothing left out; sorted."""
    found = []
    for request in written:
        for outer, inner, (kind,) in GROUPS:
            for resource in request.get(outer, []):
                about_it = {key: part for key, part in resource.items() if key != inner}
                for scope in resource.get(inner, []):
                    under = {key: part for key, part in scope.items() if key != kind}
                    found += [json.dumps([about_it, under, item], sort_keys=True) for item in scope.get(kind, [])]
    return sorted(found)


def arrived(backend, amount):
    try:
        until("every item", lambda: len(items(backend.requests())) >= amount, 30)
    except TimeoutError:
        pass  # the comparison says what is missing
    return items(backend.requests())


def compare(check, name, got, expected):
    missing = sorted(set(expected) - set(got))
    surplus = sorted(set(got) - set(expected))
    check(name, got == expected, f"{len(got)} of {len(expected)} items; missing {missing[:1]}, surplus {surplus[:1]}")


def otlp_http(work, sluice, check):
    sent = requests()
    with Backend(work, "otlp-http-direct") as backend:
        for path, request in sent:
            post(backend.http, path, request)
        amount = sum(len(scope[kind]) for _, request in sent for outer, inner, (kind,) in GROUPS
                     for resource in request.get(outer, []) for scope in resource[inner])
        expected = arrived(backend, amount)
        check("otlp_http: the Go Collector takes all that is sent", len(expected) == amount, len(expected))
    for encoding, compression in ROWS:
        row = f"{encoding}-{compression}"
        how = {"ENCODING": encoding, "COMPRESSION": compression}
        with Backend(work, f"otlp-http-chain-{row}") as backend:
            # The second one gets what is compressed already, and hands it on as it came where that is protobuf.
            with Collector(work, f"sluice-second-{row}", sluice, ["otlp_http.yaml"], Target(backend.http), None, how) as second, \
                    Collector(work, f"sluice-first-{row}", sluice, ["otlp_http.yaml"], Target(second.http), None, how) as first:
                for path, request in sent:
                    post(first.http, path, request)
                compare(check, f"otlp_http {row}: sluice to sluice to go, every item", arrived(backend, amount), expected)
                deprecated = '"otlphttp" alias is deprecated; use "otlp_http" instead'
                check(f"otlp_http {row}: the old name is warned of", deprecated in first.log.read_text(), first.tail())
                check(f"otlp_http {row}: exits 0", (first.stop(), second.stop()) == (0, 0), first.tail())

    file_exporter(work, sluice, check, sent, expected)


def file_exporter(work, sluice, check, sent, expected):
    """What Sluice writes to a file is OTLP/JSON that the Go Collector takes, every item of it."""
    out = work / "made" / "out.json"
    with Collector(work, "sluice-file", sluice, ["file.yaml"], Target(""), None, {"OUT": out}) as collector:
        for path, request in sent:
            post(collector.http, path, request)
        check("file: exits 0", collector.stop() == 0, collector.tail())
    paths = {outer: path for (outer, _, _), path in zip(GROUPS, ("traces", "logs", "metrics"))}
    with Backend(work, "file-direct") as backend:
        for line in out.read_text().split("\n")[:-1]:
            request = json.loads(line)
            [outer] = request
            post(backend.http, paths[outer], request)
        compare(check, "file: every item, as JSON lines", arrived(backend, len(expected)), expected)


class Target:
    """Where a collector sends to."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
