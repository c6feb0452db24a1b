"""The main job: what is due is loaded once, in order, and told."""

from __future__ import annotations

import csv
import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from hauserpy.mockapi import MockApi
from hauserpy.model import Window, rfc3339
from tests.cli.place import REPO, TOKEN, Place, body, day, events, id_of, names, tree
from tests.destinations.local_backing import csv_cells

DOCUMENTED = {
    "command", "ok", "exit_code", "error", "bundles", "records", "bytes", "changes", "checkpoint",
    "seconds", "loaded", "passed", "planned",
}  # fmt: skip


def test_what_is_offered_is_on_disk_with_ledger_and_checkpoint(place: Place) -> None:
    ran = place.run("sync")
    assert "loaded 3 bundles: 9 records" in ran.out
    assert place.names() == names(0, 1, 2)
    assert place.checkpoint() == rfc3339(day(2).stop)
    assert place.kinds() == [
        (rfc3339(day(n).start), rfc3339(day(n).stop), "sync") for n in range(3)
    ]
    files = sorted(p.name for p in place.data.iterdir() if p.is_file())
    assert files == [".sync.hauser", *(f"{int(day(n).start.timestamp())}.csv" for n in range(3))]
    assert (place.data / ".sync.hauser").read_text() == rfc3339(day(2).stop)
    place.assert_clean()


def test_run_again_nothing_is_due(place: Place) -> None:
    place.run("sync")
    before = tree(place.data)
    place.api.forget_requests()
    assert "nothing was due" in place.run("sync").out
    assert place.got() == []
    changed = {n for n, seen in tree(place.data).items() if before.get(n) != seen}
    assert not [n for n in changed if n.endswith((".csv", ".json", ".hauser"))]
    place.assert_clean()


def test_with_one_more_day_only_that_day_is_fetched(place: Place) -> None:
    place.run("sync")
    place.run("sync")
    place.api.forget_requests()
    place.api.add(day(3), body(day(3)))
    assert place.run("sync", "--json").json["bundles"] == 1
    assert place.got() == [id_of(day(3))]
    assert place.names() == names(0, 1, 2, 3)


def test_at_most_so_many_bundles_oldest_first(place: Place) -> None:
    for so_far in (2, 3, 3):
        place.run("sync", "--max-bundles", "2")
        assert place.names() == names(*range(so_far))
    assert place.got() == [id_of(day(n)) for n in range(3)]


def test_more_bundles_than_a_page_of_the_list(place: Place) -> None:
    for number in range(3, 45):
        place.api.add(day(number), b"[]")
    assert place.run("sync", "--json").json["bundles"] == 45
    assert len(place.kinds()) == 45


def test_an_empty_bundle_is_loaded_without_a_file(place: Place) -> None:
    place.api.add(day(3), b" [ ] ")
    place.run("sync")
    assert len(place.kinds()) == 4
    assert place.checkpoint() == rfc3339(day(3).stop)
    assert len(list(place.data.glob("*.csv"))) == 3


