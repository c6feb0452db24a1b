"""The ledger's algebra: what is loaded, what is missing, and what a load makes of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.entries import EntryKind, LedgerEntry, StoredFile, not_among
from hauserpy.errors import LedgerMoved, LedgerUnreadable
from hauserpy.ledger import BASELINE_LOAD, Ledger, steps_for
from hauserpy.model import BEGINNING, Bundle, ChangeKind, Changes, Window

DAY = datetime(2026, 11, 1, tzinfo=UTC)
END = 24


def hours(first: int, last: int) -> Window:
    return Window(DAY + timedelta(hours=first), DAY + timedelta(hours=last))


def entry(window: Window, kind: EntryKind = EntryKind.SYNC, load: str = "") -> LedgerEntry:
    return LedgerEntry(window, kind, "b", load or f"load {window}")


def ledger(*spans: tuple[int, int], checkpoint: int | None = None) -> Ledger:
    reach = None if checkpoint is None else hours(0, checkpoint).stop
    return Ledger.of([entry(hours(*span)) for span in spans], reach)


windows = st.tuples(st.integers(0, END - 1), st.integers(1, 6)).map(
    lambda t: hours(t[0], min(t[0] + t[1], END))
)
kinds = st.sampled_from([EntryKind.SYNC, EntryKind.BACKFILL, EntryKind.SKIP])


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Disjoint windows of whole hours, perhaps behind hauser's baseline."""
    start = draw(st.sampled_from([0, 0, 5]))
    made = Ledger()
    if start:
        made = made.with_baseline(hours(0, start).stop)
    borders = sorted(draw(st.sets(st.integers(start, END), max_size=12)))
    entries = [
        entry(hours(a, b), draw(kinds))
        for a, b in itertools.pairwise(borders)
        if draw(st.booleans())
    ]
    return Ledger.of([*made.entries, *entries], made.checkpoint)


def covered(windows: list[Window]) -> set[int]:
    """The hours of the day that the windows cover."""
    return {h for h in range(END) if any(w.covers(hours(h, h + 1)) for w in windows)}


def loaded(of: Ledger) -> set[int]:
    return covered([e.window for e in of.entries])


@given(ledgers(), windows)
def test_what_overlaps_is_found_as_by_looking_at_each(of: Ledger, window: Window) -> None:
    assert of.overlapping(window) == tuple(e for e in of.entries if e.window.overlaps(window))


@given(ledgers(), windows)
def test_missing_and_loaded_make_up_the_window(of: Ledger, window: Window) -> None:
    missing = list(of.missing(window))
    assert covered(missing) == covered([window]) - loaded(of)
    assert missing == sorted(missing)
    assert all(a.stop < b.start for a, b in itertools.pairwise(missing)), "no seams"


@given(ledgers(), st.integers(0, END))
def test_reach_ends_where_the_first_gap_begins(of: Ledger, hour: int) -> None:
    end = hour
    while end in loaded(of):
        end += 1
    assert of.reach(hours(0, hour).stop) == hours(0, end).stop


@given(ledgers())
def test_gaps_lie_between_the_first_and_the_last(of: Ledger) -> None:
    there = loaded(of)
    if not there:
        assert of.gaps() == ()
    else:
        assert covered(list(of.gaps())) == set(range(min(there), max(there))) - there


@given(ledgers(), windows, st.booleans())
def test_steps_load_what_is_to_be_loaded_and_never_cut_rows(
    of: Ledger, window: Window, again: bool
) -> None:
    bundle = Bundle("b", window)
    steps = steps_for(of, bundle, replace_loaded=again)
    after = of
    for step in steps:
        assert window.covers(step.window)
        assert step.expected == of.loads_in(step.window)
        assert (step.clip is None) == (step.window == window)
        made = entry(step.window, load=f"new {step.window}")
        after = after.after(made, expected=step.expected, checkpoint=None)
    assert loaded(after) == loaded(of) | covered([window]), "the bundle is loaded, all else stays"
    news = covered([s.window for s in steps])
    if not again:
        assert news == covered([window]) - loaded(of)
    for old in of.entries:
        if old in after.entries:
            continue
        assert again, "only a replacement removes"
        if old.kind in (EntryKind.SYNC, EntryKind.BACKFILL):
            assert window.covers(old.window), "rows are replaced as whole windows"
    assert steps_for(after, bundle) == (), "a second time there is nothing to do"


