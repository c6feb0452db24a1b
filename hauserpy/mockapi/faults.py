"""Faults: what can be made to go wrong, in one small grammar.

    [ENDPOINT[N]:]KIND[@SHARE%][=VALUE][:TIMES][,OPTION…]

``429:2`` answers the first two requests with 429; ``get[2]:cut@60%:*`` cuts every download of the
second bundle after 60 % of its body. Everything but KIND may be left out.

ENDPOINT  list, get (generation 1); create, poll, cancel, locate, download (generation 2). Without
          one, the fault strikes wherever its kind makes sense.
[N]       Only the Nth bundle, from 1: in generation 1 the Nth oldest, in generation 2 the Nth
          distinct time range that was asked for. Not for list.
KIND      See KINDS: the statuses 400 to 599 and the words of FAULT_HELP.
SHARE     Where in the body it strikes, 0 to 100 %.
VALUE     A rate (``slow=1MB/s``) or a number of polls (``slow-operation=50``).
TIMES     How many requests it strikes: once by default, so that a retry succeeds; ``*`` means
          always. ``slow`` and ``slow-operation`` are always on by default.
OPTION    ``chunked`` (no Content-Length), ``retry-after=SECONDS`` or ``retry-after=none`` (with
          429 and 503; 1 by default), ``date`` (Retry-After as an HTTP date). ``:`` before an option
          is taken for a comma.

Of the faults that fit a request the first with strikes left is used; ``slow`` goes with any other.
"""

from __future__ import annotations

import re
import textwrap
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hauserpy.errors import ConfigError

ENDPOINTS = ("list", "get", "create", "poll", "cancel", "locate", "download")
BODIES = ("get", "download")
_ANSWERS = ("list", "create", "poll", "locate")  # answers that are JSON and matter


@dataclass(frozen=True, slots=True)
class Kind:
    """One word of the grammar: where it may strike, by default (``usual``) and at all."""

    help: str
    usual: tuple[str, ...]
    allowed: tuple[str, ...]
    share: float | None = None
    """The share of the body at which it strikes by default; None when it takes none."""
    bare: bool = False
    """Without ``@`` it strikes before the answer."""
    value: str = ""
    """What ``=`` takes: "rate", "polls" or nothing."""
    always: bool = False


KINDS: dict[str, Kind] = {
    "hang": Kind("accepts, never answers; with @SHARE stops in the body, until the mock is closed",
                 ENDPOINTS, ENDPOINTS, 0.5, bare=True),
    "reset": Kind("resets the connection; with @SHARE in the body", ENDPOINTS, ENDPOINTS, 0.5,
                  bare=True),
    "cut": Kind("drops the connection at SHARE of the body (50 %)", BODIES, ENDPOINTS, 0.5),
    "slow": Kind("sends the body at VALUE (slow=1MB/s)", BODIES, ENDPOINTS, value="rate",
                 always=True),
    "wrong-length": Kind("announces a Content-Length 10 bytes too short", BODIES, ENDPOINTS),
    "html": Kind("answers 200 with an HTML page", ENDPOINTS, ENDPOINTS),
    "null": Kind("the body is null", BODIES, (*BODIES, *_ANSWERS)),
    "object": Kind("the body is an object where an array (or another object) should be", BODIES,
                   (*BODIES, *_ANSWERS)),
    "number-record": Kind("one of the records is a number", BODIES, BODIES),
    "second-array": Kind("a second array follows the first", BODIES, BODIES),
    "corrupt": Kind("16 bytes of the gzip at SHARE (50 %) are flipped", BODIES, BODIES, 0.5),
    "crc": Kind("the gzip's checksum is wrong", BODIES, BODIES),
    "trailing": Kind("garbage follows the gzip", BODIES, BODIES),
    "truncated": Kind("the gzip ends at SHARE (60 %), whole by the measure of HTTP", BODIES, BODIES,
                      0.6),
    "redirect": Kind("302 to the other host, which answers in the API's place",
                     ("list", "get", "poll", "locate"), ("list", "get", "poll", "locate")),
    "failed": Kind("the export's operation ends FAILED, with errorDetails; poll:failed at once",
                   ("create",), ("create", "poll")),
    "slow-operation": Kind("the operation is PENDING for VALUE polls (50)", ("create",),
                           ("create",), value="polls", always=True),
    "unknown-state": Kind("a poll answers with a state that nobody knows", ("poll",), ("poll",)),
    "expired": Kind("the signed location is stale when it is given", ("locate",),
                    ("locate", "download")),
}  # fmt: skip


