"""Processes around the test: collectors, backends, clients. Everything listens on loopback, on ports nobody else has."""

import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
PEERS = pathlib.Path(
    os.environ.get("SLUICE_PEERS")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sluice-peers"
)
PYTHON = PEERS / "venv/bin/python"
PROMETHEUS = PEERS / "bin/prometheus"
OTELCOL = PEERS / "bin/otelcol"
OTELCOL_OTLP = PEERS / "bin/otelcol-otlp"
GO_CLIENT = PEERS / "bin/go-client"
EXAMPLES = PEERS / "examples"
TELEMETRYGEN = PEERS / "bin/telemetrygen"
NODE_MODULES = PEERS / "node/node_modules"


def missing():
    """The peers that are not installed."""
    parts = {
        "python": PYTHON, "node": NODE_MODULES, "node (the program)": pathlib.Path(shutil.which("node") or "/nowhere"),
        "telemetrygen": TELEMETRYGEN, "prometheus": PROMETHEUS, "otelcol": OTELCOL, "victoriametrics": PEERS / "bin/victoria-metrics",
        "telemetrygen": TELEMETRYGEN, "prometheus": PROMETHEUS, "otelcol": OTELCOL, "otelcol-otlp": OTELCOL_OTLP,
        "go-client": GO_CLIENT, "examples": EXAMPLES, "curl (the program)": pathlib.Path(shutil.which("curl") or "/nowhere"),
    }
    return sorted(name for name, path in parts.items() if not path.exists())


