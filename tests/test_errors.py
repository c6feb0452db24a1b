"""What an error says, wherever it comes from."""

from __future__ import annotations

import pickle

from hauserpy.errors import CorruptBundle

WINDOW = ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")


def test_a_corrupt_bundle_tells_the_whole_command_that_gives_it_up() -> None:
    error = CorruptBundle("it is none", offset=7)
    assert "`hauserpy skip --since … --until … --reason …`" in error.instruction
    named = error.of("b", *WINDOW)
    assert named.reason.startswith("bundle b is corrupt: it is none (at byte 7 ")
    assert (
        f"`hauserpy skip --since {WINDOW[0]} --until {WINDOW[1]} --reason …`" in named.instruction
    )


def test_a_corrupt_bundle_comes_whole_out_of_a_worker() -> None:
    error = CorruptBundle("it is none", offset=7, compressed=True).of("b", *WINDOW)
    arrived = pickle.loads(pickle.dumps(error))
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
