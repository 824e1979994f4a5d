"""HTTP/2 of both listeners by h2spec. What fails must be meant."""

import subprocess
import xml.etree.ElementTree as xml

from peers import PEERS, FirstRun

H2SPEC = PEERS / "bin/h2spec"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

# What may fail, by listener, package and title, and why that is meant.
MEANT = {
    ("grpc", "generic/2", "Sends a WINDOW_UPDATE frame on half-closed (remote) stream"): "a GET is refused without a body, h2spec waits for one",
    ("grpc", "generic/2", "Sends a PRIORITY frame on half-closed (remote) stream"): "the same",
    ("grpc", "http2/5.1.2", "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded"): "requests that end are refused at once, so that there are never that many",
    ("both", "http2/8.1.2.1", "Sends a HEADERS frame that contains a pseudo-header field as trailers"): "the HTTP/2 library lets it pass, and trailers of requests are not read",
    ("both", "http2/4.2", "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE"): "frames of 1 MiB are allowed; the header list, which is over its limit, is refused with 431",
    ("both", "http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"): "the answer may be on its way before the reset is read",
    ("both", "http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"): "the same",
    ("both", "http2/8.1", "Sends a second HEADERS frame without the END_STREAM flag"): "the same",
    ("http", "http2/3.5", "Sends invalid connection preface"): "it is HTTP/1, and refused with 400",
}


def conformance(work, sluice, check):
    if not H2SPEC.exists():
        print(f"SKIPPED conformance: {H2SPEC} is missing (tests/peers/install.sh h2spec)", flush=True)
        return
    with FirstRun(work, "sluice-conformance", sluice) as collector:
        for listener, address, path in (("grpc", collector.grpc, EXPORT), ("http", collector.http, "/v1/traces")):
            host, number = address.split(":")
            report = work / f"h2spec-{listener}.xml"
            command = [H2SPEC, "-h", host, "-p", number, "-P", path, "--timeout", "3", "-j", report]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
            cases = xml.parse(report).getroot().iter("testcase")
            results = [(case.get("package"), case.get("classname"), case.find("error") is not None) for case in cases]
            check(f"h2spec, {listener}: it ran", len(results) > 100, len(results))
            failed = [(package, title) for package, title, is_failure in results if is_failure]
            unknown = [case for case in failed if not any((name, *case) in MEANT for name in (listener, "both"))]
            check(f"h2spec, {listener}: {len(results) - len(failed)} of {len(results)} pass, what fails is meant", not unknown, unknown)
