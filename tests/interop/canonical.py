"""Telemetry without what differs between any two runs: times, ids, order, grouping into requests."""

import json

TIMES = {
    "timeUnixNano", "startTimeUnixNano", "endTimeUnixNano", "observedTimeUnixNano", "traceId", "spanId", "parentSpanId",
}
GROUPS = (
    ("resourceSpans", "scopeSpans", ("spans",)),
    ("resourceLogs", "scopeLogs", ("logRecords",)),
    ("resourceMetrics", "scopeMetrics", ("metrics",)),
)


def value(node):
    """A field: maps and attribute lists in one order, times and ids only as being there."""
    if isinstance(node, dict):
        return {key: "set" if key in TIMES else value(inner) for key, inner in sorted(node.items())}
    if isinstance(node, list):
        items = [value(inner) for inner in node]
        if items and all(isinstance(item, dict) and "key" in item for item in items):
            items.sort(key=lambda item: item["key"])
        return items
    return node


def items(requests):
    """One line of JSON per span, log record and data point, each with its resource and scope; sorted."""
    found = []
    for request in requests:
        for outer, inner, kinds in GROUPS:
            for resource in request.get(outer, []):
                about = {key: part for key, part in resource.items() if key != inner}
                for scope in resource.get(inner, []):
                    under = {key: part for key, part in scope.items() if key not in kinds}
                    for kind in kinds:
                        for item in scope.get(kind, []):
                            for point in points(item) if kind == "metrics" else [item]:
                                record = {"resource": about, "scope": under, kind: point}
                                found.append(json.dumps(value(record), sort_keys=True))
    return sorted(found)


def points(metric):
    """A metric per data point."""
    for kind in ("gauge", "sum", "histogram", "exponentialHistogram", "summary"):
        if kind in metric:
            for point in metric[kind].get("dataPoints", []):
                yield {**metric, kind: {**metric[kind], "dataPoints": [point]}}


def count(requests):
    """(spans, log records, data points)."""
    lines = items(requests)
    return tuple(sum(f'"{kind}": ' in line for line in lines) for kind in ("spans", "logRecords", "metrics"))