@given(ledgers(), windows)
def test_strays_are_kept_by_exactly_one_step(of: Ledger, window: Window) -> None:
    bundle = Bundle("new", window)
    steps = steps_for(of, bundle)
    if steps and steps[0].clip is not None:
        clips = [step.clip.strays for step in steps if step.clip]
        assert clips == [True] + [False] * (len(steps) - 1)
        # A run that died behind the first one goes on with the others.
        first, *others = steps
        made = replace(entry(first.window), bundle=bundle.id)
        again = steps_for(of.after(made, expected=first.expected, checkpoint=None), bundle)
        assert [step.window for step in again] == [step.window for step in others]
        assert not any(step.clip.strays for step in again if step.clip)


@given(ledgers(), windows)
def test_others_than_expected_move_nothing(of: Ledger, window: Window) -> None:
    with pytest.raises(LedgerMoved):
        of.after(entry(window), expected=frozenset({"of another run"}), checkpoint=None)


def test_a_load_cannot_cut_rows_in_two() -> None:
    of = ledger((0, 3))
    with pytest.raises(ValueError, match="cut"):
        of.after(entry(hours(1, 2)), expected=of.loads_in(hours(1, 2)), checkpoint=None)


def test_the_baseline_and_what_was_given_up_can_be_cut() -> None:
    of = Ledger().with_baseline(hours(0, 5).stop)
    of = Ledger.of([*of.entries, entry(hours(5, 9), EntryKind.SKIP)], of.checkpoint)
    after = of
    for window in (hours(2, 3), hours(6, 7)):
        after = after.after(entry(window), expected=after.loads_in(window), checkpoint=None)
    assert [(e.kind, e.window) for e in after.entries] == [
        (EntryKind.HAUSER, Window(BEGINNING, hours(0, 2).stop)),
        (EntryKind.SYNC, hours(2, 3)),
        (EntryKind.HAUSER, hours(3, 5)),
        (EntryKind.SKIP, hours(5, 6)),
        (EntryKind.SYNC, hours(6, 7)),
        (EntryKind.SKIP, hours(7, 9)),
    ]
    assert {e.load for e in after.baseline()} == {BASELINE_LOAD}


def test_the_checkpoint_only_rises() -> None:
    of = ledger((0, 3), checkpoint=2)
    assert of.raised_to(hours(0, 1).stop) == of
    assert of.raised_to(None) == of
    assert of.raised_to(hours(0, 3).stop).checkpoint == hours(0, 3).stop
    assert Ledger().raised_to(DAY).checkpoint == DAY
    back = of.after(entry(hours(5, 6)), expected=frozenset(), checkpoint=hours(0, 1).stop)
    assert back.checkpoint == hours(0, 2).stop


def test_advancing_compares_what_lies_between() -> None:
    of = ledger((0, 1), (1, 2), checkpoint=1)
    with pytest.raises(LedgerMoved):
        of.advanced(hours(0, 2).stop, frozenset())
    assert of.advanced(hours(0, 2).stop, of.loads_in(hours(1, 2))).checkpoint == hours(0, 2).stop
    assert of.advanced(hours(0, 1).stop, frozenset({"anything"})) == of


def test_windows_that_overlap_are_no_ledger() -> None:
    with pytest.raises(LedgerUnreadable, match="overlap"):
        ledger((0, 2), (1, 3))
    assert len(ledger((1, 2), (0, 1)).entries) == 2, "touching is not overlapping"


