"""hauser's users: its configuration files, what it left in folders, its files and its checkpoint,
and the way back to it."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.mockapi import MockApi
from tests.cli.site import Serve, Site, at, bodies, event, window

DAYS = [window(f"2026-05-0{n}", f"2026-05-0{n + 1}") for n in range(1, 5)]
EVENTS = [event(DAYS[0].start + n * timedelta(hours=6), n) for n in range(16)]
ALL = list(range(16))

HAUSER_COLUMNS = [
    "IndvId",
    "UserId",
    "SessionId",
    "PageId",
    "UserCreated",
    "UserAppKey",
    "UserDisplayName",
    "UserEmail",
    "EventStart",
    "EventType",
    "EventSubType",
    "EventCustomName",
    "EventTargetText",
    "EventTargetSelector",
    "EventPageOffset",
    "EventSessionOffset",
    "EventModFrustrated",
    "EventModDead",
    "EventModError",
    "EventModSuspicious",
    "EventVarErrorKind",
    "EventVarFields",
    "EventWebSourceFileUrl",
    "EventFirstInputDelay",
    "EventCumulativeLayoutShift",
    "SessionStart",
    "PageName",
    "PageStart",
    "PageDuration",
    "PageActiveDuration",
    "PageUrl",
    "PageRefererUrl",
    "PageIp",
    "PageLatLong",
    "PageUserAgent",
    "PageBrowser",
    "PageBrowserVersion",
    "PageDevice",
    "PagePlatform",
    "PageOperatingSystem",
    "PageScreenWidth",
    "PageScreenHeight",
    "PageViewportWidth",
    "PageViewportHeight",
    "PageNumEvents",
    "PageNumDerivedEvents",
    "PageNumInfos",
    "PageNumWarnings",
    "PageNumErrors",
    "PageClusterId",
    "PageMaxScrollDepthPercent",
    "LoadDomContentTime",
    "LoadEventTime",
    "LoadFirstPaintTime",
    "LoadLargestPaintTime",
    "ReqUrl",
    "ReqMethod",
    "ReqStatus",
    "CustomVars",
]
"""The 59 columns of hauser 1.5.1's files, in its order."""

GENERATION_1_FILE = """
FsApiToken = "{token}"
Backoff = "30s"
BackoffStepsMax = 8
CheckInterval = "30m"
TmpDir = "tmp"
ListExportLimit = 20
Warehouse = "local"
GroupFilesByDay = false
SaveAsJson = false
ExportURL = "{url}"
[s3]
Bucket = ""
Region = ""
Timeout = "5m"
S3Only = false
[redshift]
User = ""
Password = ""
Host = ""
Port = ""
DB = ""
ExportTable = ""
SyncTable = ""
Credentials = ""
VarCharMax = 65535
[gcs]
Bucket = "<your bucket>"
GCSOnly = true
[bigquery]
Project = "<your project>"
Dataset = "<your dataset>"
ExportTable = "<your export table>"
SyncTable = "<your sync table>"
[local]
SaveDir = "data"
StartTime = 2026-05-02T00:00:00Z
UseStartTime = {use}
"""

GENERATION_2_FILE = """
Provider = "local"
FsApiToken = "{token}"
ApiURL = "{url}"
SegmentId = "everyone"
ExportDuration = "24h0m0s"
ExportDelay = "24h"
StartTime = 2026-05-01T00:00:00Z
StorageOnly = true
IncludeMobileAppsFields = true
Backoff = "30s"
BackoffStepsMax = 8
CheckInterval = "30m"
TmpDir = "tmp"
SaveAsJson = false
{more}
AdditionalHttpHeader = [{{Key = "X-Gateway", Value = "abc"}}]
[local]
SaveDir = "data"
"""


