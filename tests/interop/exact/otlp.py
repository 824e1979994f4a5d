"""OTLP by the official definitions (the generated protobuf classes): an oracle that shares no code with Sluice.

Compared are resources, each with all that is under it, because no collector may mix those of different requests. A resource is
its deterministic serialization: equal bytes are equal in every field, doubles to the bit, presence and unknown fields included."""

import base64
import collections
import json
import struct

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest,
}
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
JSON_IDS = {"traceId", "spanId", "parentSpanId"}


def parse(signal, body):
    return REQUESTS[signal].FromString(body)


def resources(requests):
    """The resources of parsed requests, serialized; how often each occurs."""
    groups = (group for request in requests for _, field in request.ListFields() for group in field)
    return collections.Counter(group.SerializeToString(deterministic=True) for group in groups)


def amounts(sent):
    """How many resources requests have, by signal."""
    return {signal: resources(requests).total() for signal, requests in sent.items()}


def items(requests):
    """How many spans, log records and data points."""
    return sum(_items(request) for request in requests)


def _items(message):
    if message.DESCRIPTOR.name in ("Span", "LogRecord") or message.DESCRIPTOR.name.endswith("DataPoint"):
        return 1
    down = ("Request", "ResourceSpans", "ResourceLogs", "ResourceMetrics", "ScopeSpans", "ScopeLogs", "ScopeMetrics", "Metric",
            "Gauge", "Sum", "Histogram", "ExponentialHistogram", "Summary")
    if not message.DESCRIPTOR.name.endswith(down):
        return 0
    return sum(_items(one) for field, value in message.ListFields() if field.message_type
               for one in (value if field.is_repeated else [value]))


def walk(message, visit):
    """Shows each message to `visit`, inner ones first."""
    for field, value in message.ListFields():
        if field.message_type:
            for one in (value if field.is_repeated else [value]):
                walk(one, visit)
    visit(message)


def to_json(request):
    """A request as OTLP/JSON: ids in hexadecimal, enumerations as numbers."""
    made = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_ids(made, lambda text: base64.b64decode(text).hex()))


def from_json(signal, text):
    """Strict: a name that is not in the definitions is an error."""
    read = _ids(json.loads(text), lambda digits: base64.b64encode(bytes.fromhex(digits)).decode())
    return json_format.ParseDict(read, REQUESTS[signal](), max_recursion_depth=300)


def _ids(node, change):
    if isinstance(node, dict):
        return {key: change(inner) if key in JSON_IDS and isinstance(inner, str) else _ids(inner, change)
                for key, inner in node.items()}
    return [_ids(inner, change) for inner in node] if isinstance(node, list) else node


def json_form(request):
    """What JSON can say of a request: NaN is one, and fields that the definitions lack are not there."""
    return from_json(type_signal(request), to_json(request))


def type_signal(request):
    return next(signal for signal, kind in REQUESTS.items() if isinstance(request, kind))


def resource_type(signal):
    """The class of a request's elements."""
    [field] = REQUESTS[signal].DESCRIPTOR.fields
    return GetMessageClass(field.message_type)


def framed(data):
    """The messages of a file in which each stands behind its length, four bytes, most significant first. One that is still being
    written is left out."""
    at = 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        at += 4 + size
        if at <= len(data):
            yield data[at - size:at]


def top_level(body):
    """The occurrences of field 1 of a request, as they stand there; an error if there is anything else."""
    at, found = 0, []
    while at < len(body):
        if body[at] != 0x0A:
            raise ValueError(f"field {body[at] >> 3} at {at}")
        size, at = _varint(body, at + 1)
        found.append(body[at:at + size])
        at += size
    return found


def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def difference(want, got, kind):
    """What the first resource that differs differs in, for a person. Both are as `resources` makes them."""
    missing, surplus = list((want - got).elements()), list((got - want).elements())
    if not missing or not surplus:
        return f"{len(missing)} missing, {len(surplus)} surplus"
    first = kind.FromString(missing[0])
    nearest = min(surplus, key=lambda one: abs(len(one) - len(missing[0])))
    return f"{len(missing)} missing, {len(surplus)} surplus; {_first(first, kind.FromString(nearest), '')}"


def _first(want, got, path):
    for field in want.DESCRIPTOR.fields:
        at = f"{path}.{field.name}" if path else field.name
        a, b = getattr(want, field.name), getattr(got, field.name)
        if field.is_repeated:
            if len(a) != len(b):
                return f"{at}: {len(a)} elements became {len(b)}"
            pairs = list(zip(a, b))
        else:
            if field.has_presence and want.HasField(field.name) != got.HasField(field.name):
                return f"{at}: presence {want.HasField(field.name)} became {got.HasField(field.name)}"
            pairs = [(a, b)]
        for index, (one, other) in enumerate(pairs):
            name = f"{at}[{index}]" if field.is_repeated else at
            if field.message_type:
                if one.SerializeToString(deterministic=True) != other.SerializeToString(deterministic=True):
                    return _first(one, other, name)
            elif field.type == Field.TYPE_DOUBLE:
                if struct.pack("<d", one) != struct.pack("<d", other):
                    return f"{name}: {struct.pack('>d', one).hex()} became {struct.pack('>d', other).hex()}"
            elif one != other:
                return f"{name}: {one!r:.200} became {other!r:.200}"
    return f"{path}: unknown fields"
