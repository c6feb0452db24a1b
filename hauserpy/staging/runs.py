"""Rows put together from blocks: which columns stand side by side, and one CustomVars of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hauserpy.model import FieldType, Layout
from hauserpy.transform import Block

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbours in the layout, its columns ``numbers``, that one block holds at ``places``.

    CustomVars, of which every block holds a part, is a run of its own: ``block`` is None, and
    ``places`` has its place in each block.
    """

    block: int | None
    numbers: tuple[int, ...]
    places: tuple[int, ...]


class Runs:
    """Every column of the layout in one run, for rows in any blocks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[tuple[tuple[int, ...], ...], list[Run]] = {}

    def of(self, blocks: Sequence[Block]) -> list[Run]:
        """In the layout's order."""
        numbers = tuple(tuple(block.numbers) for block in blocks)
        found = self._known.get(numbers)
        if found is None:
            # Columns are seldom dealt anew.
            self._known = {numbers: (found := self._made(numbers))}
        return found

    def _made(self, numbers: Sequence[tuple[int, ...]]) -> list[Run]:
        home = {
            number: (block, place)
            for block, of_block in enumerate(numbers)
            for place, number in enumerate(of_block)
        }
        made: list[Run] = []
        for number, column in enumerate(self._layout.columns):
            if column.type is FieldType.CUSTOM_VARS:
                places = tuple(of_block.index(number) for of_block in numbers)
                made.append(Run(None, (number,), places))
                continue
            block, place = home[number]
            if made and made[-1].block == block:
                last = made.pop()
                made.append(Run(block, (*last.numbers, number), (*last.places, place)))
            else:
                made.append(Run(block, (number,), (place,)))
        return made


def spread(entries: Sequence[_Entry], which: Sequence[int]) -> list[_Entry]:
    """The entry of each row."""
    return list(map(entries.__getitem__, which))


def objects(
    blocks: Sequence[Block],
    places: Sequence[int],
    wrap: Callable[[bytes], bytes],
    escape: Callable[[bytes], bytes] | None = None,
) -> list[bytes]:
    """The CustomVars of each row: ``wrap`` of text in which ``escape`` replaced some characters,
    but no brace and no comma. Of two blocks, the second's entries are shared."""
    parts = [block.columns[place] for block, place in zip(blocks, places, strict=True)]
    if escape is not None:
        # JSON text holds no line break of its own.
        parts = [escape(b"\n".join(part)).split(b"\n") if part else part for part in parts]
    first, *others = parts
    if not others:
        return list(map(wrap, first))
    (shared,) = others
    which = blocks[1].which
    assert which is not None
    alone = spread(list(map(wrap, shared)), which)
    behind = [b"}" if one == b"{}" else b"," + one[1:] for one in shared]
    return [
        whole if one == b"{}" else wrap(one[:-1] + more)
        for one, whole, more in zip(first, alone, spread(behind, which), strict=True)
    ]