@pytest.mark.parametrize("format", ["csv", "jsonl", "raw", "parquet"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_format_in_files_of_its_own(place: Place, format: str, compression: str) -> None:
    place.configure(Format=f'"{format}"', Compression=f'"{compression}"', FilePrefix='"fs_"')
    place.run("sync")
    extension = {"raw": "json"}.get(format, format)
    if compression == "gzip" and format != "parquet":
        extension += ".gz"
    found = sorted(p.name for p in place.data.iterdir() if p.name.endswith(f".{extension}"))
    assert found == [f"fs_{int(day(n).start.timestamp())}.{extension}" for n in range(3)]
    if format == "raw" and compression == "none":
        assert json.loads((place.data / found[0]).read_text()) == events(day(0))
    place.run("sync")
    assert len(place.got()) == 3


def test_csv_can_be_read_by_anyone(place: Place) -> None:
    record = {"EventTargetText": 'a "b"\nc,d', "user_x_str": "ünï", "PageUrl": ""}
    place.api.add(day(3), json.dumps([record]).encode())
    place.run("sync")
    path = place.data / f"{int(day(3).start.timestamp())}.csv"
    with path.open(newline="") as text:
        (row,) = csv.DictReader(text)
    assert row["EventTargetText"] == 'a "b"\nc,d'
    assert json.loads(row["CustomVars"]) == {"user_x_str": "ünï"}
    header, cells = csv_cells(path.read_bytes().decode())
    by_name = dict(zip(header, cells, strict=True))
    assert (by_name["PageUrl"], by_name["PageName"]) == ("", None)


def test_a_dry_run_lists_and_touches_nothing(place: Place) -> None:
    before = tree(place.folder)
    ran = place.run("sync", "--dry-run")
    assert [id_of(day(n)) in ran.out for n in range(3)] == [True] * 3
    assert tree(place.folder) == before
    assert place.got() == []
    place.run("sync", "--max-bundles", "1")
    before = tree(place.folder)
    told = place.run("sync", "--dry-run", "--json").json
    assert [p["bundle"] for p in told["planned"]] == [id_of(day(1)), id_of(day(2))]
    assert told["checkpoint"] == rfc3339(day(0).stop)
    place.run("backfill", "--dry-run", "--replace", "--since", "2026-09-01")
    assert tree(place.folder) == before


def test_json_is_one_documented_object(place: Place) -> None:
    place.api.add(day(3), json.dumps([{"EventStart": "soon"}]).encode())
    told = place.run("sync", "--json").json
    assert set(told) == DOCUMENTED
    assert (told["command"], told["ok"], told["exit_code"], told["error"]) == (
        "sync", True, 0, None,
    )  # fmt: skip
    assert (told["bundles"], told["records"]) == (4, 10)
    assert told["changes"] == {"unfit": {"EventStart": 1}}
    assert told["checkpoint"] == rfc3339(day(3).stop)
    assert [e["bundle"] for e in told["loaded"]] == [id_of(day(n)) for n in range(4)]
    assert told["loaded"] == place.ledger()["entries"]


def test_json_tells_what_was_loaded_before_the_error(place: Place) -> None:
    place.api.faults.add("get[2]:null:*")
    told = place.run("sync", "--json", code=6).json
    assert set(told) == DOCUMENTED
    assert told["ok"] is False and told["exit_code"] == 6
    assert set(told["error"]) == {"kind", "reason", "instruction"}
    assert told["error"]["kind"] == "CorruptBundle" and told["bundles"] == 1
    assert told["checkpoint"] == rfc3339(day(0).stop)
    assert place.names() == names(0)


def test_stdout_is_data_and_stderr_is_talk(place: Place) -> None:
    place.api.faults.add("get:500:1")
    done = subprocess.run(
        place.argv("sync", "--json", "-v"), cwd=REPO, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["bundles"] == 3
    assert "loaded" in done.stderr and not done.stderr.startswith("{")


def test_a_log_in_json_is_an_object_a_line(place: Place) -> None:
    ran = place.run("sync", "--log-format", "json")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    assert {"time", "level", "message"} <= set(lines[0])
    assert [line["records"] for line in lines if "records" in line] == [3, 3, 3]
    place.api.token = "na1.another"
    place.configure()
    ran = place.run("sync", "--log-format", "json", code=5)
    last = json.loads(ran.err.splitlines()[-1])
    assert (last["level"], last["code"], last["kind"]) == ("error", 5, "AccessDenied")


def test_quiet_says_nothing_when_all_is_well(place: Place) -> None:
    ran = place.run("sync", "-q")
    assert (ran.out, ran.err) == ("", "")


def test_a_bundle_length_that_was_changed_is_clipped(place: Place) -> None:
    """Days become bundles of half a day's shift: what overlaps is loaded once, none is lost."""
    place.run("sync")
    half = timedelta(hours=12)
    for number in range(2, 4):
        shifted = Window(day(number).start + half, day(number).stop + half)
        records = [*events(day(number), count=4)[2:], *events(day(number + 1), count=4)[:2]]
        place.api.add(shifted, json.dumps(records).encode())
    told = place.run("sync", "--json").json
    assert told["changes"] == {"clipped": {"EventStart": 2}}
    starts = [e["start"] for e in told["loaded"]]
    assert starts == [rfc3339(day(3).start), rfc3339(day(3).start + half)]
    assert place.names() == sorted([*names(0, 1, 2), *names(3, count=4), *names(4, count=4)[:2]])
    assert "nothing was due" in place.run("sync").out


def test_bundles_that_overlap_each_other_are_loaded_once(place: Place) -> None:
    """One list offers a window twice, and one that begins within another."""
    whole = [*events(day(3)), *events(day(4))]
    place.api.add(Window(day(3).start, day(4).stop), json.dumps(whole).encode())
    place.api.add(day(3), body(day(3)))
    place.api.add(day(4), body(day(4)))
    place.run("sync")
    assert place.names() == names(0, 1, 2, 3, 4)
    assert place.checkpoint() == rfc3339(day(4).stop)


def test_a_start_time_leaves_out_what_is_older(place: Place) -> None:
    place.configure(StartTime=f'"{rfc3339(day(1).start)}"')
    place.run("sync")
    assert place.names() == names(1, 2)


def test_sync_passes_over_what_a_backfill_has_loaded(place: Place) -> None:
    place.run("sync", "--max-bundles", "1")
    place.run("backfill", "--since", rfc3339(day(1).start), "--until", rfc3339(day(2).start))
    assert place.checkpoint() == rfc3339(day(0).stop)
    place.api.forget_requests()
    told = place.run("sync", "--json").json
    assert place.got() == [id_of(day(2))]
    assert told["passed"] == [{"start": rfc3339(day(1).start), "stop": rfc3339(day(1).stop)}]
    assert place.checkpoint() == rfc3339(day(2).stop)
    assert place.names() == names(0, 1, 2)


def test_cuts_and_limits_of_the_api_are_waited_out(place: Place) -> None:
    for fault in ("list:500", "get[1]:cut@60%", "get[2]:429,retry-after=0", "get[3]:reset@50%"):
        place.api.faults.add(fault)
    place.run("sync")
    assert place.api.faults.pending() == []
    assert place.names() == names(0, 1, 2)
    place.assert_clean()


def test_large_bundles_through_worker_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with MockApi(bundles=1, bundle_bytes=6_000_000, token=TOKEN) as api:
        place = Place(tmp_path, api, capsys, {"Workers": "2"})
        told = place.run("sync", "--json").json
        offered = [len(api.records(b.window)) for b in api.bundles]
        assert [e["records"] for e in told["loaded"]] == offered
        assert len(place.names()) == sum(offered)
        place.assert_clean()


def test_a_tmp_dir_on_another_file_system(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    real = os.replace
    met = []

    def replace(source: str | Path, target: str | Path) -> None:
        if str(source).startswith(str(place.tmp)):
            met.append(source)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    place.run("sync")
    assert len(met) == 3
    assert place.names() == names(0, 1, 2)
    place.assert_clean()


def test_files_that_were_moved_away_stay_in_the_ledger_and_are_not_loaded_again(
    place: Place,
) -> None:
    """As a job does that takes files elsewhere; a backfill of the span would load them again."""
    place.run("sync")
    (moved,) = place.data.glob(f"{int(day(1).start.timestamp())}.csv")
    moved.unlink()
    place.api.forget_requests()
    place.api.add(day(3), body(day(3)))
    place.run("sync")
    assert place.got() == [id_of(day(3))]
    assert len(place.kinds()) == 4
    place.run("backfill", "--since", rfc3339(day(0).start))
    assert place.got() == [id_of(day(3)), id_of(day(1))]
    assert place.names() == names(0, 1, 2, 3)


def test_a_start_time_in_the_future_is_told(place: Place) -> None:
    place.configure(StartTime='"2999-01-01"')
    ran = place.run("sync")
    assert "StartTime 2999-01-01T00:00:00Z lies in the future" in ran.err
    assert "nothing was due" in ran.out
    assert place.got() == []
