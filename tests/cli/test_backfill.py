"""Backfill loads what is missing of a span, or all of it anew, and leaves the checkpoint alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hauserpy.mockapi import MockApi
from hauserpy.model import rfc3339
from tests.cli.place import Place, body, day, days, id_of, names


def since(number: int) -> list[str]:
    return ["--since", rfc3339(day(number).start)]


def until(number: int) -> list[str]:
    return ["--until", rfc3339(day(number).start)]


def test_it_loads_the_missing_windows_and_leaves_the_checkpoint(place: Place) -> None:
    told = place.run("backfill", *since(1), *until(2), "--json").json
    assert (told["command"], told["bundles"]) == ("backfill", 1)
    assert place.names() == names(1)
    assert place.checkpoint() is None
    assert not (place.data / ".sync.hauser").exists()
    assert [kind for _, _, kind in place.kinds()] == ["backfill"]
    place.run("backfill", *since(0))
    assert place.names() == names(0, 1, 2)
    assert place.got() == [id_of(day(n)) for n in (1, 0, 2)]
    place.assert_clean()


def test_a_span_with_nothing_to_load_says_so(place: Place) -> None:
    place.run("sync")
    for more in ([], ["--dry-run"]):
        ran = place.run("backfill", *since(0), *until(1), *more)
        assert (
            "nothing to load: all that the API offers in this span is loaded or given up" in ran.out
        )
    ran = place.run("backfill", "--since", "2999-01-01", code=2)
    assert "lies in the future" in ran.err


def test_sync_after_it_goes_on_from_its_own_checkpoint(place: Place) -> None:
    place.run("sync", "--max-bundles", "1")
    place.run("backfill", *since(2))
    assert place.checkpoint() == rfc3339(day(0).stop)
    place.run("sync")
    assert place.got() == [id_of(day(n)) for n in (0, 2, 1)]
    assert place.checkpoint() == rfc3339(day(2).stop)


def test_sync_that_finds_all_loaded_has_come_to_its_end(place: Place) -> None:
    place.run("backfill", *since(0))
    assert place.checkpoint() is None
    told = place.run("sync", "--json").json
    assert (told["bundles"], told["checkpoint"]) == (0, rfc3339(day(2).stop))
    assert told["passed"] == [{"start": rfc3339(day(0).start), "stop": rfc3339(day(2).stop)}]
    assert place.checkpoint() == (place.data / ".sync.hauser").read_text() == rfc3339(day(2).stop)
    place.api.add(day(4), body(day(4)))
    place.run("backfill", *since(4))
    told = place.run("sync", "--json").json
    assert told["checkpoint"] == rfc3339(day(4).stop), "also behind a gap"
    assert len(place.got()) == 4


def test_replace_loads_all_of_it_anew(place: Place) -> None:
    place.run("sync")
    for number in range(3):
        place.api.add(day(number), body(day(number), "new"))
    ran = place.run("backfill", "--replace", *since(0), *until(2))
    assert "loaded 2 bundles" in ran.out
    assert place.names() == sorted(names(0, 1, tag="new") + names(2))
    assert place.checkpoint() == rfc3339(day(2).stop)
    assert [kind for _, _, kind in place.kinds()] == ["backfill", "backfill", "sync"]
    place.assert_clean()


def test_replace_in_another_format_removes_the_old_files(place: Place) -> None:
    place.run("sync")
    place.configure(Format='"jsonl"', Compression='"gzip"')
    place.run("backfill", "--replace", *since(0))
    found = sorted(p.name for p in place.data.iterdir() if p.is_file())
    stems = [int(day(n).start.timestamp()) for n in range(3)]
    assert found == [".sync.hauser", *(f"{stem}.jsonl.gz" for stem in stems)]
    assert place.names() == names(0, 1, 2)


def test_stopped_by_an_error_it_goes_on_where_it_stopped(place: Place) -> None:
    place.api.faults.add("get[2]:500:2")
    place.run("backfill", *since(0), code=4)
    assert place.names() == names(0)
    place.api.forget_requests()
    place.run("backfill", *since(0))
    assert place.got() == [id_of(day(1)), id_of(day(2))]
    assert place.names() == names(0, 1, 2)


def test_a_second_time_nothing_is_missing(place: Place) -> None:
    place.run("backfill", *since(0))
    place.api.forget_requests()
    told = place.run("backfill", *since(0), "--json").json
    assert (told["ok"], told["bundles"]) == (True, 0)
    assert place.got() == []


@pytest.mark.parametrize("twice", ["sync", "backfill"])
def test_beside_another_run_both_are_right(
    place: Place, capsys: pytest.CaptureFixture[str], twice: str
) -> None:
    """Real processes: a replacing backfill of eight days, and a run that loads the same days."""
    count = 8
    with MockApi(bodies=days(range(count)), token=place.api.token) as api:
        both = Place(place.folder, api, capsys, {"BackoffStepsMax": "4"})
        first = ["sync"] if twice == "sync" else ["backfill", "--replace", *since(0)]
        runs = [both.start(*first), both.start("backfill", "--replace", *since(0))]
        for process in runs:
            both.finish(process)
        assert both.names() == names(*range(count))
        assert [start for start, _, _ in both.kinds()] == [
            rfc3339(day(n).start) for n in range(count)
        ]
        expected = rfc3339(day(count - 1).stop) if twice == "sync" else None
        assert both.checkpoint() == expected
        both.assert_clean()
        assert "nothing was due" in both.run("sync").out


def test_a_replacement_while_sync_has_the_same_bundle_in_hand(place: Place) -> None:
    """The bundle that sync fetches is loaded by the other before sync can: nothing is doubled."""
    fetched, loaded = threading.Event(), threading.Event()
    real = place.api._router.api

    def slow(request: object) -> object:
        answer = real(request)  # type: ignore[arg-type]  # a request of the mock's server
        if "export/get" in getattr(request, "path", "") and not fetched.is_set():
            fetched.set()
            assert loaded.wait(30)
        return answer

    place.api._api.application = slow  # type: ignore[assignment]
    with ThreadPoolExecutor(1) as thread:
        sync = place.start("sync")
        assert fetched.wait(30)
        place.api._api.application = real
        future = thread.submit(place.finish, place.start("backfill", *since(0), *until(1)))
        future.result(60)
        loaded.set()
        ran = place.finish(sync)
    assert "Planning again" in ran.err
    assert place.names() == names(0, 1, 2)
    assert [kind for _, _, kind in place.kinds()] == ["backfill", "sync", "sync"]
    assert place.checkpoint() == rfc3339(day(2).stop)
