"""What a ledger is of, so that no configuration takes the windows of another one for loaded. Pure.

A ledger says which windows are loaded, and not of what. So the first load, or the first move of the
checkpoint, writes beside it which segment is exported, and into which table or under which names of
files; whoever comes with another configuration is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hauserpy.config import ExportApi, Settings
from hauserpy.destinations.reading import Damaged, parsed
from hauserpy.errors import ConfigError, LedgerUnreadable

Scope = Mapping[str, str]
"""By key of the configuration: ``{"SegmentId": "everyone", "ExportTable": "fsexport"}``."""

_EVERYONE = "everyone"
"""The segment of all: what generation 1 exports."""


def scope_of(settings: Settings, key: str, value: str) -> Scope:
    """``key`` names what tells configurations apart at that destination, beside the segment."""
    segments = settings.export_api is ExportApi.SEGMENTS
    return {"SegmentId": settings.segment_id if segments else _EVERYONE, key: value}


def encode(scope: Scope) -> str:
    return json.dumps(dict(scope))


def decode(text: str, place: str) -> Scope:
    """The inverse of `encode`; raises LedgerUnreadable for anything else."""
    try:
        return known(parsed(text), place)
    except Damaged as damaged:
        raise _unreadable(place, str(damaged)) from damaged


def known(found: Any, place: str) -> Scope:
    """``found`` when it is what `encode` is given; raises LedgerUnreadable for anything else."""
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise _unreadable(place, "it must be a JSON object of texts")
    return found


def refuse_other(found: Scope, ours: Scope, place: str, remedy: str) -> None:
    """Raise ConfigError when the ledger is of something else; ``remedy`` says what to do.

    A key that only one of them has tells nothing apart.
    """
    for key, value in ours.items():
        theirs = found.get(key, value)
        if theirs != value:
            raise ConfigError(
                f'{place} is the ledger of {key} "{theirs}", and the configuration says "{value}":'
                " what is loaded of the one would count as loaded of the other.",
                remedy,
            )


def _unreadable(place: str, why: str) -> LedgerUnreadable:
    return LedgerUnreadable(
        f"what {place} is the ledger of cannot be read: {why}.",
        "Restore it from a backup; hauserpy never takes it for another one.",
    )
