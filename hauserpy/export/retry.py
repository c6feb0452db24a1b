"""Trying again: full-jitter exponential backoff for a bounded number of tries."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from hauserpy.errors import ApiUnavailable
from hauserpy.waiting import span

_log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT = timedelta(minutes=15)
"""No single wait between two tries is longer; doubling 30 s passes it at the sixth."""


class Again(Exception):
    """One attempt failed in a way in which the next may not.

    ``reason`` says what happened in a few words, without a secret. ``at_least`` is the shortest
    wait before the next try, in seconds.
    """

    def __init__(self, reason: str, *, at_least: float = 0.0) -> None:
        self.reason = reason
        self.at_least = at_least
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Patience:
    """``Backoff`` (seconds) and ``BackoffStepsMax`` (tries in all) of the configuration."""

    backoff: float
    tries: int
    sleep: Callable[[float], None]

    def run(
        self,
        attempt: Callable[[], T],
        what: str,
        *,
        tries: int | None = None,
        instruction: str = "Run again later; what was loaded stays loaded.",
    ) -> T:
        """Call ``attempt`` until it does not raise Again; between tries wait a random time between
        0 and ``backoff`` doubled each time (full jitter: many clients do not return in step).

        Raises ApiUnavailable, naming ``what`` (empty: the reasons do), when the tries are used up.
        Whatever else the attempt raises passes through at once.
        """
        import tenacity

        named = f"{what}: " if what else ""
        limit = max(1, self.tries if tries is None else tries)
        jitter = tenacity.wait_random_exponential(
            multiplier=self.backoff, max=LONGEST_WAIT.total_seconds()
        )

        def wait(state: tenacity.RetryCallState) -> float:
            return max(jitter(state), _failure(state).at_least)

        def tell(state: tenacity.RetryCallState) -> None:
            _log.warning(
                "%s%s; try %d of %d in %s",
                named,
                _failure(state).reason,
                state.attempt_number + 1,
                limit,
                span(state.upcoming_sleep),
            )

        def give_up(state: tenacity.RetryCallState) -> T:
            tried = f", after {limit} tries" if limit > 1 else ""
            raise ApiUnavailable(
                f"{named}{_failure(state).reason}{tried}.",
                instruction,
            ) from None

        return tenacity.Retrying(
            sleep=self.sleep,
            stop=tenacity.stop_after_attempt(limit),
            wait=wait,
            retry=tenacity.retry_if_exception_type(Again),
            before_sleep=tell,
            retry_error_callback=give_up,
        )(attempt)


def _failure(state: object) -> Again:
    outcome = getattr(state, "outcome", None)
    error = outcome.exception() if outcome is not None else None
    assert isinstance(error, Again)
    return error
