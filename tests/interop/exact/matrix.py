"""Both directions between Sluice and the Go Collector, over each protocol in each compression that both know.

The corpus goes `first Go Collector -> Sluice -> second Go Collector`, and from Sluice alone to the second one; every way has
listeners, pipelines and files of its own, so that one process of each kind serves them all."""

import collections

from exact import corpus, go, otlp
from exact.parts import SIGNALS, Config, Row, arrived, parsed, post
from exact.unknown import with_unknown_fields
from peers import port

GRPC = ("none", "gzip", "zstd", "snappy")
HTTP = ("none", "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed")
ROWS = [("grpc", one) for one in GRPC] + [(protocol, one) for protocol in ("proto", "json") for one in HTTP]


def matrix(work, sluice, check):
    sent = {signal: corpus.requests(signal) for signal in SIGNALS}
    for signal in SIGNALS:
        lacking = corpus.coverage(signal, sent[signal])
        check(f"matrix: the {signal} that are sent have every field and extreme", not lacking, sorted(map(str, lacking)))
        sent[signal] += [with_unknown_fields(sent[signal][0]), corpus.large(signal)]
    direct = through_both(work, sluice, check, sent)
    out_of_sluice(work, sluice, check, sent, direct)


def through_both(work, sluice, check, sent):
    """Go -> Sluice -> Go. Returns what the Go Collector made of the corpus by itself."""
    into = [Row(*row) for row in ROWS]
    out = [Row(*row) for row in ROWS]
    first, middle, last = Config(), Config(), Config()
    entry = f"127.0.0.1:{port()}"
    first.pipeline("direct", {"otlp": {"protocols": {"http": {"endpoint": entry}}}}, dict(row.exporter() for row in into), work)
    for row, onward in zip(into, out):
        middle.pipeline(f"in-{row.name}", {f"otlp/{row.name}": row.listen()}, dict([onward.exporter()]), work)
    for row in out:
        last.pipeline(f"through-{row.name}", {f"otlp/{row.name}": row.listen()}, {}, work)
    with last.go(work, "matrix-go-last") as end, middle.sluice(work, "matrix-sluice", sluice) as between, \
            first.go(work, "matrix-go-first") as start:
        send(check, "go", entry, sent)
        start.stop()
        arrived(work, [f"through-{row.name}" for row in out], otlp.amounts(sent))
        check("matrix: sluice exits 0", between.stop() == 0, between.tail())
        end.stop()
    direct = parsed(work, "direct")
    changes(check, sent, direct)
    for row in into:
        compare(check, f"go -> sluice {row.name}", row, direct, parsed(work, f"in-{row.name}"))
    for row in out:
        compare(check, f"go -> sluice -> go {row.name}", row, direct, parsed(work, f"through-{row.name}"))
    return direct


def out_of_sluice(work, sluice, check, sent, direct):
    rows = [Row(*row) for row in ROWS]
    source, target = Config(), Config()
    entry = f"127.0.0.1:{port()}"
    source.pipeline("out", {"otlp": {"protocols": {"http": {"endpoint": entry}}}}, dict(row.exporter() for row in rows))
    for row in rows:
        target.pipeline(f"out-{row.name}", {f"otlp/{row.name}": row.listen()}, {}, work)
    with target.go(work, "matrix-go") as end, source.sluice(work, "matrix-sluice-out", sluice) as start:
        send(check, "sluice", entry, sent)
        arrived(work, [f"out-{row.name}" for row in rows], otlp.amounts(sent))
        check("matrix: sluice exits 0 again", start.stop() == 0, start.tail())
        end.stop()
    for row in rows:
        compare(check, f"sluice -> go {row.name}", row, direct, parsed(work, f"out-{row.name}"))


def send(check, who, entry, sent):
    answers = [post(entry, signal, request.SerializeToString()) for signal in SIGNALS for request in sent[signal]]
    check(f"matrix: {who} takes all that is sent", all(status == 200 for status, _ in answers), answers)


def changes(check, sent, direct):
    """The Go Collector by itself hands on what it got, but for the listed changes."""
    counts = collections.Counter()
    for signal in SIGNALS:
        expected = [go.form(request, counts) for request in sent[signal]]
        compare_signal(check, "matrix: go by itself, but for the listed changes", signal, expected, direct[signal])
    for rule in go.RULES:
        check(f"matrix: the listed change is there: {rule}", counts[rule], "the Go Collector keeps it: take it off the list")


def compare(check, name, row, want, got):
    for signal in SIGNALS:
        # JSON has one NaN; its bits are the reader's choice.
        form = otlp.json_form if row.protocol == "json" else lambda request: request
        compare_signal(check, f"matrix: {name}", signal, [*map(form, want[signal])], [*map(form, got[signal])])


def compare_signal(check, name, signal, want, got):
    expected, found = otlp.resources(want), otlp.resources(got)
    what = f"{name}: {otlp.items(want)} items of {signal}"
    check(what, expected == found and bool(want), otlp.difference(expected, found, otlp.resource_type(signal)))
