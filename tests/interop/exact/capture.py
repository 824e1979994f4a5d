"""A recording endpoint for OTLP over gRPC and HTTP: notes each request as it came, decompressed and nothing else, and answers
that all is well.

usage: capture.py GRPC_ENDPOINT HTTP_ENDPOINT FILE
A line of JSON for each request: `signal`, `how` (grpc, proto, json), `encoding` (of HTTP), `row` (the header), `body` in base64."""

import base64
import gzip
import json
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}
CONTENT_TYPES = {"application/x-protobuf": "proto", "application/json": "json"}
DECODERS = {"": bytes, "gzip": gzip.decompress, "deflate": zlib.decompress, "zlib": zlib.decompress}


class Notes:
    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()

    def note(self, body, **about):
        line = json.dumps({**about, "body": base64.b64encode(body).decode()})
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()


def read(path):
    """The notes, with bodies as bytes."""
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return [{**line, "body": base64.b64decode(line["body"])} for line in lines]


def serve_http(endpoint, notes):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave as one segment.
        wbufsize = -1

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else self.chunks()
            encoding = self.headers.get("Content-Encoding", "")
            how = CONTENT_TYPES[self.headers["Content-Type"].split(";")[0]]
            signal, row = self.path.rsplit("/", 1)[1], self.headers.get("row", "")
            notes.note(DECODERS[encoding](body), signal=signal, how=how, encoding=encoding, row=row)
            answer = b"{}" if how == "json" else b""
            self.send_response(200)
            self.send_header("Content-Type", self.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def chunks(self):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_):
            pass

    host, port = endpoint.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_grpc(endpoint, notes):
    import grpc

    class Exports(grpc.GenericRpcHandler):
        def service(self, details):
            signal = METHODS.get(details.method)

            def export(body, context):
                row = dict(context.invocation_metadata()).get("row", "")
                notes.note(body, signal=signal, how="grpc", encoding="", row=row)
                return b""

            # Without functions for them, messages stay bytes.
            return signal and grpc.unary_unary_rpc_method_handler(export)

    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=[Exports()], options=options)
    if not server.add_insecure_port(endpoint):
        sys.exit(f"cannot listen on {endpoint}")
    server.start()
    return server


if __name__ == "__main__":
    grpc_endpoint, http_endpoint, file = sys.argv[1:]
    noted = Notes(file)
    serve_http(http_endpoint, noted)
    serving = serve_grpc(grpc_endpoint, noted)
    print("Everything is ready", flush=True)
    serving.wait_for_termination()
