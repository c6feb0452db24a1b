"""Columns of some rows, whose entries may be shared by several of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hauserpy.model import FieldType, Layout


@dataclass(frozen=True, slots=True)
class Block:
    """``columns[i]`` has the values of the layout's column ``numbers[i]``, which ascend.

    Row ``n`` has the entries ``which[n]``, or, where ``which`` is None, the entries ``n``.
    ``integers`` has, under the numbers of integer columns that are neighbours, JSON of their
    entries, an array for each; it need not have all.
    """

    numbers: Sequence[int]
    columns: list[Sequence[Any]]
    which: list[int] | None = None
    integers: dict[tuple[int, ...], bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows; a block of shared entries may have no columns."""
        if self.which is not None:
            return len(self.which)
        return len(self.columns[0]) if self.columns else 0


def put(blocks: Iterable[Block], n: int, row: Sequence[Any], layout: Layout) -> None:
    """Let row ``n`` be ``row``, and no other row change."""
    first = True
    for block in blocks:
        # JSON of what the columns held before.
        block.integers.clear()
        for place, (number, entries) in enumerate(zip(block.numbers, block.columns, strict=True)):
            column = entries if isinstance(entries, list) else list(entries)
            block.columns[place] = column
            value = row[number]
            if not first and layout.columns[number].type is FieldType.CUSTOM_VARS:
                # The members of all blocks together are the row's, and the first has them all.
                value = b"{}"
            if block.which is None:
                column[n] = value
            else:
                column.append(value)
        if block.which is not None and block.columns:
            block.which[n] = len(block.columns[0]) - 1
        first = False
