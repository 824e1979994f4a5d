"""Unmodified SDKs that show a credential: who has the right one gets everything through, and who has not, nothing."""

import base64
import subprocess

import canonical
from peers import HERE, PYTHON, Backend, Collector, Process, until

TOKEN = "interop-token"
CLIENT = [PYTHON, HERE / "clients/client.py"]


def basic(pair):
    return "Basic%20" + base64.b64encode(pair.encode()).decode().replace("=", "%3D")


# Protocol, name, credential as SDKs take it from their environment, whether it is right. The password belongs to the hash in auth.yaml.
ROWS = (
    ("grpc", "token", f"authorization=Bearer%20{TOKEN}", True),
    ("grpc", "wrong-token", "authorization=Bearer%20nobody", False),
    ("grpc", "nothing", "", False),
    ("http", "password", f"authorization={basic('joe:canary-pass')}", True),
    ("http", "wrong-password", f"authorization={basic('joe:nobody')}", False),
    ("http", "nothing", "", False),
)


def authenticated(work, sluice, check):
    for protocol, name, headers, right in ROWS:
        row = f"auth {protocol} {name}"
        with Backend(work, f"auth-{protocol}-{name}-backend") as backend, \
                Collector(work, f"auth-{protocol}-{name}", sluice, ["auth.yaml"], backend, None, {"TOKEN": TOKEN}) as collector:
            address = collector.grpc if protocol == "grpc" else collector.http
            # SDKs try again for seconds only what may succeed.
            with Process(work, f"auth-{protocol}-{name}-client", CLIENT + [protocol, address, "shop", "i1"],
                         {"OTEL_EXPORTER_OTLP_HEADERS": headers}) as client:
                try:
                    code = client.child.wait(60)
                except subprocess.TimeoutExpired:
                    code = "no end after 60 s"
                check(f"{row}: the client ends", isinstance(code, int), client.tail())
            if right:
                try:
                    until("all signals", lambda: all(canonical.count(backend.requests())), 20)
                except TimeoutError:
                    pass  # the check says what is missing
            check(f"{row}: exits 0", collector.stop() == 0, collector.tail())
            counts = canonical.count(backend.requests())
            check(f"{row}: {'every signal arrives' if right else 'nothing arrives'}", all(counts) if right else not any(counts), counts)
            told = "authentication failed" in collector.log.read_text()
            check(f"{row}: the log {'is silent' if right else 'tells of it'}", told != right, collector.tail())
            check(f"{row}: the log holds no credential", TOKEN not in collector.log.read_text(), collector.tail())
