"""Synthetic bundles: seeded sessions of people in a shop, streamed in the order of their events."""

from __future__ import annotations

import builtins
import math
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush, heapreplace
from pathlib import Path
from random import Random

from hauserpy.mockapi.content import Content, gzipped, json_array
from hauserpy.mockapi.scripts import LONGEST, PERSON, PROFILES, SCRIPTS, Script, profile, script
from hauserpy.model import Window

END = datetime(2026, 7, 1, tzinfo=UTC)
"""Where the synthetic windows end by default: a fixed day, so that tests are deterministic."""

ABOUT = 1_400
"""The size of a record, in bytes."""

_BATCH = 512
_SPARE = 50_000  # what the estimate of a few sessions may be wrong by, in bytes
_FRAME = 420  # ids, times and the person's fields on each record, in bytes
_MILLIS = [b'%03dZ",' % number for number in range(1000)]
_ODD = 0x9E3779B97F4A7C15
_LOW = (1 << 62) - 1


def records(
    window: Window, *, seed: int = 1, events: int | None = None, bytes: int | None = None
) -> Iterator[list[builtins.bytes]]:
    """The records of one window, as JSON texts in batches, EventStart ascending.

    Exactly ``events`` records, or the first that make ``bytes`` of JSON text. The same arguments
    give the same bytes. Memory: the sessions that are open at a time, and 2 bytes a session.
    """
    if (events is None) == (bytes is None):
        raise ValueError("give either events or bytes")
    casting = Random(f"{seed}/{window.start.isoformat()}/{window.stop.isoformat()}")
    cast = _cast(casting, seed, events, bytes)
    batch: list[builtins.bytes] = []
    left = math.inf if events is None else events
    room = math.inf if bytes is None else bytes
    for record in _merged(window, seed, casting, cast):
        if left <= 0 or room <= 0:
            break
        batch.append(record)
        left -= 1
        room -= len(record) + 2
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def write_bundle(
    path: Path,
    *,
    window: Window | None = None,
    seed: int = 1,
    events: int | None = None,
    bytes: int | None = None,
) -> int:
    """Write one bundle as a gzip file for benchmarks; returns the bytes of its JSON text.

    ``bytes`` counts JSON text, not gzip. The window is the last default day when not given.
    """
    chosen = window or Window(END - timedelta(days=1), END)
    text = json_array(lambda: records(chosen, seed=seed, events=events, bytes=bytes))
    size = 0

    def counted() -> Iterator[builtins.bytes]:
        nonlocal size
        for chunk in text.chunks():
            size += len(chunk)
            yield chunk

    with path.open("wb") as file:
        for chunk in gzipped(Content(counted)).chunks():
            file.write(chunk)
    return size


def _cast(rng: Random, seed: int, events: int | None, size: int | None) -> array[int]:
    """The scripts that are played, enough for so many events or bytes."""
    cast: array[int] = array("H")
    needed = (size or 0) * 1.02 + _SPARE if events is None else events
    while needed > 0:
        number = rng.randrange(SCRIPTS)
        cast.append(number)
        chosen = script(seed, number)
        steps = len(chosen.steps)
        needed -= chosen.size + steps * _FRAME if events is None else steps
    return cast


class _Session:
    """A script being played: its texts with ids and times filled in, and how far it has come."""

    __slots__ = ("frames", "position", "start", "steps")

    def __init__(self, script: Script, start: int, ids: bytes, person: bytes, rng: Random) -> None:
        self.steps = script.steps
        self.start = start
        self.position = 0
        begun = _moment(start)
        self.frames = [
            (
                b'%b,"PageId":%d,"EventStart":"' % (ids, (1 << 53) + rng.getrandbits(49)),
                b'"SessionStart":"%b","PageStart":"%b",%b,%b}'
                % (begun, _moment(start + page.start), page.text, person),
            )
            for page in script.pages
        ]


def _merged(window: Window, seed: int, rng: Random, cast: array[int]) -> Iterator[bytes]:
    first = round(window.start.timestamp() * 1000)
    length = (window.stop - window.start) // timedelta(milliseconds=1)
    # Sessions must end within the window; in one shorter than two of them time runs faster.
    speed = min(1.0, length / (2 * LONGEST))
    span = length - LONGEST * speed
    people = max(3, len(cast) // 3)
    openings = (
        (first + int(span * _daily((number + rng.random()) / len(cast))), number)
        for number in range(len(cast))
    )
    coming = next(openings, None)
    playing: list[tuple[int, int, _Session]] = []
    second, prefix = -1, b""
    while playing or coming is not None:
        while coming is not None and (not playing or coming[0] <= playing[0][0]):
            start, number = coming
            session = _open(seed, rng, script(seed, cast[number]), start, rng.randrange(people))
            heappush(playing, (start + int(session.steps[0][0] * speed), number, session))
            coming = next(openings, None)
        moment, number, session = playing[0]
        _, page, text = session.steps[session.position]
        whole, rest = divmod(moment, 1000)
        if whole != second:
            second, prefix = whole, _moment(whole * 1000)[:-4]
        head, tail = session.frames[page]
        yield b"".join((head, prefix, _MILLIS[rest], text, tail))
        session.position += 1
        if session.position < len(session.steps):
            later = session.start + int(session.steps[session.position][0] * speed)
            heapreplace(playing, (later, number, session))
        else:
            heappop(playing)


def _open(seed: int, rng: Random, script: Script, start: int, person: int) -> _Session:
    # An odd factor modulo a power of two keeps ids distinct, and they pass 2^53 as real ones do.
    user = ((person + 1) * _ODD + seed) & _LOW | 1 << 62
    individual = ((person // 2 + 1) * _ODD + seed + 1) & _LOW | 1 << 62
    ids = b'{"IndvId":%d,"UserId":%d,"SessionId":%d' % (
        individual,
        user,
        (1 << 53) + rng.getrandbits(49),
    )
    text = profile(seed, person % PROFILES).replace(PERSON, b"%d" % (10_000 + person))
    return _Session(script, start, ids, text, rng)


def _moment(millis: int) -> bytes:
    whole, rest = divmod(millis, 1000)
    return b"%b.%03dZ" % (
        datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode(),
        rest,
    )


def _daily(share: float) -> float:
    """A rising map of 0..1 to itself: busier in the middle of the day than at its ends."""
    return share + math.sin(2 * math.pi * share) * 0.12
