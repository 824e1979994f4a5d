"""Ids of a length that no id has. Protobuf can carry them, and so does Sluice; the Go Collector refuses the request. What counts is
that nothing else of a request is lost for them, in whatever protocol they are refused."""

from exact import otlp
from exact.parts import Config, Row, parsed, post
from peers import port

ONWARD = [("grpc", "gzip"), ("proto", "none"), ("json", "zstd")]
ITEMS = 50
BAD = {3: ("trace_id", b"\x01" * 15), 20: ("span_id", b"\x01"), 21: ("parent_span_id", b"\x01" * 16), 49: ("trace_id", b"\x01" * 17)}


def ids(work, sluice, check):
    entry, direct = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
    source, target = Config(), Config()
    onward = [Row(*row) for row in ONWARD]
    source.pipeline("ids", {"otlp": {"protocols": {"http": {"endpoint": entry}}}}, dict(row.exporter() for row in onward))
    target.pipeline("ids-direct", {"otlp": {"protocols": {"http": {"endpoint": direct}}}}, {}, work)
    for row in onward:
        target.pipeline(f"ids-{row.name}", {f"otlp/{row.name}": row.listen()}, {}, work)
    body = otlp.REQUESTS["traces"]()
    spans = body.resource_spans.add().scope_spans.add().spans
    for number in range(ITEMS):
        span = spans.add(name=f"span {number}", trace_id=b"\x02" * 16, span_id=b"\x03" * 8, parent_span_id=b"\x04" * 8)
        if number in BAD:
            setattr(span, *BAD[number])
    with target.go(work, "ids-go") as end, source.sluice(work, "ids-sluice", sluice) as between:
        for encoding, text in (("proto", body.SerializeToString()), ("json", otlp.to_json(body).encode())):
            status, _ = post(direct, "traces", text, encoding)
            check(f"ids: the Go Collector refuses them in {encoding}", status == 400, status)
            status, _ = post(entry, "traces", text, encoding)
            check(f"ids: sluice takes them in {encoding}", status == 200, status)
        check("ids: sluice exits 0", between.stop() == 0, between.tail())
        check("ids: the loss ledger balances", "does not balance" not in between.log.read_text(), between.tail())
        end.stop()
    names = sorted(f"span {number}" for number in range(ITEMS) if number not in BAD for _ in range(2))
    for row in onward:
        requests = parsed(work, f"ids-{row.name}")["traces"]
        got = [span.name for one in requests for group in one.resource_spans for scope in group.scope_spans for span in scope.spans]
        check(f"ids -> sluice -> go {row.name}: all other {len(names)} spans arrive", sorted(got) == names, len(got))
