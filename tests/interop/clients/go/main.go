// An unmodified Go SDK that sends the same telemetry to two places: by one exporter to the collector, by another one of the same
// kind to a recording endpoint. A row is a protocol with a compression; the resource names it.
//
// usage: go-client GRPC HTTP RECORDING_GRPC RECORDING_HTTP
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const text = "quotes \" \\ \n \x00 \u2028 ü \U0001f600"

var attributes = []attribute.KeyValue{
	attribute.String("text", text), attribute.String("empty", ""), attribute.Bool("true", true), attribute.Bool("false", false),
	attribute.Int64("int", math.MinInt64), attribute.Int64("big", math.MaxInt64), attribute.Float64("double", math.Copysign(0, -1)),
	attribute.Float64("third", 1.0/3), attribute.Float64("inf", math.Inf(1)), attribute.Float64("nan", math.NaN()),
	attribute.StringSlice("texts", []string{"a", "", text}), attribute.Int64Slice("ints", []int64{1, -1}),
	attribute.Float64Slice("doubles", []float64{0.5, math.SmallestNonzeroFloat64}), attribute.BoolSlice("bools", []bool{true, false}),
	attribute.StringSlice("none", nil), attribute.String(text, text),
}

// The three exporters hand everything to all of theirs.
type spans []sdktrace.SpanExporter

func (all spans) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) (err error) {
	for _, one := range all {
		err = errors.Join(err, one.ExportSpans(ctx, batch))
	}
	return failed(err)
}
func (all spans) Shutdown(context.Context) error { return nil }

type logs []sdklog.Exporter

func (all logs) Export(ctx context.Context, batch []sdklog.Record) (err error) {
	for _, one := range all {
		err = errors.Join(err, one.Export(ctx, batch))
	}
	return failed(err)
}
func (all logs) Shutdown(context.Context) error   { return nil }
func (all logs) ForceFlush(context.Context) error { return nil }

type metrics []sdkmetric.Exporter

func (all metrics) Export(ctx context.Context, batch *metricdata.ResourceMetrics) (err error) {
	for _, one := range all {
		err = errors.Join(err, one.Export(ctx, batch))
	}
	return failed(err)
}
func (all metrics) Temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	if kind == sdkmetric.InstrumentKindCounter {
		return metricdata.DeltaTemporality
	}
	return metricdata.CumulativeTemporality
}
func (all metrics) Aggregation(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(kind)
}
func (all metrics) Shutdown(context.Context) error   { return nil }
func (all metrics) ForceFlush(context.Context) error { return nil }

func failed(err error) error {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return nil
}

func must[T any](value T, err error) T {
	failed(err)
	return value
}

