"""An unmodified Python SDK that sends the same telemetry to two places: by one exporter to the collector, by another one of the
same kind to a recording endpoint. A row is a protocol with a compression; the resource names it.

usage: exact.py GRPC HTTP RECORDING_GRPC RECORDING_HTTP"""

import os
import sys
import time

import grpc
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality, MetricExporter, MetricExportResult, PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

endpoints = {"grpc": (sys.argv[1], sys.argv[3]), "proto": (sys.argv[2], sys.argv[4])}
KINDS = {"grpc": (GrpcSpans, GrpcLogs, GrpcMetrics), "proto": (HttpSpans, HttpLogs, HttpMetrics)}
COMPRESSIONS = {
    "grpc": {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip},
    "proto": {"none": Compression.NoCompression, "gzip": Compression.Gzip, "deflate": Compression.Deflate},
}
TEXT = 'quotes " \\ \n \x00 \u2028 ü \U0001f600'
ATTRIBUTES = {
    "text": TEXT, "empty": "", "true": True, "false": False, "int": -(2**63), "big": 2**63 - 1, "double": -0.0, "third": 1 / 3,
    "inf": float("inf"), "nan": float("nan"), "texts": ["a", "", TEXT], "ints": [1, -1], "doubles": [0.5, 5e-324], "none": [], TEXT: TEXT,
}


class Spans(SpanExporter):
    def __init__(self, exporters):
        self.exporters = exporters

    def export(self, spans):
        return max((one.export(spans) for one in self.exporters), key=lambda result: result is SpanExportResult.FAILURE)


class Logs(LogRecordExporter):
    def __init__(self, exporters):
        self.exporters = exporters

    def export(self, batch):
        return max((one.export(batch) for one in self.exporters), key=lambda result: result is LogRecordExportResult.FAILURE)

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self):
        pass


class Metrics(MetricExporter):
    def __init__(self, exporters, temporality):
        super().__init__(preferred_temporality=temporality)
        self.exporters = exporters

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        results = [one.export(metrics_data, timeout_millis, **kwargs) for one in self.exporters]
        return max(results, key=lambda result: result is MetricExportResult.FAILURE)

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        pass


def run(protocol, compression):
    def both(kind, path):
        for endpoint in endpoints[protocol]:
            how = {"insecure": True} if protocol == "grpc" else {}
            at = endpoint if protocol == "grpc" else f"http://{endpoint}/v1/{path}"
            yield kind(endpoint=at, compression=COMPRESSIONS[protocol][compression], **how)

    spans, logs, metrics = KINDS[protocol]
    resource = Resource.create({"service.name": "exact", "row": f"python-{protocol}-{compression}", **ATTRIBUTES}, "https://example.com/schema")
    tracers = TracerProvider(resource=resource, span_limits=SpanLimits(max_attributes=16, max_events=2, max_links=1))
    tracers.add_span_processor(BatchSpanProcessor(Spans([*both(spans, "traces")])))
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(Logs([*both(logs, "logs")])))
    temporality = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.CUMULATIVE}
    meters = MeterProvider(
        resource=resource,
        metric_readers=[PeriodicExportingMetricReader(Metrics([*both(metrics, "metrics")], temporality), export_interval_millis=3_600_000)],
        views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
    )
    tracer = tracers.get_tracer("scope", "1.0", "https://example.com/scope", {"scope.attribute": TEXT})
    remote = SpanContext(0xABCDEF << 64 | 1, 0xFEDCBA, True, TraceFlags(1), TraceState([("vendor", "a b"), ("other", "1")]))
    parent = trace.set_span_in_context(NonRecordingSpan(remote))
    links = [Link(remote, ATTRIBUTES), Link(remote, {})]
    for kind in SpanKind:
        with tracer.start_as_current_span(f"span {kind.name} {TEXT}", parent, kind, ATTRIBUTES, links) as span:
            span.set_attribute("over", "the limit")
            span.add_event("event", ATTRIBUTES, 1_760_000_000_123_456_789)
            span.add_event(TEXT)
            span.add_event("")
            span.set_status(Status(StatusCode.ERROR, TEXT) if kind is SpanKind.SERVER else Status(StatusCode.OK))
            with tracer.start_as_current_span("child"):
                record(meters, kind)
    logger = loggers.get_logger("scope", "1.0", "https://example.com/scope", {"scope.attribute": 1})
    bodies = [TEXT, "", None, True, False, 0, -(2**63), 0.1, float("nan"), b"", b"\x00\xff", [], [1, "a", [None, b"x"]], {}, {"a": {"b": [{}]}, "": None}]
    with tracer.start_as_current_span("around logs"):
        for number, body in enumerate(bodies):
            logger.emit(LogRecord(
                timestamp=time.time_ns() if number % 2 else 2**63, observed_timestamp=time.time_ns(), body=body,
                severity_number=list(SeverityNumber)[number], severity_text=TEXT, event_name=f"event.{number}",
                attributes={**ATTRIBUTES, "nested": {"deep": [{"bytes": b"\x00\xfe"}, None]}} if number % 3 else None,
            ))
    done = [provider.force_flush() for provider in (tracers, loggers, meters)]
    if not all(done):
        sys.exit(f"{protocol} {compression}: {done}")


def record(meters, kind):
    meter = meters.get_meter("scope", "1.0", "https://example.com/scope", {"scope.attribute": [1.5]})
    meter.create_counter("ints", "1", TEXT).add(2**53 + 1, ATTRIBUTES)
    meter.create_counter("doubles").add(0.1, {"kind": kind.name})
    meter.create_up_down_counter("balance").add(-5)
    meter.create_gauge("gauge", "By").set(float("inf"), ATTRIBUTES)
    meter.create_observable_gauge("seen", [lambda _: [Observation(-0.0, {"a": 1}), Observation(7)]])
    latency = meter.create_histogram("latency", "s", explicit_bucket_boundaries_advisory=[0.1, 0.5, 1 / 3 + 0.5])
    exponential = meter.create_histogram("exponential", "s")
    for value in (0.05, 0.3, 0.0, 2e10, 1e-10):
        latency.record(value, {"kind": kind.name})
        exponential.record(value, {"kind": kind.name})


for protocol, compressions in COMPRESSIONS.items():
    for compression in compressions:
        run(protocol, compression)
print("sent", flush=True)
os._exit(0)  # a shutdown of the meter providers would push once more
