"""Fields that no definition has yet."""

from exact.otlp import walk

# Field 2000 as a varint, 2001 as eight bytes, 2002 as a string, 2003 as four bytes.
UNKNOWN = b"\x80\x7d\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" b"\x89\x7d12345678" b"\x92\x7d\x06future" b"\x9d\x7d1234"
# Field 2004 as a group with field 1 in it. The Go Collector cannot read groups.
GROUP = b"\xa3\x7d\x08\x07\xa4\x7d"


def with_unknown_fields(request, fields=UNKNOWN):
    """A copy in which every message but the request itself has fields that nobody knows."""
    made = type(request)()
    made.CopyFrom(request)
    walk(made, lambda message: message is made or message.MergeFromString(fields))
    return made