class Hauser:
    """What hauser 1.5.1 does in a folder, as far as others see it: it reads its mark without the
    prefix and writes it with it, and names its files after the window's start."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        self.prefix = prefix
        folder.mkdir(exist_ok=True)

    def checkpoint(self) -> datetime | None:
        """Go's time.Parse(time.RFC3339, …) of the whole file: no white space, no fraction lost."""
        mark = self.folder / ".sync.hauser"
        if not mark.exists():
            return None
        return datetime.strptime(mark.read_text(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

    def writes(self, start: datetime, stop: datetime, events: list[dict[str, Any]]) -> Path:
        path = self.folder / f"{self.prefix}{int(start.timestamp())}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(HAUSER_COLUMNS)
            for one in events:
                known = {k: v for k, v in one.items() if k in HAUSER_COLUMNS}
                rest = {k: v for k, v in one.items() if k not in HAUSER_COLUMNS}
                known["CustomVars"] = json.dumps(rest, separators=(",", ":"))
                writer.writerow([known.get(c, "") for c in HAUSER_COLUMNS])
        self.marks(stop)
        return path

    def marks(self, stop: datetime) -> None:
        mark = self.folder / f"{self.prefix}.sync.hauser"
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(stop.strftime("%Y-%m-%dT%H:%M:%SZ"))


# Configuration files


@pytest.mark.parametrize("use", ["true", "false"])
def test_a_file_of_hauser_0_drives_a_run(site: Site, serve: Serve, use: str) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.configure(GENERATION_1_FILE.format(token=api.token, url=api.url, use=use))
    outcome = site.ok("sync")
    assert site.numbers() == (ALL[4:] if use == "true" else ALL)
    for key in ("Warehouse", "ListExportLimit", "ExportURL", "GroupFilesByDay", "gcs.GCSOnly"):
        assert f"warning: {key} (file {site.path}) is deprecated" in outcome.err
    # UseStartTime plans from there at each run, and what is loaded stays loaded.
    assert "nothing was due" in site.ok("sync").out


def test_a_file_of_hauser_1_drives_a_run(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-06")
    more = 'FilePrefix = ""'
    site.configure(GENERATION_2_FILE.format(token=api.token, url=api.segments_url, more=more))
    outcome = site.ok("sync")
    assert site.numbers() == ALL
    assert "warning" not in outcome.err
    assert 'ExportApi is "segments", inferred from SegmentId' in outcome.err
    assert [p.name for p in site.files()] == [f"{int(d.start.timestamp())}.csv" for d in DAYS]
    assert all(r.headers["x-gateway"] == "abc" for r in api.requests if r.server == "api")


def test_group_files_by_day_makes_a_file_a_day(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-06")
    text = GENERATION_2_FILE.format(
        token=api.token, url=api.segments_url, more="GroupFilesByDay = true"
    ).replace('ExportDuration = "24h0m0s"\n', "")
    site.configure(text)
    outcome = site.ok("sync")
    assert "GroupFilesByDay" in outcome.err
    assert "is deprecated" in outcome.err
    assert [p.name for p in site.files()] == [f"{int(d.start.timestamp())}.csv" for d in DAYS]
    assert site.numbers() == ALL


def test_save_as_json_keeps_what_was_served(site: Site, serve: Serve) -> None:
    whole = bodies(DAYS[:1], EVENTS)
    api = serve(bodies=whole)
    text = GENERATION_1_FILE.format(token=api.token, url=api.url, use="false")
    site.configure(text.replace("SaveAsJson = false", "SaveAsJson = true"))
    site.ok("sync")
    (found,) = site.save.glob("*.json")
    assert found.read_bytes() == whole[DAYS[0]]


# Adoption


def adopted(site: Site, prefix: str = "", mark: str = "without") -> Hauser:
    """A folder where hauser has loaded the first two days."""
    hauser = Hauser(site.save, prefix)
    for number in (0, 1):
        hauser.writes(DAYS[number].start, DAYS[number].stop, EVENTS[4 * number : 4 * number + 4])
    if mark in ("without", "both") and prefix:
        written = site.save / f"{prefix}.sync.hauser"
        (site.save / ".sync.hauser").write_bytes(written.read_bytes())
        if mark == "without":
            written.unlink()
    return hauser


@pytest.mark.parametrize(
    ("prefix", "mark"),
    [("", "without"), ("ev-", "with"), ("ev-", "without"), ("ev-", "both"), ("sub/", "with")],
)
@pytest.mark.parametrize("generation", [1, 2])
def test_it_goes_on_where_hauser_stood(
    site: Site, serve: Serve, prefix: str, mark: str, generation: int
) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-06")
    hauser = adopted(site, prefix, mark)
    before = {p: p.read_bytes() for p in site.files()}
    lines = [f'FilePrefix = "{prefix}"']
    site.use(api, generation, *lines, *(['ExportDuration = "24h"'] if generation == 2 else []))
    told = site.ok("status", "--json").json
    assert (told["checkpoint"], told["hauser_until"]) == ("2026-05-03T00:00:00Z",) * 2
    taken = "sync goes on from the Go hauser's checkpoint, and all before 2026-05-03T00:00:00Z counts as loaded"
    assert taken in site.ok("sync", "--max-bundles", "1").err
    assert hauser.checkpoint() == DAYS[2].stop
    assert (site.save / f"{prefix}.sync.hauser").read_text() == "2026-05-04T00:00:00Z"
    assert taken not in site.ok("sync").err
    assert site.numbers() == ALL
    assert {p: p.read_bytes() for p in before} == before, "its files stay as they are"
    assert {f"{p.relative_to(site.save)}" for p in site.files()} == {
        f"{prefix}{int(d.start.timestamp())}.csv" for d in DAYS
    }
    entries = site.ledger()["entries"]
    assert [e["kind"] for e in entries] == ["hauser", "sync", "sync"]
    assert (entries[0]["start"], entries[0]["stop"]) == (
        "1970-01-01T00:00:00Z",
        "2026-05-03T00:00:00Z",
    )
    status = site.ok("status").out
    assert "loaded everything before 2026-05-03T00:00:00Z" in status


@pytest.mark.parametrize(
    "command",
    [["sync"], ["sync", "--dry-run"], ["backfill", "--since", "2026-05-04"]],
    ids=" ".join,
)
def test_nothing_is_taken_over_while_nobody_knows_from_which_api(
    site: Site, serve: Serve, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    adopted(site)
    before = {path: path.read_bytes() for path in site.save.iterdir()}
    text = f'FsApiToken = "{api.token}"\n[local]\nSaveDir = "{site.save}"\n'
    site.configure(text)
    outcome = site.run(*command)
    assert outcome.code == 2
    assert 'Set ExportApi = "segments" if it was hauser 1.x' in outcome.err
    assert {path: path.read_bytes() for path in site.save.iterdir() if path.is_file()} == before
    skipped = "--since", "2026-05-03", "--until", "2026-05-03T01:00:00Z", "--reason", "x"
    site.ok("skip", *skipped)
    assert site.run(*command).code == 2, "what was given up tells nothing either"
    site.use(api, 1)
    site.ok("sync")
    # Now there is a ledger of ours, and it needs no telling.
    monkeypatch.setenv("HAUSERPY_APIURL", api.url)
    site.configure(text)
    assert "nothing was due" in site.ok("sync").out


def test_the_file_is_named_as_in_hauser_s_manifests(site: Site, serve: Serve) -> None:
    site.use(serve(bodies=bodies(DAYS, EVENTS)), 1)
    outcome = site.run("status", f"-c={site.path}")
    assert (outcome.code, outcome.err) == (0, "")


def test_the_way_back_to_hauser_and_then_to_us_again(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    hauser = adopted(site)
    site.use(api, 1)
    site.sync("--max-bundles", "1")
    stood = hauser.checkpoint()
    assert stood == DAYS[2].stop
    hauser.writes(DAYS[3].start, DAYS[3].stop, EVENTS[12:])
    assert site.numbers() == ALL, "hauser has nothing to do twice"
    # It has run since: we do not guess what it loaded.
    before = site.tree()
    for command in ("sync", "status", "backfill"):
        since = ["--since", "2026-05-01"] if command == "backfill" else []
        outcome = site.run(command, *since)
        assert outcome.code == 10
        assert "says 2026-05-05T00:00:00Z, our checkpoint is 2026-05-04T00:00:00Z" in outcome.err
        assert "the Go hauser has run since" in outcome.err
    assert site.tree() == before
    # What the message says to do is enough.
    (site.save / ".sync.hauser").write_text("2026-05-04T00:00:00Z")
    site.files()[3].unlink()
    site.sync()
    assert site.numbers() == ALL


def test_a_mark_behind_our_ledger_is_written_anew(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    hauser = adopted(site)
    site.use(api, 1)
    site.sync()
    hauser.marks(at("2026-05-02"))
    site.sync()
    assert hauser.checkpoint() == DAYS[3].stop
    assert site.numbers() == ALL


def test_a_mark_that_was_lost_is_written_anew(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    hauser = adopted(site)
    site.use(api, 1)
    site.sync()
    (site.save / ".sync.hauser").unlink()
    site.sync()
    assert hauser.checkpoint() == DAYS[3].stop


def test_a_window_that_hauser_had_not_finished_is_replaced_whole(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    hauser = adopted(site)
    # Killed while it copied: half a file under its final name, and the mark not moved.
    stood = hauser.checkpoint()
    assert stood is not None
    half = hauser.writes(DAYS[2].start, DAYS[2].stop, EVENTS[8:12])
    half.write_bytes(half.read_bytes()[:-75])
    hauser.marks(stood)
    site.use(api, 1)
    site.sync()
    assert site.numbers() == ALL


def test_a_backfill_into_what_hauser_loaded_is_refused(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    adopted(site)
    site.use(api, 1)
    before = [p.read_bytes() for p in site.files()]
    site.ok("backfill", "--since", "2026-05-01", "--until", "2026-05-03")
    outcome = site.run("backfill", "--replace", "--since", "2026-05-01", "--until", "2026-05-03")
    assert outcome.code == 7
    assert "whose files cannot be replaced by window" in outcome.err
    assert [p.read_bytes() for p in site.files()] == before


@pytest.mark.parametrize("generation", [1, 2])
def test_a_checkpoint_of_hauser_within_a_bundle(site: Site, serve: Serve, generation: int) -> None:
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-06")
    hauser = Hauser(site.save)
    hauser.writes(at("2026-05-01"), at("2026-05-02T17:20:30"), EVENTS[:7])
    site.use(api, generation, *(['ExportDuration = "24h"'] if generation == 2 else []))
    site.sync()
    assert site.windows()[1] == ("2026-05-02T17:20:30Z", "2026-05-03T00:00:00Z")
    assert site.numbers() == ALL
    assert hauser.checkpoint() == DAYS[3].stop


# Columns and values


def expected(**columns: str) -> dict[str, str]:
    """A row of hauser's: what is not named is an empty field."""
    return dict.fromkeys(HAUSER_COLUMNS, "") | columns


RECORDS: list[dict[str, Any]] = [
    {
        "IndvId": 5189870820212736, "UserId": 9007199254740993, "SessionId": 5320771273179136,
        "PageId": 4564805825019904, "UserCreated": "2020-08-01T12:00:00Z",
        "UserDisplayName": "User 7", "EventStart": "2020-08-27T06:20:26.9Z",
        "EventType": "navigate", "EventModDead": 0, "PageStart": "2020-08-27T06:20:26.900Z",
        "SessionStart": "2020-08-27T06:20:26.123456789Z", "PageDuration": 51439,
        "PageUrl": "https://shop.example/#/?a=1&b=2", "PageLatLong": "39.0481,-77.4728",
        "PageUserAgent": "Agent (like Gecko), 604.1", "PageNumErrors": "3",
        "EventCumulativeLayoutShift": 0.25, "LoadEventTime": 1775,
    },
    {
        "EventStart": "2020-08-27T06:20:42.178Z", "EventType": "custom",
        "EventCustomName": "Product Added", "EventTargetText": 'Say "hi"',
        "acct_tier_str": "gold", "evt_id_real": 4, "evt_price_real": 6.75,
        "evt_size_str": "9\u2033", "evt_tags_strs": ["a", "b"],
    },
    {"eventstart": "2020-08-27T08:20:43+02:00", "EVENTTYPE": "click", "ReqStatus": 201},
]  # fmt: skip

AS_HAUSER_WROTE_THEM = [
    expected(
        IndvId="5189870820212736", UserId="9007199254740993", SessionId="5320771273179136",
        PageId="4564805825019904", UserCreated="2020-08-01T12:00:00Z", UserDisplayName="User 7",
        EventStart="2020-08-27T06:20:26.9Z", EventType="navigate", EventModDead="0",
        PageStart="2020-08-27T06:20:26.9Z", SessionStart="2020-08-27T06:20:26.123456Z",
        PageDuration="51439", PageUrl="https://shop.example/#/?a=1&b=2",
        PageLatLong="39.0481,-77.4728", PageUserAgent="Agent (like Gecko), 604.1",
        PageNumErrors="3", EventCumulativeLayoutShift="0.25", LoadEventTime="1775",
        CustomVars="{}",
    ),
    expected(
        EventStart="2020-08-27T06:20:42.178Z", EventType="custom",
        EventCustomName="Product Added", EventTargetText='Say "hi"',
        CustomVars='{"acct_tier_str":"gold","evt_id_real":4,"evt_price_real":6.75,'
        '"evt_size_str":"9\u2033","evt_tags_strs":["a","b"]}',
    ),
    expected(
        EventStart="2020-08-27T06:20:43Z", EventType="click", ReqStatus="201", CustomVars="{}"
    ),
]  # fmt: skip


def loaded(site: Site, serve: Serve, records: list[dict[str, Any]]) -> MockApi:
    span = window("2020-08-27", "2020-08-28")
    api = serve(bodies={span: json.dumps(records).encode()})
    site.use(api, 1)
    site.sync()
    return api


def test_columns_and_values_are_those_of_hauser(site: Site, serve: Serve) -> None:
    loaded(site, serve, RECORDS)
    (file,) = site.files()
    assert file.name == "1598486400.csv"
    text = file.read_text()
    header = text.splitlines()[0].split(",")
    assert header[:59] == HAUSER_COLUMNS
    assert header[59:] == ["EventTargetSelectorTok", "EventDuration", "EventSecondaryDuration"]
    assert [{c: r[c] for c in HAUSER_COLUMNS} for r in site.rows()] == [
        # hauser writes a zone other than UTC as it comes; so do none of the export's times.
        *AS_HAUSER_WROTE_THEM
    ]
    # Byte for byte, but for the columns that it misses: quotes, line ends and all.
    assert text.splitlines()[3] == (
        ",,,,,,,,2020-08-27T06:20:43Z,click" + "," * 48 + "201,{}" + "," * 3
    )
    assert text.endswith("\n")
    assert "\r" not in text


def test_what_differs_from_hauser_in_values_is_what_the_readme_says(
    site: Site, serve: Serve
) -> None:
    loaded(site, serve, [{
        "EventStart": "2020-08-27T06:20:26.9Z", "EventTargetText": "two\nlines\rand\r\nmore",
        "UserEmail": "", "UserAppKey": None, "PageStart": "yesterday",
        "PageName": ["a", {"k": None}], "evt_b_str": "<&>", "evt_a_str": None,
    }])  # fmt: skip
    (row,) = site.rows()
    assert row["EventTargetText"] == "two\nlines\rand\r\nmore", "hauser makes them spaces"
    assert row["PageStart"] == "", "hauser writes year 1"
    assert row["PageName"] == '["a",{"k":null}]', "hauser writes [a map[k:<nil>]]"
    assert row["CustomVars"] == '{"PageStart":"yesterday","evt_b_str":"<&>","evt_a_str":null}', (
        "hauser sorts the keys, and escapes < > and &"
    )
    text = site.files()[0].read_text()
    assert ',,"",2020' in text, "absent and null are nothing (hauser: <nil>), an empty string is"


def test_hauser_s_word_for_a_start_and_its_empty_one(site: Site, serve: Serve) -> None:
    """`StartTime = ""` is allowed in its files: 30 days back."""
    api = serve(bodies=bodies(DAYS, EVENTS))
    site.at("2026-05-31T06:00")
    text = GENERATION_2_FILE.format(token=api.token, url=api.segments_url, more="")
    site.configure(text.replace("2026-05-01T00:00:00Z", '""'))
    site.sync("--max-bundles", "4")
    assert site.numbers() == ALL
