"""The requests that must arrive as they are: every field of the definitions, with the extremes of its type.

`requests(signal)` makes them by walking the definitions, so that a field that OTLP gains is in them by itself, and goes on until
every field has had every one of its values. `coverage` proves it afterwards from the messages alone."""

import itertools
import random
import struct

from google.protobuf.descriptor import FieldDescriptor as Field

from exact.otlp import IDS, REQUESTS, items, walk


def bits(pattern):
    return struct.unpack("<d", struct.pack("<Q", pattern))[0]


DOUBLES = [
    0.1, -0.0, 0.0, float("inf"), float("-inf"), bits(0x7FF8000000000000), bits(0xFFF8000000000000), bits(0x7FF0000000000002),
    bits(0x7FF80DEADBEEF123), 5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, 1 / 3, 1e21, 123456789012345680.0, -1.5,
]
STRINGS = [
    "text", "", " ", 'quotes " and \\ and /', "\n\r\t\b\f\x00\x01\x1f\x7f", "\u2028\u2029<&>", "Grüße, 世界, \U0001f600, e\u0301",
    "\ufeff\ufffd\uffff\U0010ffff", "null", "NaN", "0", "x" * 300,
]
BYTES = [b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"\xc3\x28", b"a", b"ab", b"abc"]
VALUES = {
    Field.TYPE_DOUBLE: DOUBLES,
    Field.TYPE_STRING: STRINGS,
    Field.TYPE_BYTES: BYTES,
    Field.TYPE_BOOL: [True, False],
    Field.TYPE_INT32: [1, 0, -1, 2**31 - 1, -(2**31)],
    Field.TYPE_SINT32: [1, 0, -1, 2**31 - 1, -(2**31)],
    Field.TYPE_UINT32: [1, 0, 2**31, 2**32 - 1],
    Field.TYPE_FIXED32: [1, 0, 2**31, 2**32 - 1],
    Field.TYPE_INT64: [1, 0, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    Field.TYPE_SFIXED64: [1, 0, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    Field.TYPE_UINT64: [1, 0, 2**53 + 1, 2**63, 2**64 - 1],
    Field.TYPE_FIXED64: [1_760_000_000_123_456_789, 0, 1, 2**53 + 1, 2**63, 2**64 - 1],
}
# How deep arrays and maps nest.
DEPTH = 3


def values(field):
    """What a field that is no message takes, one after the other."""
    if field.name in IDS:
        size = IDS[field.name]
        return [bytes(range(1, size + 1)), b"\xff" * size, b"\x00" * (size - 1) + b"\x01", b"\x80" + b"\x00" * (size - 1), b"\x00" * size, b""]
    if field.type == Field.TYPE_ENUM:
        # Numbers that have no name yet must pass, too.
        return [value.number for value in field.enum_type.values] + [77, 2**31 - 1, -1]
    return VALUES[field.type]


class Maker:
    """Makes messages; each field takes its next value each time it is set, each oneof its next member."""

    def __init__(self):
        self.turns = {}

    def turn(self, key):
        return next(self.turns.setdefault(key, itertools.count()))

    def fill(self, message, depth=DEPTH):
        kind = message.DESCRIPTOR
        for oneof in kind.oneofs:
            if len(oneof.fields) > 1:
                members = [field for field in oneof.fields if depth or field.name not in ("array_value", "kvlist_value")]
                # Once a round no member is set.
                index = self.turn(oneof.full_name) % (len(members) + 1)
                if index < len(members):
                    self.set(message, members[index], depth)
        for field in kind.fields:
            if field.containing_oneof and len(field.containing_oneof.fields) > 1:
                continue
            # What can be absent is, once in a while.
            if field.has_presence and not field.is_repeated and self.turn(("absent", field.full_name)) % 5 == 4:
                continue
            self.set(message, field, depth)
        return message

    def set(self, message, field, depth):
        turn = self.turn(field.full_name)
        if field.is_repeated:
            count = (2, 3, 1, 0)[turn % 4]
            if field.message_type:
                for _ in range(count):
                    self.fill(getattr(message, field.name).add(), depth)
            else:
                takes = values(field)
                start = self.turn(("element", field.full_name)) * 3
                getattr(message, field.name).extend(takes[(start + index) % len(takes)] for index in range(count * 3))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            if turn % 7 != 6:
                inner = depth - 1 if field.name in ("array_value", "kvlist_value") else depth
                self.fill(getattr(message, field.name), inner)
        else:
            takes = values(field)
            setattr(message, field.name, takes[turn % len(takes)])


def requests(signal):
    """Several requests; each has items."""
    maker, made = Maker(), []
    while len(made) < 4 or (len(made) < 40 and coverage(signal, made)):
        request = maker.fill(REQUESTS[signal]())
        # A request without items is answered, and goes nowhere: such resources go together with others.
        if made and not items([request]):
            made[-1].MergeFrom(request)
        else:
            made.append(request)
    return made


def large(signal, resources=150):
    """A request larger than any frame or buffer on the way, which no compression makes suspiciously small."""
    maker, noise, made = Maker(), random.Random(1), REQUESTS[signal]()
    [field] = made.DESCRIPTOR.fields
    while len(getattr(made, field.name)) < resources:
        group = maker.fill(getattr(made, field.name).add())
        group.resource.attributes.add(key="noise").value.bytes_value = noise.randbytes(300)
    return made


def coverage(signal, made):
    """The values of fields that do not occur, as (field, value)."""
    lacking, known, todo = set(), set(), [REQUESTS[signal].DESCRIPTOR]
    while todo:
        kind = todo.pop()
        if kind.full_name in known:
            continue
        known.add(kind.full_name)
        for field in kind.fields:
            if field.message_type:
                lacking.add((field.full_name, "set"))
                todo.append(field.message_type)
            else:
                lacking |= {(field.full_name, key(value)) for value in values(field)}
            if field.has_presence:
                lacking.add((field.full_name, "absent"))

    def visit(message):
        for field in message.DESCRIPTOR.fields:
            value = getattr(message, field.name)
            if field.has_presence and not message.HasField(field.name):
                lacking.discard((field.full_name, "absent"))
            elif field.message_type:
                if not field.is_repeated or len(value):
                    lacking.discard((field.full_name, "set"))
            else:
                for one in value if field.is_repeated else [value]:
                    lacking.discard((field.full_name, key(one)))

    for request in made:
        walk(request, visit)
    return lacking


def key(value):
    return struct.pack("<d", value) if isinstance(value, float) else (type(value).__name__, value)
