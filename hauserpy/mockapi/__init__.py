"""A mock of the export API on loopback: both generations, synthetic events, faults on demand.

For a test suite of one's own::

    from hauserpy.mockapi import MockApi

    with MockApi(bundles=3, events=200, seed=1, faults=["get:cut@60%"]) as api:
        ...  # api.url, api.segments_url, api.token, api.requests

or the pytest fixture ``fullstory_api``. `hauserpy mock-api` serves the same from the command line.
The grammar of faults is in `hauserpy.mockapi.faults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hauserpy.mockapi.api import MockApi
    from hauserpy.mockapi.faults import Fault

__all__ = ["Fault", "MockApi"]


def __getattr__(name: str) -> Any:
    # Lazy, because pytest imports this package at every start for the sake of its plugin.
    if name == "MockApi":
        from hauserpy.mockapi.api import MockApi

        return MockApi
    if name == "Fault":
        from hauserpy.mockapi.faults import Fault

        return Fault
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
