"""CustomVars put together from copies of custom variables, each text of which is worked on once.

An export says the same of a person on every page, and much the same of every page. So what one text
comes to is remembered, beyond its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from hauserpy.decode.members import objects
from hauserpy.staging import Encoder
from hauserpy.transform.folding import Folder

_MOST_BYTES = 1 << 20
"""Of texts that are remembered; with what they come to, they take some five times as much memory."""


class Variables(NamedTuple):
    """Some custom variables: their names, the JSON of their members as it stands in an entry of the
    encoder, and how long the JSON of them all is before."""

    names: frozenset[str]
    inside: bytes
    size: int

    def then(self, other: Variables) -> Variables:
        """These, and the other ones behind them."""
        return Variables(
            self.names | other.names, self.inside + b"," + other.inside, self.size + other.size
        )


class Folding:
    """Makes `Variables` of texts: members of objects side by side, with a comma before each.

    Each text is proved by itself: nothing that one leaves open is closed by another of its record.
    """

    def __init__(self, folder: Folder, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        self._known: dict[bytes, Variables | None] = {}
        self._bytes = 0

    def of(self, texts: Sequence[bytes]) -> list[Variables | None]:
        """None for a text that needs care: it is no members, or they are not written as they stand."""
        known = self._known
        distinct = set(texts)
        if fresh := list(distinct.difference(known)):
            if self._bytes + sum(map(len, fresh)) > _MOST_BYTES:
                known.clear()
                self._bytes = 0
                fresh = list(distinct)
            self._bytes += sum(map(len, fresh))
            known.update(zip(fresh, self._made([text[1:] for text in fresh]), strict=True))
        return list(map(known.__getitem__, texts))

    def fit(self, one: Variables, other: Variables) -> bool:
        """Whether both may be in one object, as they are."""
        most = self._folder.most
        return (most is None or one.size + other.size <= most) and one.names.isdisjoint(other.names)

    def _made(self, insides: Sequence[bytes]) -> list[Variables | None]:
        found: Sequence[dict[str, Any] | None] | None = objects(insides)
        if found is None:
            # One of them is odd, or some are.
            found = [alone[0] if (alone := objects([inside])) else None for inside in insides]
        proved = {place: one for place, one in enumerate(found) if one is not None}
        odd = self._folder.fields_among(set(chain.from_iterable(proved.values())))
        long: set[int] = set()
        texts = self._folder.texts(list(proved.values()), long)
        escaped = self._encoder.escaped(texts)
        made: list[Variables | None] = [None] * len(insides)
        for number, (place, one) in enumerate(proved.items()):
            if number not in long and odd.isdisjoint(one):
                inside = escaped[number][len(b"{") : -len(b"}")]
                made[place] = Variables(frozenset(one), inside, len(texts[number]))
        return made