def until(what, probe, timeout=30.0):
    """Calls `probe` until it returns something true. What it returned last is in the error."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = probe()
        except OSError as error:
            found = None
            last = error
        else:
            last = found
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}; last: {last!r:.300}")
        time.sleep(0.1)


# Below the ports that the system gives to outgoing connections: one of these could take a port before its listener is there.
_ports = itertools.cycle(range(20_000 + os.getpid() * 97 % 6_000, 32_000))


def port():
    """A free port that this run has not given out yet."""
    for number in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


class Process:
    """One child with its output in a file. Leaving the context stops it: SIGTERM, then SIGKILL after 15 s."""

    def __init__(self, work, name, command, env=None):
        self.name = name
        self.log = work / f"{name}.log"
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **{key: str(value) for key, value in (env or {}).items()}},
            )

    def said(self, text):
        """Whether `text` is in its output. An error if it has ended meanwhile without saying so."""
        found = text in self.log.read_text(errors="replace")
        if not found and self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
        return found

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self, how=signal.SIGTERM):
        """Ends it and returns its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Prometheus(Process):
    """A Prometheus that takes both remote write messages, or those that are `accepted`."""

    def __init__(self, work, name, config="prometheus.yaml", accepted=("prometheus.WriteRequest", "io.prometheus.write.v2.Request")):
        self.port = port()
        flag = "--web.remote-write-receiver.accepted-protobuf-messages"
        super().__init__(work, name, [
            PROMETHEUS, f"--config.file={HERE}/configs/{config}", f"--storage.tsdb.path={work}/{name}.tsdb",
            f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
            *[f"{flag}={message}" for message in accepted],
            "--enable-feature=exemplar-storage",
        ])
        self.write = f"http://127.0.0.1:{self.port}/api/v1/write"
        until(f"{name} to be ready", lambda: self.child.poll() is None and get(f"http://127.0.0.1:{self.port}/-/ready"))

    def api(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        return json.loads(get(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"))["data"]

    def query(self, promql):
        """[(labels, value)] of an instant query."""
        return [(item["metric"], float(item["value"][1])) for item in self.api("query", query=promql)["result"]]

    def series(self):
        return self.api("series", **{"match[]": '{__name__=~".+"}'}, start=time.time() - 3600)

    def samples(self):
        """All series with their last value, stale or not."""
        return self.query('last_over_time({__name__=~".+"}[1h])')

    def exemplars(self, selector='{__name__=~".+"}'):
        return self.api("query_exemplars", query=selector, start=time.time() - 3600, end=time.time() + 60)


class Backend(Process):
    """A Go Collector that writes what it gets to a file."""

    def __init__(self, work, name):
        self.endpoint, self.http = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
        self.file = work / f"{name}.jsonl"
        env = {"OTLP_GRPC": self.endpoint, "OTLP_HTTP": self.http, "BACKEND_FILE": self.file}
        super().__init__(work, name, [OTELCOL, "--config", HERE / "configs/backend.yaml"], env)
        until(f"{name} to be ready", lambda: self.said("Everything is ready"))

    def text(self):
        return self.file.read_text() if self.file.exists() else ""

    def requests(self):
        """What it got, as OTLP/JSON. A line that is still being written is left for the next call."""
        return [json.loads(line) for line in self.text().split("\n")[:-1]]


class Relay:
    """An address in front of the target that takes connections, and passes nothing on until it is opened."""

    def __init__(self, target):
        host, number = target.rsplit(":", 1)
        self.target = (host, int(number))
        self.opened = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", port()))
        self.endpoint = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self):
        self.opened.set()

    def _accept(self):
        while True:
            try:
                near, _ = self.socket.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        self.opened.wait()
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Collector(Process):
    """The collector under test, Sluice or the Go Collector: the same command line and the same files."""

    def __init__(self, work, name, binary, configs, backend, prometheus, more=None):
        self.grpc, self.http = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
        self.metrics = port()
        env = {
            "OTLP_GRPC": self.grpc, "OTLP_HTTP": self.http, "METRICS_PORT": self.metrics,
            "OTLP_BACKEND": backend.endpoint if backend else "", "REMOTE_WRITE": prometheus.write if prometheus else "", **(more or {}),
        }
        command = [binary]
        for config in configs:
            command += ["--config", HERE / "configs" / config]
        super().__init__(work, name, command, env)
        until(f"{name} to be ready", lambda: self.said("Everything is ready"))


class FirstRun(Process):
    """`sluice run` without a configuration, moved off the well-known ports."""

    def __init__(self, work, name, binary):
        self.grpc, self.http = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
        sets = {
            "receivers.otlp.protocols.grpc.endpoint": self.grpc, "receivers.otlp.protocols.http.endpoint": self.http,
            "service.telemetry.metrics.level": "none",
        }
        command = [binary, "run"]
        for key, value in sets.items():
            command += ["--set", f"{key}={value}"]
        super().__init__(work, name, command)
        until(f"{name} to be ready", lambda: self.said("Everything is ready"))


def send_all(work, collector):
    """Every client once, each to its end."""
    python = [PYTHON, HERE / "clients/client.py"]
    generate = [TELEMETRYGEN]
    common = ["--otlp-endpoint", collector.grpc, "--otlp-insecure", "--rate", "0"]
    mail = 'mail="jane.roe@acme-mail.org"'
    clients = {
        "python-grpc": (python + ["grpc", collector.grpc, "python-grpc", "p1"], {}),
        "python-http": (python + ["http", collector.http, "python-http", "p2"], {}),
        "node-json": (["node", HERE / "clients/client.js", collector.http, "node-json", "n1"], {"NODE_PATH": NODE_MODULES}),
    }
    for signal_, amount, extra in (
        ("traces", ["--traces", "3"], []),
        ("logs", ["--logs", "3"], ["--body", "card 4111 1111 1111 1111"]),
        ("metrics", ["--metrics", "1", "--metric-type", "Sum"], ["--otlp-metric-name", "gen.sum", "--aggregation-temporality", "cumulative"]),
    ):
        telemetry = ["--telemetry-attributes", mail, "--service", "telemetrygen"]
        clients[f"telemetrygen-{signal_}"] = (generate + [signal_, *common, *amount, *telemetry, *extra], {})
    for name, (command, env) in clients.items():
        client = Process(work, f"{collector.name}-{name}", command, env)
        try:
            code = client.child.wait(60)
        except subprocess.TimeoutExpired:
            code = "no end after 60 s"
            client.stop(signal.SIGKILL)
        if code != 0:
            raise RuntimeError(f"client {name} ended with {code}:\n{client.tail()}")
