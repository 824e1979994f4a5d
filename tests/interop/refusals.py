"""Unmodified SDKs in front of a collector that refuses for a while: what they keep sending is in the end all there, once."""

import json
import subprocess
import time
import urllib.error
import urllib.request

import canonical
from peers import HERE, PYTHON, Backend, Collector, Process, Relay, get, until

# Items that the destination's queue takes. The two clients together have fewer.
QUEUE = 200
# How long requests are refused: an SDK gives up 10 s after its first attempt.
REFUSING = 4.0
FILLER = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [
    {"body": {"stringValue": f"filler {number}"}} for number in range(10)]}]}]}).encode()


def refused(collector):
    """Requests refused so far."""
    lines = get(f"http://127.0.0.1:{collector.metrics}/metrics").decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("sluice_requests_refused_total"))


def fill(collector):
    """Sends until it is refused. Gives the number of log records that were taken, and the answer's `Retry-After`."""
    for taken in range(0, 10 * QUEUE, 10):
        request = urllib.request.Request(f"http://{collector.http}/v1/logs", FILLER, {"content-type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as answer:
            if answer.code != 503:
                raise
            return taken, answer.headers["retry-after"]
    raise RuntimeError("the queue is never full")


def round_of_clients(work, name, binary, refuse, check):
    """What the backend has after the clients have ended."""
    with Backend(work, f"{name}-backend") as backend, Relay(backend.endpoint) as relay:
        more = {"OTLP_BACKEND": relay.endpoint, "QUEUE_ITEMS": QUEUE}
        with Collector(work, name, binary, ["refusing.yaml"], backend, None, more) as collector:
            taken = 0
            if refuse:
                taken, hint = fill(collector)
                check(f"{name}: who is refused is told to come back in 1 to 5 s", (hint or "").isdigit() and 1 <= int(hint) <= 5, hint)
            else:
                relay.open()
            before = refused(collector)
            command = [PYTHON, HERE / "clients/client.py"]
            with Process(work, f"{name}-grpc", command + ["grpc", collector.grpc, "python-grpc", "p1", "--together"]) as grpc, \
                    Process(work, f"{name}-http", command + ["http", collector.http, "python-http", "p2", "--together"]) as http:
                if refuse:
                    until("the first client to be refused", lambda: refused(collector) > before, 60)
                    time.sleep(REFUSING)
                    relay.open()
                    opened = time.monotonic()
                for client in (grpc, http):
                    try:
                        code = client.child.wait(60)
                    except subprocess.TimeoutExpired:
                        code = "no end after 60 s"
                    check(f"{client.name}: all exports succeeded", code == 0 and client.said("sent"), f"{code}\n{client.tail()}")
            if refuse:
                # At least once for each of three signals of two clients.
                times = refused(collector) - before
                check(f"{name}: the clients were refused ({times:g} times) and were done {time.monotonic() - opened:.1f} s after the end of it", times >= 6, times)
            code = collector.stop()
            check(f"{name}: SIGTERM drains and exits 0", code == 0, f"{code}\n{collector.tail()}")
        # The backend writes its file once more before it ends.
    spans, records, points = canonical.count(backend.requests())
    return spans, records - taken, points


def refusals(work, binary, check):
    """A refusal phase of less than 5 s loses nothing (an SDK's own timeout is 10 s), and doubles nothing."""
    usual = round_of_clients(work, "sluice-taking", binary, False, check)
    got = round_of_clients(work, "sluice-refusing", binary, True, check)
    check(f"after a refusal phase of {REFUSING:g} s the backend has what it has without one", got == usual and min(got) > 0, f"{got}, not {usual}")
