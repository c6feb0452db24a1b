"""Faults inside a body: in its JSON text, and in its gzip."""

from __future__ import annotations

from collections.abc import Iterator

from hauserpy.mockapi.content import Content, first, flipped, followed_by
from hauserpy.mockapi.faults import Fault

OBJECT = b'{"unexpected":"object"}'
_CRC_AND_LENGTH = 8  # the trailer of a gzip member
_FLIPPED = 16


def in_text(text: Content, fault: Fault | None) -> Content:
    """The JSON text, with the fault if it is one of those that lie there."""
    match fault.kind if fault else "":
        case "null":
            return Content.of(b"null")
        case "object":
            return Content.of(OBJECT)
        case "number-record":
            return Content(lambda: _with_number(text))
        case "second-array":
            return followed_by(text, b'\n[{"EventType":"second"}]')
    return text


def in_bytes(content: Content, fault: Fault | None) -> Content:
    """The bytes that are sent, with the fault if it is one of those that lie there."""
    match fault.kind if fault else "":
        case "corrupt":
            whole = content.measured()
            return flipped(whole, _at(whole, fault), _FLIPPED)
        case "crc":
            whole = content.measured()
            return flipped(whole, max(0, (whole.length or 0) - _CRC_AND_LENGTH), 4)
        case "trailing":
            return followed_by(content, b"this is no gzip\n")
        case "truncated":
            whole = content.measured()
            return first(whole, _at(whole, fault))
    return content


def _at(content: Content, fault: Fault | None) -> int:
    share = fault.at if fault else None
    return int((content.length or 0) * (share or 0))


def _with_number(text: Content) -> Iterator[bytes]:
    """A number behind the last record."""
    last = b""
    for chunk in text.chunks():
        yield last
        last = chunk
    head, _, tail = last.rpartition(b"]")
    yield head + (b"42]" if head.endswith(b"[") else b",\n42]") + tail
