"""An unmodified Python SDK that records given observations in two histograms: `shop.payment` with the base-2 exponential
aggregation, `shop.latency` with explicit bounds. It pushes after each round. Runs in the peers' virtual environment.

usage: histograms.py ENDPOINT SERVICE INSTANCE FILE
FILE holds {"bounds": [...], "rounds": [{route: [observations]}]}."""

import json
import os
import sys

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

endpoint, service, instance, path = sys.argv[1:5]
with open(path) as file:
    load = json.load(file)
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint, insecure=True), export_interval_millis=3_600_000)
meters = MeterProvider(
    resource=Resource.create({"service.name": service, "service.instance.id": instance, "service.version": "1.2.3"}),
    metric_readers=[reader],
    views=[View(instrument_name="shop.payment", aggregation=ExponentialBucketHistogramAggregation())],
)
meter = meters.get_meter("shop", "1.0")
payment = meter.create_histogram("shop.payment", unit="s", description="payments")
latency = meter.create_histogram("shop.latency", unit="s", explicit_bucket_boundaries_advisory=load["bounds"])
for observed in load["rounds"]:
    for route, seconds in observed.items():
        for one in seconds:
            payment.record(one, {"route": route})
            latency.record(one, {"route": route})
    if not meters.force_flush():
        sys.exit(1)
os._exit(0)  # a shutdown of the meter provider would push once more
