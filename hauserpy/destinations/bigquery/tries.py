"""The attempts at one transaction: which failures are worth another one, and after what pause."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery.jobs import JobFailed
from hauserpy.destinations.bigquery.script import HAUSER, LOADED, LOCK, MOVED
from hauserpy.errors import DestinationRefused, DestinationUnavailable

_log = logging.getLogger(__name__)

_MOST_MOVES = 8
"""So often the ledger may have moved since it was read."""
_PATIENCE_SECONDS = 30 * 60.0
"""Of pauses in all. Of two transactions that change one table BigQuery cancels one, and does not have
it wait (page "Multi-statement transactions"); the other may be a large load."""
_LONGEST_PAUSE_SECONDS = 30.0


class Tries:
    """``what`` is being written, for messages; ``lock`` names the table that all change first."""

    def __init__(self, what: str, lock: str, sleep: Callable[[float], None]) -> None:
        self._what = what
        self._lock = lock
        self._sleep = sleep
        self._moves = 0
        self._waited = 0.0
        self.failures = 0

    def after(self, failed: JobFailed) -> None:
        """Returns, perhaps after a pause, when another attempt may go well."""
        self.failures += 1
        told = f"{self._what}: BigQuery refuses the transaction: {failed}; nothing was written."
        if any(failed.says(text) for text in (MOVED, LOADED, HAUSER, LOCK)):
            # What is wrong shows when the ledger is read again.
            self._moves += 1
            if self._moves < _MOST_MOVES:
                return
        elif failed.quota:
            raise DestinationUnavailable(told, gcp.FOR_QUOTA) from failed
        elif not failed.passing:
            raise DestinationRefused(
                told, f"Look at job {failed.job_id} in the Google console."
            ) from failed
        elif self._waited < _PATIENCE_SECONDS:
            self._pause(failed)
            return
        raise DestinationUnavailable(
            f"{self._what}: other transactions on {self._lock} keep coming first.",
            "Run again when fewer runs load into this table at once.",
        ) from failed

    def _pause(self, failed: JobFailed) -> None:
        _log.info("%s: %s; trying again", self._what, failed)
        longest = min(2.0 ** (self.failures - 1), _LONGEST_PAUSE_SECONDS)
        seconds = longest * random.uniform(0.5, 1.0)
        self._waited += seconds
        self._sleep(seconds)
