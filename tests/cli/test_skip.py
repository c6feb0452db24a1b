"""Skip gives a window up with a reason, and sync goes on behind it."""

from __future__ import annotations

import pytest

from hauserpy.model import rfc3339
from tests.cli.place import Place, Ran, body, day, names


def skip(place: Place, number: int, *more: str, last: int | None = None, code: int = 0) -> Ran:
    stop = day(number if last is None else last).stop
    span = ["--since", rfc3339(day(number).start), "--until", rfc3339(stop)]
    return place.run("skip", *span, "--reason", "corrupt, ticket 4711", *more, code=code)


def test_sync_goes_on_over_a_corrupt_bundle(place: Place) -> None:
    place.api.add(day(1), b"null")
    place.run("sync", code=6)
    skip(place, 1)
    assert place.checkpoint() == rfc3339(day(1).stop)
    place.api.forget_requests()
    place.run("sync")
    assert place.names() == names(0, 2)
    assert len(place.got()) == 1
    assert [kind for _, _, kind in place.kinds()] == ["sync", "skip", "sync"]
    assert place.ledger()["entries"][1]["reason"] == "corrupt, ticket 4711"


def test_the_very_first_bundle_can_be_given_up(place: Place) -> None:
    place.api.add(day(0), b"null")
    place.run("sync", code=6)
    skip(place, 0)
    place.run("sync")
    assert place.names() == names(1, 2)
    assert place.checkpoint() == rfc3339(day(2).stop)


def test_before_the_first_sync_it_takes_nothing_else_with_it(place: Place) -> None:
    place.api.add(day(1), b"null")
    skip(place, 1)
    place.run("sync")
    assert place.names() == names(0, 2)


def test_what_is_loaded_stays(place: Place) -> None:
    place.run("sync", "--max-bundles", "2")
    ran = skip(place, 0)
    assert "is loaded or given up already" in ran.err
    told = skip(place, 1, "--json", last=2).json
    assert [e["start"] for e in told["loaded"]] == [rfc3339(day(2).start)]
    assert place.names() == names(0, 1)
    assert place.checkpoint() == rfc3339(day(2).stop)


def test_a_window_ahead_of_sync_leaves_the_checkpoint(place: Place) -> None:
    place.run("sync", "--max-bundles", "1")
    skip(place, 2)
    assert place.checkpoint() == rfc3339(day(0).stop)
    place.run("sync")
    assert place.names() == names(0, 1)
    assert place.checkpoint() == rfc3339(day(2).stop)


def test_a_later_replacement_loads_it_after_all(place: Place) -> None:
    """Also a bundle of a longer span that was given up at one blow."""
    place.run("sync", "--max-bundles", "1")
    skip(place, 1, last=2)
    place.api.add(day(1), body(day(1), "mended"))
    place.run("backfill", "--since", rfc3339(day(1).start))
    assert place.names() == names(0), "without --replace, given up is given up"
    span = ["--since", rfc3339(day(1).start), "--until", rfc3339(day(1).stop)]
    place.run("backfill", "--replace", *span)
    assert place.names() == sorted(names(0) + names(1, tag="mended"))
    assert [kind for _, _, kind in place.kinds()] == ["sync", "backfill", "skip"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("two\nlines", "U+000A"), ("a\rreturn", "U+000D"), ("\x1b[31mred", "U+001B"),
        ("a\x00NUL", "U+0000"), ("a\u2028line", "U+2028"), ("no UTF-8 \udcff", "U+DCFF"),
        ("long " * 1000, "4,999 characters"), ("", "say something"), (" \n", "say something"),
    ],
)  # fmt: skip
def test_a_reason_is_one_line(place: Place, reason: str, said: str) -> None:
    span = ["--since", rfc3339(day(0).start), "--until", rfc3339(day(0).stop)]
    ran = place.run("skip", *span, "--reason", reason, code=2)
    assert said in ran.err
    assert "--reason" in ran.err
    assert not place.data.exists()


def test_white_space_around_a_reason_is_dropped(place: Place) -> None:
    span = ["--since", rfc3339(day(0).start), "--until", rfc3339(day(0).stop)]
    place.run("skip", *span, "--reason", " ticket 4711, ü\n")
    assert place.ledger()["entries"][0]["reason"] == "ticket 4711, ü"


def test_the_future_cannot_be_given_up(place: Place) -> None:
    place.run("sync")
    skip(place, 2, last=2000, code=2)
    assert "nothing was due" in place.run("sync").out
