"""Both generations of the export API, from the command line to the files: the same rows, each once,
whatever fails on the way and however windows are cut."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections import Counter
from datetime import datetime, timedelta

import pytest

from hauserpy.mockapi import MockApi
from hauserpy.model import rfc3339
from tests.cli.site import Serve, Site, at, bodies, event, window

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAYS = [window("2026-05-01", "2026-05-02"), window("2026-05-02", "2026-05-03")]
EVENTS = [
    event(at("2026-05-01") + n * 30 * MINUTE + timedelta(milliseconds=n), n) for n in range(96)
]
"""Two days of events half an hour apart, numbered from 0 on."""
TWO_DAYS = bodies(DAYS, EVENTS)
ALL = list(range(96))


def times(text: str, *clock: str) -> list[tuple[str, str]]:
    """Windows that follow one another on a day, as the ledger writes them."""
    moments = [rfc3339(at(f"{text}T{c}")) for c in clock]
    return list(itertools.pairwise(moments))


def spans_asked_for(api: MockApi) -> list[tuple[str, str]]:
    """The time ranges of the exports that were created, in order."""
    asked = [json.loads(r.body)["timeRange"] for r in api.requests_to("create")]
    return [(a["start"], a["end"]) for a in asked]


# The same rows


def test_the_same_events_give_the_same_rows_through_both_generations(
    site: Site, serve: Serve
) -> None:
    # Synthetic events have all that is known to be served, `acct_…` without a prefix among it,
    # which the wildcards of generation 2 do not select.
    api = serve(bundles=3, events=300, start_time=at("2026-05-01"))
    found = []
    for generation, folder in ((1, "one"), (2, "two")):
        site.save = site.folder / folder
        daily = ['ExportDuration = "24h"'] if generation == 2 else []
        site.use(api, generation, *daily, start="2026-05-01")
        # Generation 2 would go on with the empty days up to now.
        assert site.sync("--max-bundles", "3")["records"] == 900
        found.append(site.rows())
    one, two = found
    assert len(one) == len(two) == 900
    prefixes = ("user_", "evt_", "page_")
    assert any(not k.startswith(prefixes) for r in one for k in json.loads(r["CustomVars"]))
    for row in one:
        assert row.pop("PageUserAgent"), "generation 1 calls it PageAgent"
        kept = {k: v for k, v in json.loads(row["CustomVars"]).items() if k.startswith(prefixes)}
        row["CustomVars"] = kept
        row["EventTargetSelectorTok"] = ""
    for row in two:
        assert row.pop("PageUserAgent")
        row["CustomVars"] = json.loads(row["CustomVars"])
    assert one == two


def test_the_user_agent_is_one_column_in_both(site: Site, serve: Serve) -> None:
    api = serve(bodies=bodies(DAYS[:1], [{**EVENTS[3], "PageAgent": "Lynx/2.9"}]))
    site.at("2026-05-03T00:00")
    site.use(api, 1)
    site.sync()
    first = site.rows()
    site.save = site.folder / "two"
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    site.sync()
    assert [r["PageUserAgent"] for r in first] == ["Lynx/2.9"]
    assert site.rows() == first


def test_fields_are_asked_for_by_name_with_mobile_ones_when_configured(
    site: Site, serve: Serve
) -> None:
    mobile = {**EVENTS[0], "AppName": "Fruit", "EventMobileSourceFile": "Main.kt"}
    api = serve(bodies=bodies(DAYS[:1], [mobile]))
    site.at("2026-05-03T00:00")
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    site.sync()
    site.save = site.folder / "with"
    site.use(api, 2, 'ExportDuration = "24h"', "IncludeMobileAppsFields = true", start="2026-05-01")
    site.sync()
    (row,) = site.rows()
    assert (row["AppName"], row["EventMobileSourceFile"]) == ("Fruit", "Main.kt")
    without, with_ = (json.loads(r.body) for r in api.requests_to("create"))
    assert set(with_["fields"]) - set(without["fields"]) >= {"AppName", "EventMobileSourceFile"}
    for asked in (without, with_):
        assert {"EventStart", "PageUserAgent", "user_*", "evt_*", "page_*"} <= set(asked["fields"])
        assert not {"CustomVars", "EventTargetSelectorTok", "PageAgent"} & set(asked["fields"])
        assert asked["segmentTimeRange"] == {"start": "", "end": ""}


# Faults

ONE_FAULT_EACH_1 = ["list:500", "list:html", "get:429", "get[1]:cut@50%", "get[2]:503", "get[2]:hang@40%"]  # fmt: skip
ONE_FAULT_EACH_2 = [
    "create:429", "create:500", "create[2]:failed", "poll:503", "poll:unknown-state",
    "locate:500", "locate:expired", "download[1]:cut@40%", "download[2]:hang@40%", "download:500",
]  # fmt: skip


@pytest.mark.parametrize(
    "encoding", ["gzip", "content-encoding", "plain"], ids=["raw gzip", "encoded", "gunzipped"]
)
def test_generation_1_loads_all_once_though_everything_fails_once(
    site: Site, serve: Serve, encoding: str
) -> None:
    api = serve(bodies=TWO_DAYS, faults=ONE_FAULT_EACH_1, encoding=encoding)
    site.use(api, 1, 'Backoff = "1ms"', 'ReadTimeout = "300ms"')
    told = site.sync()
    assert (told["bundles"], told["records"]) == (2, 96)
    assert site.numbers() == ALL
    assert api.faults.pending() == []


def test_generation_2_loads_all_once_though_everything_fails_once(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS, faults=ONE_FAULT_EACH_2)
    site.at("2026-05-04T00:00")
    site.use(
        api, 2, 'Backoff = "1ms"', 'ReadTimeout = "300ms"', 'ExportDuration = "24h"',
        start="2026-05-01",
    )  # fmt: skip
    told = site.sync()
    assert (told["bundles"], told["records"]) == (2, 96)
    assert site.numbers() == ALL
    assert api.faults.pending() == []
    # One for each window, and one for that which failed: no download that broke off, no location
    # that was stale and no poll that went wrong has the API export anything again.
    assert len(api.operations) == 3
    assert [o.number for o in api.operations if o.fails] == [2]


@pytest.mark.parametrize("endpoint", ["create", "poll", "locate", "download"])
@pytest.mark.parametrize("kind", ["429", "500", "hang", "reset", "html"])
def test_each_endpoint_may_fail_in_each_way(
    site: Site, serve: Serve, endpoint: str, kind: str
) -> None:
    api = serve(bodies=TWO_DAYS, faults=[f"{endpoint}:{kind}"])
    site.at("2026-05-03T00:00")
    site.use(
        api, 2, 'Backoff = "1ms"', 'ReadTimeout = "200ms"', 'ExportDuration = "24h"',
        start="2026-05-01",
    )  # fmt: skip
    site.sync()
    assert site.numbers() == ALL[:48]
    assert api.faults.pending() == []


@pytest.mark.parametrize("generation", [1, 2])
def test_a_bundle_that_is_corrupt_is_fetched_once_more(
    site: Site, serve: Serve, generation: int
) -> None:
    download = "get" if generation == 1 else "download"
    api = serve(bodies=TWO_DAYS, faults=[f"{download}[1]:html:*"])
    site.at("2026-05-04T00:00")
    site.use(api, generation, 'Backoff = "1ms"', 'ExportDuration = "24h"', start="2026-05-01")
    outcome = site.run("sync")
    assert outcome.code == 6
    assert outcome.err.count("Fetching it anew") == 1
    assert site.files() == []
    api.faults.clear()
    api.faults.add(f"{download}[1]:html")
    site.sync()
    assert site.numbers() == ALL


def test_an_export_that_keeps_failing_is_created_three_times_and_shows_why(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS, faults=["create[1]:failed:*"])
    site.at("2026-05-03T00:00")
    site.use(api, 2, 'Backoff = "1ms"', 'ExportDuration = "24h"', start="2026-05-01")
    outcome = site.run("sync")
    assert outcome.code == 4
    assert "the search ran out of memory" in outcome.err
    assert "hauserpy skip --since 2026-05-01T00:00:00Z --until 2026-05-02T00:00:00Z" in outcome.err
    assert len(api.operations) == 3
    assert site.files() == []


def test_an_export_that_is_not_ready_in_time_exits_4_says_so_and_is_cancelled(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS, polls=10**9)
    site.at("2026-05-03T00:00")
    site.use(
        api, 2, 'PollTimeout = "100ms"', 'ExportDuration = "24h"', start="2026-05-01"
    )  # fmt: skip
    outcome = site.run("sync")
    assert outcome.code == 4
    assert "not ready after 100 ms (PollTimeout)" in outcome.err
    assert "raise PollTimeout or shorten ExportDuration" in outcome.err
    assert [o.state for o in api.operations] == ["CANCELED"]
    assert site.files() == []


def test_an_export_that_cannot_be_had_is_given_up_and_sync_goes_on(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS, faults=["create[1]:failed:*"])
    site.at("2026-05-04T00:00")
    site.use(api, 2, 'Backoff = "1ms"', 'ExportDuration = "24h"', start="2026-05-01")
    assert site.run("sync").code == 4
    # Not the whole of it: what can be had is loaded in smaller windows.
    span = ["--since", "2026-05-01T06:00:00Z", "--until", "2026-05-01T09:00:00Z"]
    site.ok("skip", *span, "--reason", "the search runs out of memory")
    assert site.sync()["bundles"] == 3
    assert site.windows() == [
        *times("2026-05-01", "00:00", "06:00", "09:00"),
        ("2026-05-01T09:00:00Z", "2026-05-02T00:00:00Z"),
        ("2026-05-02T00:00:00Z", "2026-05-03T00:00:00Z"),
    ]
    assert site.numbers() == [n for n in ALL if not 12 <= n < 18]


def test_a_failure_cancels_the_exports_that_nobody_will_fetch(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS, faults=["download[1]:crc:*", "create[2]:slow-operation=1000000"])
    site.at("2026-05-04T00:00")
    site.use(api, 2, 'Backoff = "1ms"', 'ExportDuration = "24h"', start="2026-05-01")
    outcome = site.run("sync")
    assert outcome.code == 6
    assert "bundle 1777593600-1777680000 (2026-05-01T00:00:00Z" in outcome.err
    assert [o.state for o in api.operations] == ["COMPLETED", "CANCELED"]
    assert site.files() == []


def test_no_more_is_exported_than_is_wanted(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-04T00:00")
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    before = site.tree()
    dry = site.ok("sync", "--dry-run")
    assert dry.out.splitlines()[:2] == [
        "would load 1777593600-1777680000 (2026-05-01T00:00:00Z – 2026-05-02T00:00:00Z)",
        "would load 1777680000-1777766400 (2026-05-02T00:00:00Z – 2026-05-03T00:00:00Z)",
    ]
    assert site.tree() == before
    assert api.requests == []
    site.sync("--max-bundles", "1")
    assert len(api.operations) == 1


# The token


@pytest.mark.parametrize("generation", [1, 2])
def test_the_token_is_seen_by_the_api_s_host_only(
    site: Site, serve: Serve, generation: int
) -> None:
    faults = {
        1: ["list:redirect", "get:redirect", "get:cut@50%"],
        2: ["poll:redirect", "locate:redirect", "locate:expired", "download:cut@50%"],
    }
    api = serve(bodies=TWO_DAYS, faults=faults[generation], token="na1.very-secret")
    site.at("2026-05-04T00:00")
    site.use(
        api, generation, 'Backoff = "1ms"',
        'AdditionalHttpHeader = [{Key = "X-Gateway", Value = "gateway-secret"}]',
        *(['ExportDuration = "24h"'] if generation == 2 else []),
        start="2026-05-01",
    )  # fmt: skip
    outcome = site.ok("sync", "-v")
    assert site.numbers() == ALL
    assert api.faults.pending() == []
    for request in api.requests:
        bearing = "very-secret" in str(request.headers) or "gateway-secret" in str(request.headers)
        assert bearing == (request.server == "api"), request
        assert "secret" not in request.raw_target
    # Where the location was stale, the other host did not look what it was asked for.
    elsewhere = {r.endpoint for r in api.requests if r.server == "storage"} - {""}
    assert elsewhere == ({"list", "get"} if generation == 1 else {"poll", "locate", "download"})
    said = outcome.out + outcome.err
    assert "secret" not in said
    assert "signature=" not in said


# Windows


def test_from_a_checkpoint_at_10_20_the_next_window_ends_at_11_then_come_whole_hours(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-02T13:59")
    site.use(api, 2, start="2026-05-01T10:20")
    site.sync()
    expected = times("2026-05-01", "10:20", "11:00", "12:00", "13:00")
    assert site.windows() == expected
    assert spans_asked_for(api) == expected
    assert site.numbers() == [21, 22, 23, 24, 25]


@pytest.mark.parametrize(
    ("first", "second", "cut"),
    [
        ("1h", "6h", ["10:00", "12:00"]),
        ("6h", "1h", ["6:00", "7:00", "8:00", "9:00", "10:00", "11:00", "12:00"]),
        ("15m", "24h", []),
    ],
)  # fmt: skip
def test_export_duration_may_change_in_between(
    site: Site, serve: Serve, first: str, second: str, cut: list[str]
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-02T10:59")
    site.use(api, 2, f'ExportDuration = "{first}"', start="2026-05-01")
    site.sync()
    before = site.windows()
    assert before[-1][1] == rfc3339(at(f"2026-05-01T{'06:00' if first == '6h' else '10:45' if first == '15m' else '10:00'}"))  # fmt: skip
    site.at("2026-05-02T12:59")
    site.use(api, 2, f'ExportDuration = "{second}"', start="2026-05-01")
    site.sync()
    assert site.windows() == before + times("2026-05-01", *(f"{c:0>5}" for c in cut))
    site.at("2026-05-04T00:00")
    site.sync()
    assert site.numbers() == ALL
    assert site.ok("status", "--json").json["gaps"] == []


def test_the_newest_window_ends_at_or_before_now_less_export_delay(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.use(api, 2, 'ExportDelay = "2h"', start="2026-05-01T07:00")
    site.at("2026-05-01T10:59:59.999999")
    site.sync()
    assert site.windows()[-1][1] == "2026-05-01T08:00:00Z"
    site.at("2026-05-01T11:00")
    site.sync()
    assert site.windows()[-1][1] == "2026-05-01T09:00:00Z"


@pytest.mark.parametrize("generation", [1, 2])
def test_with_nothing_due_it_exits_0_and_asks_for_no_export(
    site: Site, serve: Serve, generation: int
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-04T00:30")
    daily = ['ExportDuration = "24h"'] if generation == 2 else []
    site.use(api, generation, *daily, start="2026-05-01")
    site.sync()
    api.forget_requests()
    before = site.tree()
    outcome = site.ok("sync")
    assert "nothing was due" in outcome.out
    assert "checkpoint 2026-05-03T00:00:00Z, 1 d behind now" in outcome.out
    assert api.requests_to("create", "get", "download") == []
    assert site.tree() == before


@pytest.mark.parametrize("fails", [False, True], ids=["loads", "fails first"])
def test_the_default_start_is_30_days_back_and_kept_from_the_first_run_on(
    site: Site, serve: Serve, fails: bool
) -> None:
    site.at("2026-05-31T06:00")
    api = serve(bodies=TWO_DAYS, faults=["create:401:*"] if fails else [])
    site.use(api, 2, 'ExportDuration = "24h"')
    assert site.run("sync", "--max-bundles", "1").code == (5 if fails else 0)
    api.faults.clear()
    # Days later, after a long outage: "30 days back" would leave the first days of May out.
    site.at("2026-06-10T06:00")
    site.sync("--max-bundles", "2")
    assert site.windows()[0][0] == "2026-05-01T00:00:00Z"
    assert site.numbers() == ALL


def test_a_start_time_that_is_set_after_a_first_failure_counts(site: Site, serve: Serve) -> None:
    site.at("2026-05-31T06:00")
    api = serve(bodies=TWO_DAYS, faults=["create:401:*"])
    site.use(api, 2, start="2026-05-20")
    assert site.run("sync").code == 5
    api.faults.clear()
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    site.sync()
    assert site.numbers() == ALL


def test_a_start_time_before_all_that_is_loaded_is_told_with_what_to_do(
    site: Site, serve: Serve
) -> None:
    site.at("2026-05-31T06:00")
    api = serve(bodies=TWO_DAYS)
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-02")
    outcome = site.ok("sync")
    assert "backfill" not in outcome.err
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    outcome = site.ok("sync")
    assert "hauserpy backfill --since 2026-05-01T00:00:00Z --until 2026-05-02T00:00:00Z" in (
        outcome.err
    )
    site.ok("backfill", "--since", "2026-05-01T00:00:00Z", "--until", "2026-05-02T00:00:00Z")
    assert site.numbers() == ALL
    assert "backfill" not in site.ok("sync").err


# From one generation to the other


def test_a_move_from_generation_1_to_2_and_back_loses_and_doubles_nothing(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-03T00:00")
    site.use(api, 1)
    site.sync()
    assert site.numbers() == ALL[:48]
    # Generation 2 goes on in the middle of what will be generation 1's next bundle.
    site.at("2026-05-03T10:30")
    site.use(api, 2)
    assert site.sync()["bundles"] == 10
    assert site.numbers() == ALL[:68]
    # Generation 1 then offers the whole day: what is not loaded of it is taken.
    site.at("2026-05-04T01:00")
    site.use(api, 1)
    told = site.sync()
    assert [(e["start"], e["stop"]) for e in told["loaded"]] == [
        ("2026-05-02T10:00:00Z", "2026-05-03T00:00:00Z")
    ]
    assert told["changes"] == {"clipped": {"EventStart": 20}}
    assert site.numbers() == ALL
    site.use(api, 2)
    site.sync()
    assert site.numbers() == ALL
    assert site.ok("status", "--json").json["gaps"] == []


def test_generation_1_loads_what_lies_around_a_window_that_is_no_bundle(
    site: Site, serve: Serve
) -> None:
    # A record that does not say when it was comes with the first piece of its bundle, once.
    timeless = {"EventType": "custom", "evt_number_int": 500}
    api = serve(bodies={**TWO_DAYS, DAYS[0]: json.dumps([*EVENTS[:48], timeless]).encode()})
    site.at("2026-05-04T00:00")
    site.use(api, 2)
    site.ok("backfill", "--since", "2026-05-01T03:15:30.5Z", "--until", "2026-05-01T05:40:20.25Z")
    assert site.numbers() == [7, 8, 9, 10, 11]
    site.use(api, 1)
    site.sync()
    assert site.numbers() == [*ALL, 500]
    assert site.ok("status", "--json").json["gaps"] == []


# Backfill in generation 2


def test_backfill_loads_an_unaligned_span_and_its_aligned_inside(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-04T00:00")
    site.use(api, 2)
    site.ok("backfill", "--since", "2026-05-01T03:10:00Z", "--until", "2026-05-01T05:40:00Z")
    assert site.windows() == times("2026-05-01", "03:10", "04:00", "05:00", "05:40")
    assert site.numbers() == [7, 8, 9, 10, 11]
    assert site.ledger()["checkpoint"] is None
    site.ok("backfill", "--since", "2026-05-01T03:10:00Z", "--until", "2026-05-01T05:40:00Z")
    assert len(api.operations) == 3, "what is loaded is not exported again"


def test_backfill_replace_exports_loaded_windows_anew_as_they_are(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-02T05:00")
    site.use(api, 2, 'ExportDuration = "2h"', start="2026-05-01")
    site.sync()
    site.use(api, 2, 'ExportDuration = "1h"', start="2026-05-01")
    site.at("2026-05-04T00:00")
    # Late events came since: the API gives more now.
    api.add(DAYS[0], json.dumps([*EVENTS[:48], event(at("2026-05-01T03:59"), 1000)]).encode())
    told = site.ok(
        "backfill", "--json", "--replace",
        "--since", "2026-05-01T03:30:00Z", "--until", "2026-05-01T06:15:00Z",
    ).json  # fmt: skip
    # 02:00–04:00 was loaded so, and comes whole, since a part of it cannot be replaced.
    assert [(e["start"], e["stop"]) for e in told["loaded"]] == times(
        "2026-05-01", "02:00", "04:00", "05:00", "06:00", "06:15"
    )
    assert site.numbers() == [*ALL[:13], 1000]
    assert site.ledger()["checkpoint"] == "2026-05-01T04:00:00Z"
    site.sync()
    assert site.numbers() == [*ALL, 1000]


def test_a_sync_moves_over_what_a_backfill_loaded_and_fills_the_gap_before_it(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-04T00:00")
    site.use(api, 2, 'ExportDuration = "6h"', start="2026-05-01")
    site.ok("backfill", "--since", "2026-05-01T08:00:00Z", "--until", "2026-05-02T07:00:00Z")
    site.sync()
    assert site.windows()[:3] == times("2026-05-01", "00:00", "06:00", "08:00", "12:00")
    assert site.numbers() == ALL
    assert site.ledger()["checkpoint"] == "2026-05-03T00:00:00Z"


# Overlap and interruption


def test_the_next_export_is_made_while_one_loads_and_no_more_than_two_are_outstanding(
    site: Site, serve: Serve
) -> None:
    api = serve(bodies=TWO_DAYS, polls=2)
    site.at("2026-05-02T12:00")
    site.use(api, 2, start="2026-05-01")
    assert site.sync()["bundles"] == 12
    seen = [r.endpoint for r in api.requests]
    outstanding, most = 0, 0
    for endpoint in seen:
        # A location is asked for once for each export, when it is ready.
        outstanding += {"create": 1, "locate": -1}.get(endpoint, 0)
        most = max(most, outstanding)
    assert most == 2
    assert len(api.operations) == 12
    # Every export but the first was asked for before the one in front of it was downloaded.
    order = [e for e in seen if e in ("create", "download")]
    created = [i for i, e in enumerate(order) if e == "create"]
    fetched = [i for i, e in enumerate(order) if e == "download"]
    assert all(asked < came for asked, came in zip(created[1:], fetched, strict=False))


def _wait_for(api: MockApi, endpoint: str, process: subprocess.Popen[str]) -> None:
    """Until the process has asked for that; it must not end before."""
    while not api.requests_to(endpoint):
        assert process.poll() is None, process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_outstanding_exports_and_leaves_nothing_by_half(
    site: Site, number: signal.Signals, code: int
) -> None:
    # A process has the machine's clock.
    with MockApi(bodies=TWO_DAYS, polls=10**9) as api:
        site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
        process = site.start("sync")
        try:
            _wait_for(api, "poll", process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == code, err
        assert "nothing is half-loaded" in err
        assert out == ""
        assert api.operations
        assert {o.state for o in api.operations} == {"CANCELED"}
        assert site.files() == []
        assert list(site.tmp.iterdir()) == []
        assert "Traceback" not in err
    # Run again, it goes on.
    with MockApi(bodies=TWO_DAYS, polls=0) as api:
        site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
        process = site.start("sync", "--max-bundles", "2")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert site.numbers() == ALL


def test_a_signal_ends_a_download_that_hangs_and_what_was_loaded_stays(site: Site) -> None:
    with MockApi(bodies=TWO_DAYS, polls=0, faults=["download[2]:hang@50%"]) as api:
        site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
        process = site.start("sync", "--json")
        try:
            while not site.windows() if (site.save / ".hauserpy/ledger.json").exists() else True:
                assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130, err
        told = json.loads(out)
        assert (told["ok"], told["bundles"], told["error"]["kind"]) == (False, 1, "Interrupted")
        assert site.numbers() == ALL[:48]
        assert site.ledger()["checkpoint"] == "2026-05-02T00:00:00Z"


def test_rows_are_counted_by_hour_as_they_were_served(site: Site, serve: Serve) -> None:
    """Every window's file holds the events of that window and no other."""
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-03T00:00")
    site.use(api, 2, 'ExportDuration = "3h"', start="2026-05-01")
    site.sync()
    for entry, path in zip(site.ledger()["entries"], site.files(), strict=True):
        assert entry["files"][0]["name"] == path.name
        assert entry["records"] == 6
    by_hour = Counter(datetime.fromisoformat(r["EventStart"]).hour for r in site.rows())
    assert by_hour == dict.fromkeys(range(24), 2)
