"""Whether the export API can be reached with this token, tried without asking for any data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from hauserpy.errors import HauserpyError
from hauserpy.export.http import Http, host_of
from hauserpy.export.request import Request
from hauserpy.export.retry import Again
from hauserpy.model import Check
from hauserpy.waiting import Timing

if TYPE_CHECKING:
    import requests

    from hauserpy.config import Settings

_REFUSED = (401, 403)
_CLOCK_SECONDS = 60
"""A clock further off than this makes windows that the API has not closed yet."""


def checks(settings: Settings, timing: Timing) -> Iterator[Check]:
    """Reach the API once, with one try; then compare its clock with ours.

    Generation 1 is asked for the bundles from now on, of which there are none; generation 2 for an
    operation that does not exist, since everything else there makes an export.
    """
    from hauserpy.config import ExportApi

    try:
        with contextlib.closing(Http(replace(settings, backoff_steps_max=1), timing)) as http:
            bundles = settings.export_api is ExportApi.BUNDLES
            request = Request(
                what="a check of the API",
                endpoint="check",
                url=http.url("export/list" if bundles else "operations/v1/hauserpy-check"),
                params={"start": str(int(timing.clock().timestamp()))} if bundles else None,
                allow=_REFUSED if bundles else (400, 404, *_REFUSED),
                hurried=True,
            )
            with contextlib.closing(http.attempt(request)) as response:
                _refuse_pages(http, request, response)
                date = response.headers.get("Date")
                refused = response.status_code in _REFUSED
                by_the_api = http.is_ours(response)
                told = http.told(response) if refused else ""
                remedy = http.remedy(request, response) if refused else ""
    except Again as error:
        yield Check("API", ok=False, detail=str(error), remedy="Check ApiURL and the network.")
        return
    except HauserpyError as error:
        yield Check("API", ok=False, detail=error.reason, remedy=error.instruction)
        return
    if refused and not by_the_api:
        yield Check("API", ok=False, detail=told, remedy=remedy)
        return
    generation = "generation 1 (bundles)" if bundles else "generation 2 (segments)"
    yield Check("API", ok=True, detail=f"{settings.api_url} answers, {generation}")
    if refused:
        origin = settings.origins.get("FsApiToken")
        which = f"FsApiToken ({origin})" if origin else "FsApiToken"
        yield Check("token", ok=False, detail=f"the API refuses {which}: {told}", remedy=remedy)
    else:
        yield Check("token", ok=True, detail="the API accepts it")
    if date is not None:
        yield _clock(date, timing)


def _refuse_pages(http: Http, request: Request, response: requests.Response) -> None:
    """Raise Again where some web server answers and not the API. Of an error no more is asked than
    that it is no page, since nothing is said of what the API tells there."""
    if response.status_code in _REFUSED:
        return
    if response.status_code == 200:
        http.object_of(response, request.what)
    elif response.headers.get("Content-Type", "").startswith("text/html"):
        raise Again(f"{host_of(response)} answered {response.status_code} with a web page")


def _clock(date: str, timing: Timing) -> Check:
    try:
        theirs = parsedate_to_datetime(date)
        apart = abs((timing.clock() - theirs).total_seconds())
    except (TypeError, ValueError):
        return Check("clock", ok=True, detail="the API does not tell its time")
    detail = f"{apart:.0f} s apart from the API's"
    remedy = "" if apart <= _CLOCK_SECONDS else "Set this machine's clock (NTP)."
    return Check("clock", ok=apart <= _CLOCK_SECONDS, detail=detail, remedy=remedy)
