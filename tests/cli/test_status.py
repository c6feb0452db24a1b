"""`hauserpy status` tells what the ledger holds, in text and as one object; `bundles` beside it what
the API offers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.site import Serve, Site, at, bodies, event, window

DAYS = [window(f"2026-05-0{n}", f"2026-05-0{n + 1}") for n in range(1, 7)]
EVENTS = [event(d.start, n) for n, d in enumerate(DAYS)]

FIELDS = {
    "command", "ok", "exit_code", "error", "destination", "checkpoint", "lag_seconds", "windows",
    "records", "bytes", "changes", "first", "last", "hauser_until", "skipped", "gaps",
}  # fmt: skip


def span(start: str, stop: str) -> dict[str, str]:
    return {"start": f"{start}T00:00:00Z", "stop": f"{stop}T00:00:00Z"}


@pytest.fixture
def eventful(site: Site, serve: Serve) -> Site:
    """The first two of May loaded, the 3rd given up, the 5th backfilled; the 4th and 6th missing.
    One value altered in each of two windows."""
    spoiled = [
        {**EVENTS[0], "UserEmail": "a\0b", "PageStart": "no time"},
        {**EVENTS[1], "PageStart": "2026-02-30T00:00:00Z", "PageUrl": "\ud83d"},
        *EVENTS[2:],
    ]
    api = serve(bodies=bodies(DAYS, spoiled))
    site.at("2026-05-07T06:30")
    site.use(api, 1)
    site.ok("sync", "--max-bundles", "2")
    site.ok("skip", "--since", "2026-05-03", "--until", "2026-05-04", "--reason", "corrupt, #4711")
    site.ok("backfill", "--since", "2026-05-05", "--until", "2026-05-06")
    return site


def test_status_has_all_its_fields(eventful: Site) -> None:
    told = eventful.ok("status", "--json").json
    size = sum(e["bytes"] for e in eventful.ledger()["entries"])
    assert told == {
        "command": "status",
        "ok": True,
        "exit_code": 0,
        "error": None,
        "destination": f"local {eventful.save}",
        # A window that is given up at the checkpoint is passed over.
        "checkpoint": "2026-05-04T00:00:00Z",
        "lag_seconds": (3 * 24 + 6) * 3600 + 1800,
        "windows": 3,
        "records": 3,
        "bytes": size,
        "changes": {
            "nul_removed": {"UserEmail": 1},
            "surrogate_replaced": {"PageUrl": 1},
            "unfit": {"PageStart": 2},
        },
        "first": "2026-05-01T00:00:00Z",
        "last": "2026-05-06T00:00:00Z",
        "hauser_until": None,
        "skipped": [{**span("2026-05-03", "2026-05-04"), "reason": "corrupt, #4711"}],
        "gaps": [span("2026-05-04", "2026-05-05")],
    }
    assert set(told) == FIELDS


def test_status_says_the_same_to_people(eventful: Site) -> None:
    outcome = eventful.ok("status")
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert lines["destination"] == f"local {eventful.save}"
    assert lines["checkpoint"] == "2026-05-04T00:00:00Z, 3 d 6 h behind now"
    assert lines["loaded"].startswith("3 windows, 3 records, ")
    assert lines["loaded"].endswith("2026-05-01T00:00:00Z – 2026-05-06T00:00:00Z")
    assert lines["altered"] == (
        "nul_removed: UserEmail 1; surrogate_replaced: PageUrl 1; unfit: PageStart 2"
    )
    assert lines["skipped"] == "2026-05-03T00:00:00Z – 2026-05-04T00:00:00Z: corrupt, #4711"
    assert lines["gap"] == "2026-05-04T00:00:00Z – 2026-05-05T00:00:00Z"


def test_files_that_are_gone_are_gaps_also_the_first_ones(eventful: Site) -> None:
    min(eventful.save.glob("*.csv")).unlink()
    told = eventful.ok("status", "--json").json
    assert told["gaps"] == [span("2026-05-01", "2026-05-02"), span("2026-05-04", "2026-05-05")]


def test_status_of_nothing(site: Site, serve: Serve) -> None:
    site.use(serve(bodies={}), 2)
    told = site.ok("status", "--json").json
    assert set(told) == FIELDS
    assert {k: v for k, v in told.items() if v} == {
        "command": "status",
        "ok": True,
        "destination": f"local {site.save}",
    }
    assert "none: nothing is synced yet" in site.ok("status").out
    assert not site.save.exists(), "it only looks"


def test_status_and_bundles_touch_nothing(eventful: Site) -> None:
    before = eventful.tree()
    for command in ("status", "bundles"):
        eventful.ok(command)
        eventful.ok(command, "--json")
    assert eventful.tree() == before


def test_a_file_that_was_moved_away_is_a_gap(eventful: Site) -> None:
    eventful.files()[1].unlink()
    told = eventful.ok("status", "--json").json
    assert told["gaps"] == [span("2026-05-02", "2026-05-03"), span("2026-05-04", "2026-05-05")]
    assert told["windows"] == 2


def test_what_was_written_into_the_ledger_by_hand_does_nothing_to_a_terminal(
    eventful: Site,
) -> None:
    path = eventful.save / ".hauserpy" / "ledger.json"
    ledger = json.loads(path.read_bytes())
    (given_up,) = [e for e in ledger["entries"] if e["kind"] == "skip"]
    given_up["reason"] = "a\nb\r\x1b[2J\u009b\u202eé"
    ledger["entries"][0]["changes"] = {"unfit": {"x\x1b[2J\n": 1}}
    path.write_text(json.dumps(ledger))
    lines = eventful.ok("status").out.split("\n")
    assert all(line.isprintable() for line in lines)
    (skipped,) = [line for line in lines if line.startswith("skipped")]
    assert skipped.endswith(": a b  [2J  é")
    told = eventful.ok("status", "--json").json
    assert told["skipped"][0]["reason"] == given_up["reason"]


@pytest.mark.parametrize("command", ["status", "bundles", "check", "sync"])
def test_with_json_an_unreadable_ledger_is_told_on_stdout_as_well(
    eventful: Site, command: str
) -> None:
    ledger = eventful.save / ".hauserpy" / "ledger.json"
    ledger.write_bytes(ledger.read_bytes()[:-9])
    outcome = eventful.run(command, "--json")
    told = outcome.json
    assert (told["command"], told["ok"]) == (command, False)
    assert told["exit_code"] == outcome.code == (8 if command == "check" else 10)
    if command == "check":
        (bad,) = [c for c in told["checks"] if not c["ok"]]
        assert bad["name"] == "ledger"
        assert "never taken for an empty ledger" in bad["remedy"]
    else:
        assert told["error"]["kind"] == "LedgerUnreadable"
        assert str(ledger) in told["error"]["reason"]
        assert "restore it from a backup" in told["error"]["instruction"]


def states(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(b["start"][:16], b["state"]) for b in found["bundles"]]


def test_bundles_of_generation_1_in_all_their_states(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-08")
    site.save.mkdir()
    (site.save / ".sync.hauser").write_text("2026-05-02T00:00:00Z")
    site.use(api, 1)
    site.ok("sync", "--max-bundles", "1")
    site.ok("skip", "--since", "2026-05-03", "--until", "2026-05-04", "--reason", "no use")
    site.use(api, 2)
    site.ok("backfill", "--since", "2026-05-04T06:00:00Z", "--until", "2026-05-04T07:00:00Z")
    site.use(api, 1)
    found = site.ok("bundles", "--json").json
    assert states(found) == [
        ("2026-05-01T00:00", "hauser"),
        ("2026-05-02T00:00", "loaded"),
        ("2026-05-03T00:00", "skipped"),
        ("2026-05-04T00:00", "partly"),
        ("2026-05-05T00:00", "missing"),
        ("2026-05-06T00:00", "missing"),
    ]
    assert {k: v for k, v in found.items() if k != "bundles"} == {
        "command": "bundles",
        "ok": True,
        "exit_code": 0,
        "error": None,
    }
    assert found["bundles"][0] == {
        "bundle": api.bundles[0].id,
        "start": "2026-05-01T00:00:00Z",
        "stop": "2026-05-02T00:00:00Z",
        "state": "hauser",
    }
    lines = site.ok("bundles").out.splitlines()
    assert [line.split()[2] for line in lines] == [s for _, s in states(found)]
    some = site.ok("bundles", "--json", "--since", "2026-05-02", "--until", "2026-05-04").json
    assert states(some) == states(found)[1:3]


def test_bundles_of_generation_2_are_the_windows_that_would_be_asked_for(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-07T13:00")
    site.use(api, 2, 'ExportDuration = "6h"', start="2026-05-05T10:00")
    site.ok("sync", "--max-bundles", "2")
    found = site.ok("bundles", "--json").json
    assert states(found) == [
        ("2026-05-05T10:00", "loaded"),
        ("2026-05-05T12:00", "loaded"),
        ("2026-05-05T18:00", "missing"),
        ("2026-05-06T00:00", "missing"),
        ("2026-05-06T06:00", "missing"),
    ]
    assert len(api.operations) == 2, "to list them the API is asked nothing"


def test_bundles_say_so_when_there_are_none(site: Site, serve: Serve) -> None:
    site.use(serve(bodies={}), 1)
    assert site.ok("bundles").out == "the API offers no bundles in this span\n"
    assert site.ok("bundles", "--json").json["bundles"] == []
    assert site.ok("-q", "bundles").out == ""


def test_bundles_need_the_api_and_status_does_not(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.use(api, 1, 'Backoff = "1ms"', 'ConnectTimeout = "1s"')
    site.sync()
    api.close()
    site.ok("status")
    outcome = site.run("bundles", "--json")
    assert outcome.code == 4
    assert outcome.json["error"]["kind"] == "ApiUnavailable"


def test_a_ledger_from_the_future_is_told_and_not_used(site: Site, serve: Serve) -> None:
    site.use(serve(bodies=bodies(DAYS, EVENTS)), 1)
    site.sync()
    site.at(at("2026-05-06").replace(hour=22))
    for command in ("status", "bundles", "sync"):
        outcome = site.run(command)
        assert outcome.code == 10, command
        assert "lies in the future" in outcome.err
        assert "clock" in outcome.err


def test_the_object_of_status_is_one_line_of_json(eventful: Site) -> None:
    out = eventful.ok("status", "--json", "--log-format", "json").out
    assert out.count("\n") == 1
    json.loads(out)


def test_bundles_shows_windows_as_they_were_loaded_and_as_sync_would_ask(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-03T00:00")
    site.use(api, 2, 'ExportDuration = "30m"', start="2026-05-01T06:00:00Z")
    site.ok("sync", "--max-bundles", "1")
    site.use(api, 2, 'ExportDuration = "6h"', start="2026-05-01T06:00:00Z")
    told = site.ok("bundles", "--until", "2026-05-01T13:00:00Z", "--json").json["bundles"]
    asked = [(b["start"][11:16], b["stop"][11:16], b["state"]) for b in told]
    assert asked == [
        ("06:00", "06:30", "loaded"), ("06:30", "12:00", "missing"), ("12:00", "13:00", "missing"),
    ]  # fmt: skip
    planned = site.ok("sync", "--dry-run", "--json").json["planned"]
    assert planned[0]["start"][11:16] == "06:30" and planned[0]["stop"][11:16] == "12:00"
