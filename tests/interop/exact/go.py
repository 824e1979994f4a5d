"""What the Go Collector itself changes in what passes through it. DIFFERENCES.md gives the reasons.

`form` brings a request into the form in which the Go Collector hands it on. It counts what each rule changed: a rule that has
nothing to do any more is to be taken off the list."""

import collections
import math

from exact.otlp import IDS, walk

ABSENT = "an absent message is an empty one"
ZERO = "negative zero is left out where a number cannot be absent"
NO_ID = "an id of zeros is no id"
UNKNOWN = "fields that it does not know are left out"
RULES = (ABSENT, ZERO, NO_ID, UNKNOWN)
# Messages that are never absent there, by the field that holds them.
ALWAYS = {
    "ResourceSpans.resource", "ResourceMetrics.resource", "ResourceLogs.resource", "ScopeSpans.scope", "ScopeMetrics.scope",
    "ScopeLogs.scope", "KeyValue.value", "Span.status", "LogRecord.body", "ExponentialHistogramDataPoint.positive",
    "ExponentialHistogramDataPoint.negative",
}


def form(request, counts=None):
    made = type(request)()
    made.CopyFrom(request)
    made.DiscardUnknownFields()
    counts = collections.Counter() if counts is None else counts
    counts[UNKNOWN] += made != request

    def change(message):
        for field in message.DESCRIPTOR.fields:
            value = getattr(message, field.name)
            if f"{message.DESCRIPTOR.name}.{field.name}" in ALWAYS and not message.HasField(field.name):
                value.SetInParent()
                counts[ABSENT] += 1
            elif field.name in IDS and value and not any(value):
                message.ClearField(field.name)
                counts[NO_ID] += 1
            elif isinstance(value, float) and value == 0 and not field.has_presence and math.copysign(1, value) < 0:
                message.ClearField(field.name)
                counts[ZERO] += 1

    walk(made, change)
    return made
