"""The order of things of which each sequence has some: one sequence that they all fit into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations

ANYWHERE = ""
"""What may come in several places, and orders nothing."""


def ordered(often: Mapping[tuple[str, ...], int], most: int) -> list[str]:
    """A sequence into which each of those fits from left to right, few longer than there are
    different things in them, if these come in an order; ``often`` tells how often each comes. When
    it would be longer than ``most``, some do not fit."""
    made = _usual_order(often)
    for sequence in sorted(often, key=often.__getitem__, reverse=True):
        if len(made) > most:
            break
        if not fits(sequence, made):
            made = _merged(made, sequence)
    return made


def _usual_order(often: Mapping[tuple[str, ...], int]) -> list[str]:
    """All things, each before those that it comes before in most sequences that have both."""
    before: Counter[tuple[str, str]] = Counter()
    for sequence, times in often.items():
        for pair in combinations(filter(None, sequence), 2):
            before[pair] += times
    left = dict.fromkeys(chain.from_iterable(often))
    left.pop(ANYWHERE, None)
    # What must come first: of each, how many are usually before it and not placed yet.
    waits = {thing: sum(before[one, thing] > before[thing, one] for one in left) for thing in left}
    order = []
    while waits:
        # Where some come before each other in a circle, the one that waits for the fewest.
        first = min(waits, key=waits.__getitem__)
        del waits[first]
        order.append(first)
        for other in waits:
            waits[other] -= before[first, other] > before[other, first]
    return order


def fits(sequence: Iterable[str], into: Iterable[str]) -> bool:
    left = iter(into)
    # Looking for one leaves what is behind it.
    return all(thing in left for thing in sequence)


def _merged(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """The shortest sequence that both fit into: what they have in common stands in it once."""
    # shared[i][j]: how much one[i:] and other[j:] have in common, what orders nothing counted less.
    shared = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in reversed(range(len(one))):
        for j in reversed(range(len(other))):
            shared[i][j] = (
                shared[i + 1][j + 1] + (1 if one[i] == ANYWHERE else 2)
                if one[i] == other[j]
                else max(shared[i + 1][j], shared[i][j + 1])
            )
    made = []
    i = j = 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            made.append(one[i])
            i, j = i + 1, j + 1
        elif shared[i + 1][j] >= shared[i][j + 1]:
            made.append(one[i])
            i += 1
        else:
            made.append(other[j])
            j += 1
    return [*made, *one[i:], *other[j:]]