// exporters makes one of each kind for an endpoint.
func exporters(ctx context.Context, protocol, compression, endpoint string) (sdktrace.SpanExporter, sdklog.Exporter, sdkmetric.Exporter) {
	if protocol == "grpc" {
		t := []otlptracegrpc.Option{otlptracegrpc.WithInsecure(), otlptracegrpc.WithEndpoint(endpoint)}
		l := []otlploggrpc.Option{otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(endpoint)}
		m := []otlpmetricgrpc.Option{otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithEndpoint(endpoint)}
		if compression == "gzip" {
			t = append(t, otlptracegrpc.WithCompressor("gzip"))
			l = append(l, otlploggrpc.WithCompressor("gzip"))
			m = append(m, otlpmetricgrpc.WithCompressor("gzip"))
		}
		return must(otlptracegrpc.New(ctx, t...)), must(otlploggrpc.New(ctx, l...)), must(otlpmetricgrpc.New(ctx, m...))
	}
	t := []otlptracehttp.Option{otlptracehttp.WithInsecure(), otlptracehttp.WithEndpoint(endpoint)}
	l := []otlploghttp.Option{otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(endpoint)}
	m := []otlpmetrichttp.Option{otlpmetrichttp.WithInsecure(), otlpmetrichttp.WithEndpoint(endpoint)}
	if compression == "gzip" {
		t = append(t, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		l = append(l, otlploghttp.WithCompression(otlploghttp.GzipCompression))
		m = append(m, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	}
	return must(otlptracehttp.New(ctx, t...)), must(otlploghttp.New(ctx, l...)), must(otlpmetrichttp.New(ctx, m...))
}

func run(ctx context.Context, protocol, compression string, endpoints [2]string) {
	var s spans
	var l logs
	var m metrics
	for _, endpoint := range endpoints {
		span, record, point := exporters(ctx, protocol, compression, endpoint)
		s, l, m = append(s, span), append(l, record), append(m, point)
	}
	row := attribute.String("row", fmt.Sprintf("go-%s-%s", protocol, compression))
	about := resource.NewWithAttributes("https://example.com/schema", append([]attribute.KeyValue{row}, attributes...)...)
	limits := sdktrace.NewSpanLimits()
	limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit = 16, 2, 1
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(s), sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(l)), sdklog.WithResource(about))
	exponential := sdkmetric.NewView(sdkmetric.Instrument{Name: "exponential"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithView(exponential),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(m, sdkmetric.WithInterval(time.Hour))))

	scope := []trace.TracerOption{trace.WithInstrumentationVersion("1.0"), trace.WithSchemaURL("https://example.com/scope"),
		trace.WithInstrumentationAttributes(attribute.String("scope.attribute", text))}
	tracer := tracers.Tracer("scope", scope...)
	remote := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{5: 0xab, 15: 1}, SpanID: trace.SpanID{7: 0xba}, TraceFlags: trace.FlagsSampled, Remote: true,
		TraceState: must(trace.ParseTraceState("vendor=a b,other=1")),
	})
	parent := trace.ContextWithSpanContext(ctx, remote)
	meter := meters.Meter("scope", metric.WithInstrumentationVersion("1.0"), metric.WithSchemaURL("https://example.com/scope"),
		metric.WithInstrumentationAttributes(attribute.Float64Slice("scope.attribute", []float64{1.5})))
	for kind := trace.SpanKindUnspecified; kind <= trace.SpanKindConsumer; kind++ {
		at, span := tracer.Start(parent, fmt.Sprintf("span %v %s", kind, text), trace.WithSpanKind(kind),
			trace.WithAttributes(attributes...), trace.WithLinks(trace.Link{SpanContext: remote, Attributes: attributes}, trace.Link{SpanContext: remote}))
		span.SetAttributes(attribute.String("over", "the limit"))
		span.AddEvent("event", trace.WithAttributes(attributes...), trace.WithTimestamp(time.Unix(1760000000, 123456789)))
		span.AddEvent(text)
		span.AddEvent("")
		if kind == trace.SpanKindServer {
			span.SetStatus(codes.Error, text)
		} else {
			span.SetStatus(codes.Ok, "")
		}
		_, child := tracer.Start(at, "child")
		record(at, meter, kind)
		child.End()
		span.End()
	}

	logger := loggers.Logger("scope", log.WithInstrumentationVersion("1.0"), log.WithSchemaURL("https://example.com/scope"),
		log.WithInstrumentationAttributes(attribute.Int("scope.attribute", 1)))
	bodies := []attribute.Value{
		attribute.StringValue(text), attribute.StringValue(""), {}, attribute.BoolValue(true), attribute.BoolValue(false),
		attribute.Int64Value(0), attribute.Int64Value(math.MinInt64), attribute.Float64Value(0.1), attribute.Float64Value(math.NaN()),
		attribute.ByteSliceValue(nil), attribute.ByteSliceValue([]byte{0, 255}), attribute.SliceValue(),
		attribute.SliceValue(attribute.IntValue(1), attribute.StringValue("a"), attribute.SliceValue(attribute.Value{}, attribute.ByteSliceValue([]byte("x")))),
		attribute.MapValue(), attribute.MapValue(attribute.Slice("a", attribute.MapValue()), attribute.KeyValue{Key: "none"}),
	}
	for number, body := range bodies {
		var one log.Record
		one.SetTimestamp(time.Unix(1760000000+int64(number), 123456789))
		one.SetObservedTimestamp(time.Now())
		one.SetBody(body)
		one.SetSeverity(log.Severity(number + 1))
		one.SetSeverityText(text)
		one.SetEventName(fmt.Sprintf("event.%d", number))
		if number%3 > 0 {
			one.AddAttributes(attributes...)
			one.AddAttributes(attribute.Map("nested", attribute.Slice("deep", attribute.ByteSliceValue([]byte{0, 254}), attribute.Value{})))
		}
		if number%2 > 0 {
			logger.Emit(parent, one)
		} else {
			logger.Emit(ctx, one)
		}
	}
	failed(errors.Join(tracers.ForceFlush(ctx), loggers.ForceFlush(ctx), meters.ForceFlush(ctx)))
}

func record(ctx context.Context, meter metric.Meter, kind trace.SpanKind) {
	with := metric.WithAttributes(attributes...)
	must(meter.Int64Counter("ints", metric.WithUnit("1"), metric.WithDescription(text))).Add(ctx, 1<<53+1, with)
	must(meter.Float64Counter("doubles")).Add(ctx, 0.1, metric.WithAttributes(attribute.String("kind", kind.String())))
	must(meter.Int64UpDownCounter("balance")).Add(ctx, -5)
	must(meter.Float64Gauge("gauge", metric.WithUnit("By"))).Record(ctx, math.Inf(1), with)
	must(meter.Int64Gauge("int.gauge")).Record(ctx, math.MinInt64, with)
	latency := must(meter.Float64Histogram("latency", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 0.5, 1.0/3+0.5)))
	exponential := must(meter.Float64Histogram("exponential", metric.WithUnit("s")))
	for _, value := range []float64{0.05, 0.3, 0, 2e10, 1e-10} {
		latency.Record(ctx, value, metric.WithAttributes(attribute.String("kind", kind.String())))
		exponential.Record(ctx, value)
	}
}

func main() {
	ctx := context.Background()
	grpc, http := [2]string{os.Args[1], os.Args[3]}, [2]string{os.Args[2], os.Args[4]}
	for _, compression := range []string{"none", "gzip"} {
		run(ctx, "grpc", compression, grpc)
		run(ctx, "proto", compression, http)
	}
	fmt.Println("sent")
	os.Exit(0) // a shutdown of the meter providers would push once more
}
