"""What one request to the export API, or to where it sends us, asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for. ``endpoint`` names it for pacing, ``what`` in messages.

    ``ours`` says that it goes to the API with the token; else it bears nothing of ours.
    ``allow`` are the statuses outside 2xx that the caller handles itself.
    """

    what: str
    endpoint: str
    url: str
    method: str = "GET"
    params: Mapping[str, str] | None = None
    json: Any = None
    ours: bool = True
    allow: Collection[int] = ()
    first_byte: float | None = None
    """Seconds to wait for the head of the answer; None: ReadTimeout."""
    hurried: bool = False
    """Where the API asks for a wait, RateLimited at once."""
