// The same as histograms.py with an unmodified Node SDK, over OTLP/JSON. usage: histograms.js ENDPOINT SERVICE INSTANCE FILE
'use strict';
const { readFileSync } = require('fs');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { MeterProvider, PeriodicExportingMetricReader, AggregationType } = require('@opentelemetry/sdk-metrics');
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http');

const [endpoint, service, instance, path] = process.argv.slice(2);

async function main() {
  const load = JSON.parse(readFileSync(path, 'utf8'));
  const exporter = new OTLPMetricExporter({ url: `http://${endpoint}/v1/metrics` });
  const meters = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.instance.id': instance, 'service.version': '1.2.3' }),
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3600000 })],
    views: [{ instrumentName: 'shop.payment', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });
  const meter = meters.getMeter('shop', '1.0');
  const payment = meter.createHistogram('shop.payment', { unit: 's', description: 'payments' });
  const latency = meter.createHistogram('shop.latency', { unit: 's', advice: { explicitBucketBoundaries: load.bounds } });
  for (const observed of load.rounds) {
    for (const [route, seconds] of Object.entries(observed)) {
      for (const one of seconds) {
        payment.record(one, { route });
        latency.record(one, { route });
      }
    }
    await meters.forceFlush();
  }
  process.exit(0); // a shutdown of the meter provider would push once more
}
main().catch((error) => { console.error(error); process.exit(1); });
