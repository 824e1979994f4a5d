"""A remote write receiver that reads version 1 and nothing else, and holds the sender to every rule of it."""

import http.server
import struct
import threading

from peers import port


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def unsnappy(data):
    """The block format; raises on anything else."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, upper = tag & 3, tag >> 2
        if kind == 0:
            if upper >= 60:
                more = upper - 59
                upper = int.from_bytes(data[at:at + more], "little")
                at += more
            out += data[at:at + upper + 1]
            at += upper + 1
            continue
        if kind == 1:
            length, offset = 4 + (upper & 7), (upper >> 3) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            length, offset = upper + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError("snappy: wrong length")
    return bytes(out)


def fields(data):
    """(number, value): integers of varints, bytes of all else."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = {1: lambda: (8, at), 5: lambda: (4, at), 2: lambda: varint(data, at)}[tag & 7]()
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError("protobuf: cut off")
        yield tag >> 3, value


def double(data):
    return struct.unpack("<d", data)[0]


class FirstVersion:
    """Answers 415 to version 2. `floats` and `natives` hold {labels: {milliseconds: value}}; of a native histogram count and sum."""

    def __init__(self):
        self.floats, self.natives, self.faults, self.refused = {}, {}, [], 0
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 204
                if "proto=io.prometheus.write.v2.Request" in self.headers["Content-Type"]:
                    sink.refused += 1
                    status = 415
                else:
                    try:
                        sink.take(self.headers, body)
                    except Exception as error:
                        sink.faults.append(repr(error))
                        status = 400
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port()), Handler)
        self.write = f"http://127.0.0.1:{self.server.server_port}/api/v1/write"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def take(self, headers, body):
        expected = {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        for name, value in expected.items():
            if headers[name] != value:
                raise ValueError(f"{name}: {headers[name]}")
        for number, series in fields(unsnappy(body)):
            if number == 1:
                self.series(series)
            elif number != 3:
                raise ValueError(f"WriteRequest has no field {number}")

    def series(self, data):
        labels, samples, natives = [], [], []
        for number, part in fields(data):
            if number == 1:
                pair = dict(fields(part))
                labels.append((pair[1].decode(), pair[2].decode()))
            elif number == 2:
                sample = dict(fields(part))
                samples.append((sample[2], double(sample[1])))
            elif number == 4:
                histogram = dict(fields(part))
                if not {1, 3, 15} <= histogram.keys() <= set(range(1, 17)):
                    raise ValueError(f"Histogram has fields {sorted(histogram)}")
                natives.append((histogram[15], (histogram[1], double(histogram[3]))))
            elif number != 3:
                raise ValueError(f"TimeSeries has no field {number}")
        names = [name for name, _ in labels]
        if names != sorted(set(names)) or "__name__" not in names or not all(value for _, value in labels):
            raise ValueError(f"labels {labels}")
        if bool(samples) == bool(natives):
            raise ValueError(f"samples and histograms of {labels}")
        for all_series, values in ((self.floats, samples), (self.natives, natives)):
            for time, value in values:
                known = all_series.setdefault(tuple(labels), {})
                if known and time < max(known):
                    raise ValueError(f"{labels} goes back in time")
                known[time] = value
