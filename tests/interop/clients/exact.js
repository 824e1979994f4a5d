// An unmodified Node SDK that sends the same telemetry to two places: by one exporter to the collector, by another one of the
// same kind to a recording endpoint. A row is a protocol with a compression; the resource names it.
// usage: exact.js GRPC HTTP RECORDING_GRPC RECORDING_HTTP
'use strict';
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader, AggregationType, AggregationTemporality, InstrumentType } = require('@opentelemetry/sdk-metrics');
const { SpanStatusCode, TraceFlags, trace, createTraceState, ROOT_CONTEXT } = require('@opentelemetry/api');

const [grpc, http, recordingGrpc, recordingHttp] = process.argv.slice(2);
const PACKAGES = { grpc: 'grpc', proto: 'proto', json: 'http' };
const kinds = (protocol) => ({
  traces: require(`@opentelemetry/exporter-trace-otlp-${PACKAGES[protocol]}`).OTLPTraceExporter,
  logs: require(`@opentelemetry/exporter-logs-otlp-${PACKAGES[protocol]}`).OTLPLogExporter,
  metrics: require(`@opentelemetry/exporter-metrics-otlp-${PACKAGES[protocol]}`).OTLPMetricExporter,
});
const TEXT = 'quotes " \\ \n \u0000 \u2028 ü \u{1f600}';
const ATTRIBUTES = {
  text: TEXT, empty: '', true: true, false: false, int: -7, big: Number.MAX_SAFE_INTEGER, double: 0.1, third: 1 / 3, small: 1e-300,
  infinity: Infinity, nan: NaN, texts: ['a', '', TEXT], numbers: [1, -1.5], mixed: [true, false], none: [], [TEXT]: TEXT,
};

// Hands everything to all exporters, and fails if one of them does.
const all = (exporters) => ({
  export(batch, done) {
    Promise.all(exporters.map((one) => new Promise((resolve) => one.export(batch, resolve)))).then((results) => {
      const failed = results.find((result) => result.code !== 0);
      if (failed) { console.error(failed.error); process.exit(1); }
      done(results[0]);
    });
  },
  shutdown: async () => {},
  forceFlush: async () => {},
});

async function run(protocol, compression) {
  const targets = protocol === 'grpc' ? [grpc, recordingGrpc] : [http, recordingHttp];
  const made = kinds(protocol);
  const both = (signal) => targets.map((target) => new made[signal]({
    url: protocol === 'grpc' ? `http://${target}` : `http://${target}/v1/${signal}`, compression,
  }));
  const resource = resourceFromAttributes({ 'service.name': 'exact', row: `node-${protocol}-${compression}`, ...ATTRIBUTES });
  const tracers = new BasicTracerProvider({
    resource, spanProcessors: [new BatchSpanProcessor(all(both('traces')))],
    spanLimits: { attributeCountLimit: 16, eventCountLimit: 2, linkCountLimit: 1 },
  });
  const loggers = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: all(both('logs')) })] });
  const exporter = {
    ...all(both('metrics')),
    selectAggregationTemporality: (type) => type === InstrumentType.COUNTER ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
  };
  const meters = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3600000 })],
    views: [{ instrumentName: 'exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });

  const tracer = tracers.getTracer('scope', '1.0', { schemaUrl: 'https://example.com/scope' });
  const remote = {
    traceId: '0000000000abcdef0000000000000001', spanId: '0000000000fedcba', traceFlags: TraceFlags.SAMPLED, isRemote: true,
    traceState: createTraceState('vendor=a b,other=1'),
  };
  const parent = trace.setSpanContext(ROOT_CONTEXT, remote);
  const links = [{ context: remote, attributes: ATTRIBUTES }, { context: remote }];
  for (const kind of [0, 1, 2, 3, 4]) {
    const span = tracer.startSpan(`span ${kind} ${TEXT}`, { kind, attributes: ATTRIBUTES, links }, parent);
    span.setAttribute('over', 'the limit');
    span.addEvent('event', ATTRIBUTES, [1760000000, 123456789]);
    span.addEvent(TEXT);
    span.addEvent('');
    span.setStatus(kind === 1 ? { code: SpanStatusCode.ERROR, message: TEXT } : { code: SpanStatusCode.OK });
    tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, span)).end();
    span.end();
  }

  const logger = loggers.getLogger('scope', '1.0', { schemaUrl: 'https://example.com/scope' });
  const bodies = [TEXT, '', undefined, null, true, false, 0, -1.5, NaN, new Uint8Array(0), new Uint8Array([0, 255]), [], [1, 'a', [null]], {}, { a: { b: [{}] }, '': null }];
  bodies.forEach((body, number) => logger.emit({
    body, severityNumber: number + 1, severityText: TEXT, eventName: `event.${number}`, timestamp: [1760000000 + number, 123456789],
    attributes: number % 3 ? { ...ATTRIBUTES, nested: { deep: [{ bytes: new Uint8Array([0, 254]) }, null] } } : undefined,
    context: number % 2 ? parent : ROOT_CONTEXT,
  }));

  const meter = meters.getMeter('scope', '1.0', { schemaUrl: 'https://example.com/scope' });
  meter.createCounter('ints', { unit: '1', description: TEXT, valueType: 0 }).add(Number.MAX_SAFE_INTEGER, ATTRIBUTES);
  meter.createCounter('doubles').add(0.1, { kind: 1 });
  meter.createUpDownCounter('balance').add(-5);
  meter.createGauge('gauge', { unit: 'By' }).record(1 / 3, ATTRIBUTES);
  meter.createObservableGauge('seen').addCallback((result) => { result.observe(7, { a: 1 }); result.observe(-1e-300); });
  const latency = meter.createHistogram('latency', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 0.5, 1 / 3 + 0.5] } });
  const exponential = meter.createHistogram('exponential', { unit: 's' });
  for (const value of [0.05, 0.3, 0, 2e10, 1e-10]) { latency.record(value, { a: TEXT }); exponential.record(value); }

  await Promise.all([tracers.forceFlush(), loggers.forceFlush(), meters.forceFlush()]);
}

async function main() {
  for (const protocol of Object.keys(PACKAGES)) {
    for (const compression of ['none', 'gzip']) await run(protocol, compression);
  }
  console.log('sent');
  process.exit(0); // a shutdown of the meter providers would push once more
}
main().catch((error) => { console.error(error); process.exit(1); });