@pytest.mark.parametrize("of", [ledger((0, 3)), ledger(checkpoint=3)])
def test_what_has_not_happened_cannot_be_loaded(of: Ledger) -> None:
    of.refuse_future(hours(0, 3).stop, "here")
    of.refuse_future(hours(0, 2).stop, "here")
    with pytest.raises(LedgerUnreadable, match=r"^here: .*future"):
        of.refuse_future(hours(0, 2).stop - timedelta(microseconds=1), "here")


def test_what_hauser_left_is_told_apart_from_a_ledger_of_ours() -> None:
    taken = Ledger().with_baseline(hours(0, 3).stop)
    now = hours(0, 1).start
    with pytest.raises(LedgerUnreadable, match=r"^local ./data: the Go hauser's .* \.sync\.hauser"):
        taken.refuse_future(now, "local ./data")
    with pytest.raises(LedgerUnreadable, match=r"^local ./data: the ledger reaches to"):
        ledger((0, 3)).refuse_future(now, "local ./data")


moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        LedgerEntry,
        window=st.tuples(moments, moments).map(lambda t: Window(min(t), max(t))),
        kind=st.sampled_from(EntryKind),
        bundle=st.text(),
        load=st.uuids().map(str),
        records=st.integers(0, 2**63),
        bytes=st.integers(0, 2**63),
        changes=st.dictionaries(
            st.tuples(st.sampled_from(ChangeKind), st.text(min_size=1)), st.integers(1, 2**40)
        ).map(Changes),
        first_event=st.none() | moments,
        last_event=st.none() | moments,
        loaded_at=st.none() | moments,
        reason=st.text(),
        files=st.lists(
            st.builds(StoredFile, st.text(), st.integers(0, 2**60), st.text()), max_size=2
        ).map(tuple),
    )
)
def test_an_entry_survives_its_json(made: LedgerEntry) -> None:
    assert LedgerEntry.from_json(made.to_json()) == made


@given(
    st.dictionaries(
        st.sampled_from(sorted(entry(hours(0, 1)).to_json())),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_an_entry_that_is_none_is_unreadable_and_nothing_else(spoiled: dict[str, object]) -> None:
    data = {**entry(hours(0, 1)).to_json(), **spoiled}
    try:
        LedgerEntry.from_json(data)
    except LedgerUnreadable as error:
        assert error.exit_code == 10


def test_what_is_gone_is_a_gap_wherever_it_was() -> None:
    whole = ledger((1, 2), (2, 3), (3, 4), (6, 7), checkpoint=9)
    loads = [e.load for e in whole.entries]
    assert whole.gaps() == (hours(4, 6), hours(7, 9))
    assert whole.without([]) == whole
    assert whole.without(loads[:2]).gaps() == (hours(1, 3), hours(4, 6), hours(7, 9))
    assert whole.without(loads[1:2]).gaps() == (hours(2, 3), hours(4, 6), hours(7, 9))
    assert whole.without(loads).gaps() == (hours(1, 9),)
    assert ledger((1, 2)).without(["load none"]).gaps() == ()
    assert Ledger(checkpoint=hours(0, 9).stop).gaps() == ()


def test_entries_are_never_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    # For the hours of a year that took minutes, while other loads were locked out.
    def refused(*_: object) -> bool:
        raise AssertionError("compared")

    before = ledger((0, 1), (1, 2), (3, 4))
    made = entry(hours(1, 2), load="new")
    monkeypatch.setattr(LedgerEntry, "__eq__", refused)
    after = before.after(made, expected=before.loads_in(made.window), checkpoint=None)
    gone, come = not_among(before.entries, after.entries), not_among(after.entries, before.entries)
    assert [e.key for e in gone] == [before.entries[1].key]
    assert [e.key for e in come] == [made.key]


def test_parts_of_a_baseline_are_told_apart() -> None:
    whole = Ledger().with_baseline(hours(0, 9).stop)
    after = whole.after(entry(hours(3, 4)), expected=whole.loads_in(hours(3, 4)), checkpoint=None)
    assert not_among(whole.entries, after.entries) == list(whole.entries)
    assert len(not_among(after.entries, whole.entries)) == 3
