"""An unmodified Python SDK that sends one fixed load of traces, logs and metrics. Runs in the peers' virtual environment.

usage: client.py grpc|http ENDPOINT SERVICE INSTANCE [--together] [--hold]
With --together it sends the three signals at the same time. With --hold it pushes its metrics each half second until it is killed."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.trace import Link, Status, StatusCode

protocol, endpoint, service, instance = sys.argv[1:5]
hold = "--hold" in sys.argv
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = lambda kind, path: kind(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = lambda kind, path: kind(endpoint=f"http://{endpoint}/v1/{path}")

CARD = "4111 1111 1111 1111"
MAIL = "jane.roe@acme-mail.org"
resource = Resource.create(
    {"service.name": service, "service.instance.id": instance, "service.version": "1.2.3", "owner.mail": MAIL}
)
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "traces")))
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "logs")))
reader = PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "metrics"), export_interval_millis=3_600_000)
meters = MeterProvider(resource=resource, metric_readers=[reader])
tracer = tracers.get_tracer("shop", "1.0")
meter = meters.get_meter("shop", "1.0")
logger = loggers.get_logger("shop", "1.0")

orders = meter.create_counter("shop.orders", unit="1", description=f"orders, ask {MAIL}")
inventory = meter.create_up_down_counter("shop.inventory", unit="By", description="stock")
depth = meter.create_gauge("shop.queue.depth", unit="By", description="queue")
latency = meter.create_histogram(
    "shop.latency", unit="s", description="latency", explicit_bucket_boundaries_advisory=[0.1, 0.5, 1.0]
)
debug = meter.create_counter("shop.debug", description="the filter drops it")

with tracer.start_as_current_span("first") as first:
    pass
link = Link(first.get_span_context(), {"link.mail": MAIL, "link.cards": [CARD]})
with tracer.start_as_current_span(
    f"charge {CARD}",
    links=[link],
    attributes={
        "http.route": "/pay",
        "user.mail": MAIL,
        "cards": [CARD, "plain"],
        "mails": [f"{MAIL}", "plain"],
        "internal.token": "t0",
        "count": 7,
        "ratio": 0.5,
        "ok": True,
    },
) as span:
    span.add_event(f"mail to {MAIL}", {"event.card": CARD, "event.mails": [MAIL]})
    span.set_status(Status(StatusCode.ERROR, f"declined {CARD}"))
    orders.add(3, {"currency": "EUR", "internal.token": "t1"})
    orders.add(4, {"currency": "USD", "buyer": MAIL})
    orders.add(1, {"currency": "CHF", "cards": [CARD, "plain"]})
    depth.set(42.5, {"queue": f"card {CARD}"})
    debug.add(1)
    for seconds in (0.05, 0.3, 0.7, 2.0):
        latency.record(seconds, {"route": "/pay"})
# Outside of spans: which of two measurements becomes the exemplar is a matter of chance.
inventory.add(10)
inventory.add(-4)
with tracer.start_as_current_span("health", attributes={"http.route": "/health"}):
    pass
leaky = tracers.get_tracer(f"scope of {MAIL}", "1.0")
with leaky.start_as_current_span("leaky scope"):
    pass

now = time.time_ns
for severity, body in (
    (SeverityNumber.INFO, f"mail {MAIL} card {CARD}"),
    (SeverityNumber.WARN, {"user": {"mail": MAIL, "cards": [CARD, 5]}, "n": 3}),
    (SeverityNumber.DEBUG, "the filter drops it"),
):
    record = LogRecord(
        timestamp=now(),
        observed_timestamp=now(),
        severity_number=severity,
        severity_text=severity.name,
        body=body,
        attributes={"who": MAIL, "nested": {"deep": [{"card": CARD}]}, "list": [MAIL, "plain"], "plain": "kept"},
    )
    logger.emit(record)

providers = (tracers, loggers, meters)
if "--together" in sys.argv:
    with ThreadPoolExecutor() as pool:
        flushed = list(pool.map(lambda provider: provider.force_flush(), providers))
else:
    flushed = [provider.force_flush() for provider in providers]
ok = all(flushed)
print("sent" if ok else "failed", flush=True)
while hold:
    time.sleep(0.5)
    meters.force_flush()
if not ok:
    sys.exit(1)
tracers.shutdown(), loggers.shutdown()
import os

os._exit(0)  # a shutdown of the meter provider would push once more
