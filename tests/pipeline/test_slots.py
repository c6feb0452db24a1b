"""What is put into a slot is there for every process that has its file descriptor."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from hauserpy.pipeline.memory import Slots


@pytest.mark.parametrize("named", [False, True])
def test_pieces_lie_one_behind_the_other_for_both_ends(
    named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with closing(Slots.create(3, 8)) as ours, closing(Slots(os.dup(ours.fd), 3, 8)) as theirs:
        assert ours.put(1, b"ab", memoryview(b"cdefgh"))
        assert ours.put(2, b"z" * 8)
        assert theirs.get(1, 8) == theirs.view(1, 8) == b"abcdefgh"
        assert theirs.get(0, 8) == bytes(8)


def test_what_does_not_fit_changes_nothing() -> None:
    with closing(Slots.create(2, 4)) as slots:
        assert slots.put(0, b"abcd")
        assert not slots.put(0, b"12", b"345")
        assert slots.get(0, 4) == b"abcd"
        assert slots.get(1, 4) == bytes(4)


def test_slots_can_be_closed_while_one_is_looked_at() -> None:
    slots = Slots.create(2, 4)
    slots.put(1, b"abcd")
    view = slots.view(1, 4)
    slots.close()
    assert view == b"abcd"
