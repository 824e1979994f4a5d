"""What the exact parts share: configurations made in code, senders of raw bytes, and files read back."""

import gzip
import json
import urllib.error
import urllib.request

import grpc

from exact import capture, otlp
from exact.capture import METHODS
from peers import HERE, OTELCOL_OTLP, PYTHON, Process, port, until

SIGNALS = tuple(otlp.REQUESTS)
PATHS = {signal: path for path, signal in METHODS.items()}
TYPES = {"proto": "application/x-protobuf", "json": "application/json"}


class Row:
    """One way between two collectors: protocol (grpc, proto or json) and compression."""

    def __init__(self, protocol, compression):
        self.protocol, self.compression = protocol, compression
        self.name = f"{protocol}-{compression}"
        self.endpoint = f"127.0.0.1:{port()}"

    def listen(self):
        return {"protocols": {"grpc" if self.protocol == "grpc" else "http": {"endpoint": self.endpoint}}}

    def exporter(self):
        """The exporter's id and settings; both collectors read them."""
        if self.protocol == "grpc":
            return f"otlp_grpc/{self.name}", {
                "endpoint": self.endpoint, "tls": {"insecure": True}, "compression": self.compression, "timeout": "60s"}
        return f"otlp_http/{self.name}", {
            "endpoint": f"http://{self.endpoint}", "encoding": self.protocol, "compression": self.compression, "timeout": "60s"}


class Config:
    """A configuration of either collector: `pipeline` joins receivers and exporters for all signals."""

    def __init__(self):
        self.tree = {"receivers": {}, "exporters": {}, "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": {}}}

    def pipeline(self, name, receivers, exporters, files=None):
        """With `files`, each signal also goes to `files/SIGNAL-NAME.bin`."""
        for id, settings in {**receivers}.items():
            self.tree["receivers"][id] = settings
        for id, settings in {**exporters}.items():
            self.tree["exporters"][id] = settings
        for signal in SIGNALS:
            into = list(exporters)
            if files:
                into.append(f"file/{signal}-{name}")
                self.tree["exporters"][into[-1]] = {"path": str(files / f"{signal}-{name}.bin"), "format": "proto"}
            self.tree["service"]["pipelines"][f"{signal}/{name}"] = {"receivers": list(receivers), "exporters": into}

    def start(self, work, name, binary):
        path = work / f"{name}.yaml"
        path.write_text(json.dumps(self.tree, indent=1))
        process = Process(work, name, [binary, "--config", path])
        try:
            until(f"{name} to be ready", lambda: process.said("Everything is ready"))
        except BaseException:
            process.stop()
            raise
        return process

    def sluice(self, work, name, binary):
        # Nothing here is about the journal.
        self.tree["service"]["delivery"] = {"ack": "memory"}
        return self.start(work, name, binary)

    def go(self, work, name):
        # Exporters answer the sender, so that nothing is on its way when it has been answered.
        for id, exporter in self.tree["exporters"].items():
            if not id.startswith("file/"):
                exporter.update(sending_queue={"enabled": False}, retry_on_failure={"enabled": False})
        return self.start(work, name, OTELCOL_OTLP)


def files(directory, name):
    """The requests in the files of a pipeline, by signal."""
    def read(signal):
        path = directory / f"{signal}-{name}.bin"
        return list(otlp.framed(path.read_bytes() if path.exists() else b""))
    return {signal: read(signal) for signal in SIGNALS}


def arrived(directory, names, amounts):
    """Waits until the files of these pipelines hold as many resources of each signal: in memory, Sluice would wait only so long for
    its destinations at its end. What is missing then is told by the comparison."""
    def there():
        return all(sum(len(otlp.top_level(body)) for body in bodies) >= amounts[signal]
                   for name in names for signal, bodies in files(directory, name).items())
    try:
        until("all that was sent", there, 60)
    except TimeoutError:
        pass


def parsed(directory, name):
    return {signal: [otlp.parse(signal, body) for body in bodies] for signal, bodies in files(directory, name).items()}


class Capture(Process):
    """A recording endpoint."""

    def __init__(self, work, name):
        self.grpc, self.http = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
        self.file = work / f"{name}.jsonl"
        super().__init__(work, name, [PYTHON, HERE / "exact/capture.py", self.grpc, self.http, self.file])
        until(f"{name} to be ready", lambda: self.said("Everything is ready"))

    def notes(self):
        return capture.read(self.file)


def post(address, signal, body, protocol="proto", encoding=None):
    """Sends a body over HTTP. Returns (status, answer)."""
    headers = {"Content-Type": TYPES[protocol], **({"Content-Encoding": encoding} if encoding else {})}
    data = gzip.compress(body) if encoding == "gzip" else body
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}/v1/{signal}", data, headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def call(address, signal, body, compression=grpc.Compression.NoCompression):
    """Sends a message over gRPC. Returns the name of the status."""
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(PATHS[signal])(body, timeout=30, compression=compression)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"
