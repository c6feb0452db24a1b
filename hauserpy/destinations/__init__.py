"""Where rows go: one file or folder a destination, found by what is configured.

An SDK is imported when its destination is opened, so that nobody waits for those of others.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hauserpy.config import Provider, Settings
from hauserpy.destinations.base import Destination
from hauserpy.layout import StageFormat

__all__ = ["Destination", "open_destination", "run_lock_path"]

_CLASSES = {
    (Provider.LOCAL, False): ("hauserpy.destinations.local", "Local"),
    (Provider.LOCAL, True): ("hauserpy.destinations.local", "Local"),
    (Provider.AWS, False): ("hauserpy.destinations.redshift", "Redshift"),
    (Provider.AWS, True): ("hauserpy.destinations.s3", "S3"),
    (Provider.GCP, False): ("hauserpy.destinations.bigquery", "BigQuery"),
    (Provider.GCP, True): ("hauserpy.destinations.gcs", "Gcs"),
}


def open_destination(
    settings: Settings, *, sleep: Callable[[float], None] = time.sleep
) -> Destination:
    """The destination that ``Provider`` and ``StorageOnly`` name; connects to nothing yet.

    ``sleep`` takes seconds, between one attempt and the next; it may raise to end the run. Raises
    ConfigError when the destination is not wholly configured.
    """
    settings.require_destination()
    if settings.keeps_files and settings.format is StageFormat.PARQUET:
        from hauserpy.staging import parquet

        parquet.require()
    module, name = _CLASSES[settings.provider, settings.storage_only]
    made: Destination = getattr(importlib.import_module(module), name)(settings, sleep=sleep)
    return made


def run_lock_path(settings: Settings, destination: Destination) -> Path:
    """The file that one sync at a time locks: in SaveDir, else in the user's state folder."""
    if settings.provider is Provider.LOCAL:
        return settings.local.save_dir / ".hauserpy" / "sync.lock"
    digest = hashlib.sha256(destination.name.encode()).hexdigest()[:16]
    return _state_folder(settings) / "hauserpy" / f"{digest}.lock"


def _state_folder(settings: Settings) -> Path:
    """``XDG_STATE_HOME``, ``~/.local/state``, or TmpDir for a user without a home."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "")
    if state.is_absolute():
        return state
    # In containers there may be no HOME and no entry in the system's list of users; Debian's
    # service users have a home that is not there.
    with suppress(RuntimeError):
        if (home := Path.home()).is_dir():
            return home / ".local" / "state"
    return settings.tmp_dir
