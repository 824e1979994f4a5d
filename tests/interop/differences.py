"""The differences between what lies behind Sluice and behind the Go Collector that are meant. DIFFERENCES.md explains each.

Each is a place whose text Sluice masks and the Go Collector leaves. The comparison masks exactly these places in what the Go
Collector wrote, and then wants both to be equal; a difference that no longer shows is an error too."""

import json
import re

# The patterns of configs/pipeline.yaml.
PATTERNS = re.compile(
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}|\b4[0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}\b", re.ASCII
)
# Name: where in an item, as a path of field names.
PLACES = {
    "values inside arrays and maps": re.compile(r".*\.attributes\.value\.(arrayValue|kvlistValue)\..*stringValue"),
    "attributes of span links": re.compile(r"spans\.links\.attributes\.value\.stringValue"),
    "names of span events": re.compile(r"spans\.events\.name"),
    "names of spans": re.compile(r"spans\.name"),
    "status messages of spans": re.compile(r"spans\.status\.message"),
    "descriptions of metrics": re.compile(r"metrics\.description"),
}


def _masked(node, path, seen):
    if isinstance(node, dict):
        return {key: _masked(inner, f"{path}.{key}" if path else key, seen) for key, inner in node.items()}
    if isinstance(node, list):
        return [_masked(inner, path, seen) for inner in node]
    if isinstance(node, str) and PATTERNS.search(node):
        for name, place in PLACES.items():
            if place.fullmatch(path):
                seen.add(name)
                return PATTERNS.sub("****", node)
    return node


def _label(value):
    """A label made of an array or a map: the same difference, as Prometheus shows it."""
    return PATTERNS.sub("****", value) if value.startswith(("[", "{")) else value


def _labels(line):
    labels, *rest = line
    return (tuple((name, _label(value)) for name, value in labels), *rest)


def compare(upstream, sluice):
    """Yields (check, passed, detail)."""
    seen = set()
    expected = {
        "otlp": sorted(json.dumps(_masked(json.loads(line), "", seen), sort_keys=True) for line in upstream["otlp"]),
        "series": sorted(_labels(line) for line in upstream["series"]),
        "exemplars": sorted(_labels(line) for line in upstream["exemplars"]),
    }
    for part, lines in expected.items():
        rest = list(sluice[part])
        only_upstream = [line for line in lines if line not in rest or rest.remove(line)]
        detail = [f"GO     {line}" for line in only_upstream] + [f"SLUICE {line}" for line in rest]
        same = bool(lines) and not only_upstream and not rest
        yield f"same file: {len(lines)} {part} are equal but for the listed differences", same, "\n" + "\n".join(detail)
    for name in PLACES:
        yield f"same file: the listed difference is there: {name}", name in seen, "the Go Collector masks it too: take it off the list"
