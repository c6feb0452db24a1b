"""The batches of a bundle, looked ahead at, and what ends them in its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from hauserpy.decode.split import BATCH_BYTES, Stretch
from hauserpy.errors import CorruptBundle


class Guarded:
    """An iterator of batches whose error waits until what came before it is proved."""

    def __init__(self, batches: Iterator[Stretch]) -> None:
        self._batches = batches
        self._ahead: deque[Stretch] = deque()
        self._error: CorruptBundle | None = None
        self._ended = False

    def next(self) -> Stretch | None:
        return self._ahead.popleft() if self._ahead else self._next()

    def has_more_than(self, count: int) -> bool:
        """Whether there are more batches than ``count``, or more text than so many hold. What was
        looked at is held until it is asked for."""
        while not (more := self._is_more_than(count)) and (stretch := self._next()) is not None:
            self._ahead.append(stretch)
        return more

    def _is_more_than(self, count: int) -> bool:
        held = self._ahead
        return (
            len(held) > count or sum(stretch.size for stretch in held) > (count + 1) * BATCH_BYTES
        )

    def raise_its_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _next(self) -> Stretch | None:
        if self._ended:
            return None
        try:
            return next(self._batches)
        except StopIteration:
            self._ended = True
        except CorruptBundle as error:
            self._ended = True
            self._error = error
        return None