def _entry(name: str, text: str) -> str:
    indent = " " * 16
    return textwrap.fill(text, 76, initial_indent=f"{name:<15} ", subsequent_indent=indent)


FAULT_HELP = "\n".join(
    [
        "[ENDPOINT[N]:]KIND[@SHARE%][=VALUE][:TIMES][,OPTION…]",
        "",
        "ENDPOINT is one of list, get (generation 1), create, poll, cancel, locate,",
        "download (generation 2); [N] limits it to the Nth bundle. TIMES is how often",
        "it strikes: once by default, * for always (slow kinds: always by default).",
        "",
        _entry("400 to 599", "answers with that status"),
        *(_entry(name, kind.help) for name, kind in KINDS.items()),
        "",
        "OPTION: retry-after=SECONDS or retry-after=none, for 429 and 503 (default 1);",
        "date (Retry-After as an HTTP date); chunked (no Content-Length).",
        "",
        "429:2  500:3  get:cut@60%  get[2]:corrupt:*  slow=1MB/s  429,retry-after=3",
    ]
)
"""The grammar for `hauserpy mock-api --help`; paragraphs keep their lines."""

_SPEC = re.compile(
    r"(?:(?P<endpoint>[a-z]+)(?:\[(?P<bundle>\d+)\])?:)?"
    r"(?P<kind>[a-z][a-z-]*|\d{3})"
    r"(?:@(?P<share>\d+(?:\.\d+)?)%)?"
    r"(?:=(?P<value>[^:,]+))?"
    r"(?P<rest>(?:[:,][^:,]+)*)"
)
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B/s", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``Fault.parse`` reads a spec; the fields are the grammar's."""

    kind: str
    endpoint: str | None = None
    bundle: int | None = None
    share: float | None = None
    """0 to 1."""
    value: int | None = None
    """Bytes a second, or polls."""
    times: int | None = 1
    """None means always."""
    retry_after: int | None = 1
    """Seconds; None leaves the header out."""
    date: bool = False
    chunked: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def parse(cls, spec: str) -> Fault:
        """Read one spec. ConfigError says what is allowed instead."""
        match = _SPEC.fullmatch(spec.strip())
        if match is None:
            raise ConfigError(
                f"--fault {spec!r} cannot be read.",
                "Write [ENDPOINT[N]:]KIND[@SHARE%][=VALUE][:TIMES][,OPTION…], for example"
                " 429:2 or get[2]:cut@60%.",
            )
        kind = match["kind"]
        known = KINDS.get(kind)
        fault = cls(
            kind,
            endpoint=match["endpoint"],
            bundle=int(match["bundle"]) if match["bundle"] else None,
            share=float(match["share"]) / 100 if match["share"] else None,
            value=_value(spec, known, match["value"]),
            times=None if known is not None and known.always else 1,
        )
        for part in re.split("[:,]", match["rest"])[1:]:
            fault = _option(spec, fault, part.strip())
        return fault

    @property
    def status(self) -> int | None:
        """The HTTP status, when that is the fault."""
        return int(self.kind) if self.kind.isdigit() else None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it may strike."""
        if self.endpoint is not None:
            return (self.endpoint,)
        if self.status is not None:
            return ENDPOINTS
        kind = KINDS[self.kind]
        return BODIES if kind.bare and self.share is not None else kind.usual

    @property
    def at(self) -> float | None:
        """The share of the body at which it strikes; None when it does not strike there."""
        kind = KINDS.get(self.kind)
        if kind is None or (kind.bare and self.share is None):
            return None
        return kind.share if self.share is None else self.share

    def __str__(self) -> str:
        where = self.endpoint or ""
        where += f"[{self.bundle}]" if self.bundle else ""
        text = f"{where}:{self.kind}" if where else self.kind
        text += "" if self.share is None else f"@{self.share * 100:g}%"
        if self.value is not None:
            text += f"={self.value}B/s" if self.kind == "slow" else f"={self.value}"
        text += ":*" if self.times is None else f":{self.times}"
        if self.retry_after != 1:
            text += f",retry-after={'none' if self.retry_after is None else self.retry_after}"
        return text + (",date" if self.date else "") + (",chunked" if self.chunked else "")


def _check(fault: Fault) -> None:
    status = fault.status
    kind = KINDS.get(fault.kind)
    if kind is None and (status is None or not 400 <= status <= 599):
        raise ConfigError(
            f"there is no fault {fault.kind!r}.",
            f"Known are the statuses 400 to 599, {', '.join(KINDS)}.",
        )
    allowed = ENDPOINTS if kind is None else kind.allowed
    if fault.endpoint is not None and fault.endpoint not in allowed:
        raise ConfigError(
            f"the fault {fault.kind!r} cannot strike at {fault.endpoint!r}.",
            f"It can at {', '.join(allowed)}.",
        )
    if fault.bundle is not None and (fault.endpoint in (None, "list") or fault.bundle < 1):
        raise ConfigError(
            f"the fault {fault.kind!r} cannot be limited to bundle {fault.bundle} there.",
            "Bundles count from 1; write them behind an endpoint other than list: get[2]:….",
        )
    if fault.share is not None and (kind is None or kind.share is None or fault.share > 1):
        raise ConfigError(
            f"the fault {fault.kind!r} takes no share of {fault.share * 100:g} %.",
            "A share is 0 to 100 %, for "
            f"{', '.join(name for name, known in KINDS.items() if known.share is not None)}.",
        )
    if fault.kind == "slow" and not fault.value:
        raise ConfigError("the fault 'slow' needs a rate.", "Write slow=1MB/s.")
    if fault.times is not None and fault.times < 1:
        raise ConfigError("a fault cannot strike less than once.", "Use a number from 1, or *.")


def _value(spec: str, kind: Kind | None, text: str | None) -> int | None:
    if text is None:
        return None
    takes = "" if kind is None else kind.value
    if takes == "rate":
        match = _RATE.fullmatch(text.strip())
        if match is None or not float(match[1]):
            raise ConfigError(f"--fault {spec!r}: {text!r} is no rate.", "Write slow=1MB/s.")
        return max(1, int(float(match[1]) * _UNITS[match[2].lower()]))
    if takes == "polls":
        if not text.isdigit():
            raise ConfigError(f"--fault {spec!r}: {text!r} is no number of polls.", "Write =50.")
        return int(text)
    raise ConfigError(f"--fault {spec!r} takes no value.", "Only slow and slow-operation do.")


def _option(spec: str, fault: Fault, text: str) -> Fault:
    if text == "*":
        return replace(fault, times=None)
    if text.isdigit():
        return replace(fault, times=int(text))
    if text == "chunked":
        return replace(fault, chunked=True)
    if text == "date":
        return replace(fault, date=True)
    name, _, value = text.partition("=")
    if name == "retry-after" and (value.isdigit() or value == "none"):
        return replace(fault, retry_after=None if value == "none" else int(value))
    raise ConfigError(
        f"--fault {spec!r}: {text!r} is neither a number of times nor an option.",
        "Known are a number, *, chunked, date, retry-after=SECONDS and retry-after=none.",
    )


class FaultBox:
    """The faults of a running mock, with the strikes that each has left. Safe to use from threads."""

    def __init__(self, faults: Iterable[Fault | str] = ()) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault | str) -> None:
        """Arm one more, behind those that are there."""
        made = Fault.parse(fault) if isinstance(fault, str) else fault
        with self._lock:
            self._armed.append((made, [0]))

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def pending(self) -> list[Fault]:
        """Those with strikes left that have not struck as often as they are to; those that strike
        always, while they have not struck at all."""
        with self._lock:
            return [f for f, struck in self._armed if struck[0] < (f.times or 1)]

    def take(self, endpoint: str, bundle: int | None) -> tuple[Fault | None, Fault | None]:
        """The fault that this request meets, and the one that slows it; each uses up a strike."""
        main: Fault | None = None
        slow: Fault | None = None
        with self._lock:
            for fault, struck in self._armed:
                if endpoint not in fault.endpoints or fault.bundle not in (None, bundle):
                    continue
                if fault.times is not None and struck[0] >= fault.times:
                    continue
                if fault.kind == "slow":
                    if slow is None:
                        slow = fault
                        struck[0] += 1
                elif main is None:
                    main = fault
                    struck[0] += 1
        return main, slow
