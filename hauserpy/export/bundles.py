"""Generation 1 of the export API: the account's own bundles, listed and downloaded by id."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hauserpy.errors import ApiUnavailable, BundleGone
from hauserpy.export.http import Http
from hauserpy.export.request import Request
from hauserpy.export.source import Body
from hauserpy.model import BEGINNING, Bundle, Window, rfc3339
from hauserpy.waiting import Timing

if TYPE_CHECKING:
    from hauserpy.config import Settings

_log = logging.getLogger(__name__)

PAGE = 20
"""Bundles on a full page of the list; a page with fewer is the last."""

_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,9})?")
_ID = re.compile(r"[0-9A-Za-z_.:~-]{1,200}")
_CLOCK_SKEW = timedelta(hours=1)
"""As much as `Ledger.refuse_future` forgives."""


class Bundles:
    """The `Source` of ``ExportApi = "bundles"``."""

    def __init__(self, settings: Settings, timing: Timing | None = None) -> None:
        """Raises ConfigError for a URL, token or header that cannot be used."""
        self._timing = timing or Timing()
        self._http = Http(settings, self._timing)

    def due(
        self,
        after: datetime | None,
        until: datetime | None = None,
        *,
        loaded: Sequence[Window] = (),
        replace: bool = False,
    ) -> Iterator[Bundle]:
        """See `Source.due`. Raises ApiUnavailable, naming the item, for a list that is malformed,
        leads into the future, or goes in a circle."""
        del loaded, replace  # the bundles are the account's, whatever is loaded
        cursor = int((after or BEGINNING).timestamp())
        seen: set[Bundle] = set()
        while True:
            page = self._page(cursor)
            for bundle in sorted(page, key=lambda b: (b.window, b.id)):
                if bundle in seen or (after is not None and bundle.window.stop <= after):
                    continue
                seen.add(bundle)
                if bundle.window.start == bundle.window.stop:
                    _log.warning("bundle %s covers no time; it is left out", bundle)
                elif until is None or bundle.window.start < until:
                    yield bundle
            if len(page) < PAGE:
                return
            if until is not None and any(b.window.start >= until for b in page):
                return
            furthest = int(max(b.window.stop for b in page).timestamp())
            if furthest <= cursor:
                raise ApiUnavailable(
                    f"the list of bundles goes in a circle: after {rfc3339(_moment(cursor))} the API"
                    f" offers {PAGE} bundles that end no later.",
                    "Run again later; if it stays so, tell Fullstory.",
                )
            cursor = furthest

    @contextmanager
    def open(self, bundle: Bundle) -> Iterator[Body]:
        """See `Source.open`. The bundle is generated on demand: its first byte may take
        `hauserpy.export.http.FIRST_BYTE` times ReadTimeout, each later one ReadTimeout."""
        what = f"bundle {bundle}"
        request = Request(
            what=what,
            endpoint="get",
            url=self._http.url("export/get"),
            params={"id": bundle.id},
            allow=(404, 410),
            first_byte=self._http.first_byte,
        )
        response = self._http.open(request)
        try:
            if response.status_code != 200:
                raise BundleGone(
                    f"{what}: the API no longer has it ({response.status_code}), though it is"
                    " listed.",
                    "It may be older than the account keeps its sessions. Give its window up with"
                    f" `hauserpy skip --since {rfc3339(bundle.window.start)}"
                    f" --until {rfc3339(bundle.window.stop)} --reason …`, and sync goes on.",
                )
            yield self._http.body(response, what)
        finally:
            response.close()

    def announce(self, bundle: Bundle) -> None:
        """Nothing: generation 1 begins a bundle when it is asked for it, within its rate limit."""

    def close(self) -> None:
        """See `Source.close`."""
        self._http.close()

    def _page(self, cursor: int) -> list[Bundle]:
        request = Request(
            what="the list of bundles",
            endpoint="list",
            url=self._http.url("export/list"),
            params={"start": str(cursor)},
        )
        _, answer = self._http.json(request)
        return parse_list(answer, self._timing.clock())


def parse_list(answer: Any, now: datetime) -> list[Bundle]:
    """The bundles of a decoded list, in its order.

    ``{"exports": [{"Start": …, "Stop": …, "Id": …}]}``: keys in any case, times and ids as JSON
    numbers or decimal strings, times in Unix seconds. An empty object, and null for the list, are
    an empty list. Raises ApiUnavailable, naming the item, for everything else.
    """
    if not isinstance(answer, Mapping):
        raise _malformed("it is no JSON object")
    if not answer:
        return []
    items = _get(answer, "exports", "it")
    if items is None:
        return []
    if not isinstance(items, list):
        raise _malformed("its exports are no array")
    return [_bundle(item, f"its item {n}", now) for n, item in enumerate(items, 1)]


def _bundle(item: Any, name: str, now: datetime) -> Bundle:
    if not isinstance(item, Mapping):
        raise _malformed(f"{name} is no object")
    found_id = _get(item, "id", name)
    if isinstance(found_id, int) and not isinstance(found_id, bool):
        found_id = str(found_id)
    if not isinstance(found_id, str) or not _ID.fullmatch(found_id):
        raise _malformed(f"{name} has the id {_shown(found_id)}")
    name = f"{name} (id {found_id})"
    start = _time(_get(item, "start", name), f"the start of {name}")
    stop = _time(_get(item, "stop", name), f"the stop of {name}")
    if stop < start:
        raise _malformed(f"{name} stops ({rfc3339(stop)}) before it starts ({rfc3339(start)})")
    if stop > now + _CLOCK_SKEW:
        raise ApiUnavailable(
            f"the list of bundles cannot be used: {name} ends at {rfc3339(stop)}, which lies in"
            f" the future (now it is {rfc3339(now)}).",
            "Check this machine's clock.",
        )
    return Bundle(found_id, Window(start, stop))


def _get(item: Mapping[str, Any], key: str, name: str) -> Any:
    """The value of ``key`` in whatever case."""
    for found, value in item.items():
        if found.lower() == key:
            return value
    raise _malformed(f"{name} has no {key}")


def _time(value: Any, name: str) -> datetime:
    """Unix seconds; the fraction that a number or string may have is kept to the microsecond."""
    text = value.strip() if isinstance(value, str) else repr(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _malformed(f"{name} is {_shown(value)}")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    if not _NUMBER.fullmatch(text):
        raise _malformed(f"{name} is {_shown(value)}")
    try:
        moment = BEGINNING + timedelta(microseconds=int(Decimal(text) * 1_000_000))
    except OverflowError:
        raise _malformed(f"{name} is {_shown(value)}, no time in Unix seconds") from None
    if moment < BEGINNING:
        raise _malformed(f"{name} is {_shown(value)}, before 1970")
    return moment


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _malformed(problem: str) -> ApiUnavailable:
    return ApiUnavailable(
        f"the list of bundles cannot be read: {problem}.",
        "Check that ApiURL is that of generation 1 (…/api/v1); if it is, tell Fullstory.",
    )
