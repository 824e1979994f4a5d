"""Through Sluice alone, without processors. Protobuf to protobuf: each resource in the very bytes that came, also what no
definition knows and what is not UTF-8. To and from JSON: the same meaning, by the official definitions."""

import collections

import grpc

from exact import corpus, otlp
from exact.parts import SIGNALS, Capture, Config, Row, call, files, post
from exact.unknown import GROUP, UNKNOWN, with_unknown_fields
from peers import port

WAYS = [(protocol, compression) for protocol in ("grpc", "proto", "json") for compression in ("none", "gzip")]
COMPRESSIONS = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}
# A string that is not UTF-8, in place of one that the corpus has in every string field.
WHOLE, BROKEN = "x" * 300, b"\xc3(\xff" * 100


def relay(work, sluice, check):
    sent = {signal: corpus.requests(signal) for signal in SIGNALS}
    as_json = {signal: [otlp.to_json(request).encode() for request in sent[signal]] for signal in SIGNALS}
    as_proto, meant = {}, {}
    for signal in SIGNALS:
        plain = [request.SerializeToString() for request in sent[signal]]
        future = [with_unknown_fields(request, UNKNOWN + GROUP).SerializeToString() for request in sent[signal]]
        broken = [body.replace(WHOLE.encode(), BROKEN) for body in plain]
        check(f"relay: {signal} that are not UTF-8 are sent, too", broken != plain)
        as_proto[signal] = plain + future + broken
        # What JSON can say of the three.
        meant[signal] = [otlp.json_form(request) for request in sent[signal] * 2 + [mended(request) for request in sent[signal]]]
    for way in WAYS:
        bodies = as_json if way[0] == "json" else as_proto
        notes, written = through(work, sluice, check, way, bodies)
        for signal in SIGNALS:
            for out in WAYS:
                name = "-".join(out)
                got = [note for note in notes if note["signal"] == signal and note["row"] == name]
                same = all(note["how"] == out[0] and (note["encoding"] or "none") == out[1] for note in got if out[0] != "grpc")
                check(f"relay {'-'.join(way)} -> {name}: {signal} in the form that is asked for", got and same, got[:1])
                got = [note["body"] for note in got]
                compare(check, f"relay {'-'.join(way)} -> {name}", signal, way, out, bodies[signal], meant[signal], got)
            compare(check, f"relay {'-'.join(way)} -> file", signal, way, ("proto",), bodies[signal], meant[signal], written[signal])


def mended(request):
    """As a request with broken strings is read: U+FFFD for what is not UTF-8."""
    made = type(request)()
    made.CopyFrom(request)
    repaired = BROKEN.decode(errors="replace")

    def mend(message):
        for field, value in message.ListFields():
            if field.is_repeated and WHOLE in value:
                value[:] = [repaired if one == WHOLE else one for one in value]
            elif isinstance(value, str) and value == WHOLE:
                setattr(message, field.name, repaired)

    otlp.walk(made, mend)
    return made


def through(work, sluice, check, way, bodies):
    """Sends the bodies one way in and returns what came out: all notes of the recording endpoint, and the bodies in the files."""
    name = f"relay-{'-'.join(way)}"
    config, entry = Config(), f"127.0.0.1:{port()}"
    with Capture(work, f"{name}-capture") as target:
        out = []
        for row in (Row(*one) for one in WAYS):
            row.endpoint = target.grpc if row.protocol == "grpc" else target.http
            id, settings = row.exporter()
            out.append((id, {**settings, "headers": {"row": row.name}}))
        listen = {"protocols": {"grpc" if way[0] == "grpc" else "http": {"endpoint": entry}}}
        config.pipeline(name, {"otlp": listen}, dict(out), work)
        with config.sluice(work, name, sluice) as between:
            for signal in SIGNALS:
                for body in bodies[signal]:
                    if way[0] == "grpc":
                        status = call(entry, signal, body, COMPRESSIONS[way[1]])
                    else:
                        status, _ = post(entry, signal, body, way[0], way[1])
                    if status not in ("OK", 200):
                        check(f"{name}: {signal} are taken", False, status)
            check(f"{name}: exits 0", between.stop() == 0, between.tail())
        return target.notes(), files(work, name)


def compare(check, name, signal, way, out, sent, meant, got):
    """Bytes where both ends are protobuf, and meaning otherwise."""
    if way[0] != "json" and out[0] != "json":
        expected = collections.Counter(one for body in sent for one in otlp.top_level(body))
        found = collections.Counter(one for body in got for one in otlp.top_level(body))
        missing, surplus = list((expected - found).elements()), list((found - expected).elements())
        check(f"{name}: {sum(expected.values())} resources of {signal}, byte for byte", expected and expected == found,
              f"{len(missing)} missing, {len(surplus)} surplus; {missing[:1]} {surplus[:1]}")
        return
    want = [otlp.from_json(signal, body) for body in sent] if way[0] == "json" else meant
    have = [otlp.from_json(signal, body) if out[0] == "json" else otlp.parse(signal, body) for body in got]
    expected, found = otlp.resources(want), otlp.resources(have)
    check(f"{name}: {otlp.items(want)} items of {signal}", expected and expected == found,
          otlp.difference(expected, found, otlp.resource_type(signal)))
