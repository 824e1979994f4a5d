// An unmodified Node SDK that sends one fixed load over OTLP/JSON. usage: client.js ENDPOINT SERVICE INSTANCE
'use strict';
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader, AggregationType } = require('@opentelemetry/sdk-metrics');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-http');
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http');
const { SpanStatusCode, trace, ROOT_CONTEXT } = require('@opentelemetry/api');

const [endpoint, service, instance] = process.argv.slice(2);
const url = (path) => ({ url: `http://${endpoint}/v1/${path}` });
const CARD = '4111 1111 1111 1111';
const MAIL = 'jane.roe@acme-mail.org';
const resource = resourceFromAttributes({ 'service.name': service, 'service.instance.id': instance, 'owner.mail': MAIL });

async function main() {
  const tracers = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(url('traces')))] });
  const loggers = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(url('logs')) })] });
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(url('metrics')), exportIntervalMillis: 3600000 });
  const meters = new MeterProvider({
    resource,
    readers: [reader],
    views: [{ instrumentName: 'shop.exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });

  const tracer = tracers.getTracer('shop', '1.0');
  const first = tracer.startSpan('first', {}, ROOT_CONTEXT);
  first.end();
  const span = tracer.startSpan(`charge ${CARD}`, {
    attributes: { 'http.route': '/pay', 'user.mail': MAIL, cards: [CARD, 'plain'], 'internal.token': 't0', count: 7, big: 9007199254740991, ratio: 0.5, ok: true },
    links: [{ context: first.spanContext(), attributes: { 'link.mail': MAIL } }],
  }, trace.setSpan(ROOT_CONTEXT, first));
  span.addEvent(`mail to ${MAIL}`, { 'event.card': CARD });
  span.setStatus({ code: SpanStatusCode.ERROR, message: `declined ${CARD}` });
  span.end();
  tracer.startSpan('health', { attributes: { 'http.route': '/health' } }, ROOT_CONTEXT).end();

  const logger = loggers.getLogger('shop', '1.0');
  logger.emit({ severityNumber: 9, severityText: 'INFO', body: `mail ${MAIL} card ${CARD}`, attributes: { who: MAIL, plain: 'kept' } });
  logger.emit({ severityNumber: 13, severityText: 'WARN', body: { user: { mail: MAIL, cards: [CARD, 5] } }, attributes: { nested: { deep: [{ card: CARD }] }, list: [MAIL, 'plain'] } });
  logger.emit({ severityNumber: 5, severityText: 'DEBUG', body: 'the filter drops it' });

  const meter = meters.getMeter('shop', '1.0');
  meter.createCounter('shop.orders', { unit: '1', description: `orders, ask ${MAIL}` }).add(5, { currency: 'EUR', buyer: MAIL });
  meter.createUpDownCounter('shop.inventory', { unit: 'By', description: 'stock' }).add(6);
  meter.createGauge('shop.queue.depth', { unit: 'By', description: 'queue' }).record(42.5, { queue: `card ${CARD}` });
  const latency = meter.createHistogram('shop.latency', { unit: 's', description: 'latency', advice: { explicitBucketBoundaries: [0.1, 0.5, 1] } });
  for (const seconds of [0.05, 0.3, 0.7, 2]) latency.record(seconds, { route: '/pay' });
  meter.createCounter('shop.debug', { description: 'the filter drops it' }).add(1);

  await Promise.all([tracers.forceFlush(), loggers.forceFlush(), meters.forceFlush()]);
  console.log('sent');
  process.exit(0); // a shutdown of the meter provider would push once more
}
main().catch((error) => { console.error(error); process.exit(1); });
