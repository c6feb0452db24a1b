"""Sequences that each have some of the same things find one that they all fit into."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.order import fits, ordered

SEQUENCES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=6).map(tuple), max_size=6
)


@given(SEQUENCES)
def test_all_fit(several: list[tuple[str, ...]]) -> None:
    made = ordered(Counter(several), 100)
    assert all(fits(one, made) for one in several)
    assert set(made) == {thing for one in several for thing in one}


@given(st.permutations("abcdef"), st.lists(st.sets(st.sampled_from("abcdef"))))
def test_what_comes_in_an_order_has_one_place(order: list[str], several: list[set[str]]) -> None:
    sequences = [tuple(thing for thing in order if thing in one) for one in several]
    made = ordered(Counter(sequences), 100)
    assert len(made) == len(set().union(*several))


def test_the_usual_order_wins() -> None:
    often = {("b", "a"): 1, ("a", "b", "c"): 5}
    made = ordered(often, 100)
    assert len(made) == 4
    assert fits(("a", "b", "c"), made)
    # The unusual one is left out where there is no room.
    assert ordered(often, 2) == ["a", "b", "c"]


def test_what_comes_anywhere_orders_nothing() -> None:
    made = ordered({("a", "", "b"): 2, ("b", "", "c"): 2, ("", "a"): 1}, 100)
    assert made == ["", "a", "", "b", "", "c"]
