"""Whatever dies in the middle of a load on Redshift, a rerun brings it there once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import DestinationUnavailable, LedgerMoved
from hauserpy.ledger import Ledger
from hauserpy.model import Staged
from tests.destinations.redshift_world import (
    NOW,
    PASSWORD,
    World,
    events,
    expected_texts,
    window,
)
from tests.standins.redshift import ROLE, Fault, RedshiftStandin, SqlError
from tests.standins.s3 import Tap, TapFault

# Where a load can be hit: (statement, before, during or after it).
STATEMENTS = [
    ("BEGIN", "before"),
    ("LOCK", "before"),
    ("LOCK", "after"),
    ("DELETE FROM .*fsexport", "after"),
    ("COPY", "before"),
    ("COPY", "during"),
    ("COPY", "after"),
    ("INSERT INTO .*fssync_ledger", "before"),
    ("INSERT INTO .*fssync_ledger", "after"),
    ("COMMIT", "before"),
    ("COMMIT", "after"),
]
KILLED = [s for s in STATEMENTS if s[0] in ("LOCK", "COPY", "COMMIT")] + [
    ("INSERT INTO .*fssync_ledger", "after"),
    (r"PUT \S+part-0001", "before"),
    (r"PUT \S+manifest", "after"),
    (r"POST \S+\?delete", "before"),
]
REQUESTS = [
    (r"PUT \S+part-0001", "before"),
    (r"PUT \S+part-0001", "after"),
    (r"PUT \S+manifest", "before"),
    (r"PUT \S+manifest", "after"),
    (r"POST \S+\?delete", "before"),
    (r"POST \S+\?delete", "after"),
]


@pytest.fixture
def tap(world: World) -> Iterator[Tap]:
    with Tap(world.s3.endpoint) as made:
        yield made


@pytest.mark.parametrize(("pattern", "when"), STATEMENTS)
def test_a_dropped_connection_is_taken_up_again(world: World, pattern: str, when: Any) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.standin.faults.add(Fault(pattern, when=when, action="drop"))
    stored = world.load(destination, layout, 1)
    world.load(destination, layout, 1, events(1), kind=EntryKind.BACKFILL)
    assert world.texts() == expected_texts(0, 1)
    assert world.ledger().checkpoint == window(1).stop
    assert stored.window == window(1)
    assert world.slept == [1.0]
    assert world.objects() == []


@pytest.mark.parametrize(("pattern", "when"), REQUESTS)
def test_a_dropped_upload_is_taken_up_again(
    world: World, tap: Tap, pattern: str, when: Any
) -> None:
    destination, layout = world.ready(world.settings({"endpoint": tap.endpoint}))
    fault = tap.add(TapFault(pattern, when=when, action="drop"))
    world.load(destination, layout, 0)
    assert fault.reached.is_set()
    assert world.texts() == expected_texts(0)
    assert world.objects() == []


@pytest.mark.parametrize(("pattern", "when"), KILLED)
def test_after_a_kill_9_a_rerun_loads_it_once(
    world: World, tap: Tap, pattern: str, when: Any, killed_at: Callable[..., None]
) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    staged = world.staged(layout, window(1), events(1))
    entry = world.entry(window(1), staged)
    fault: Any
    if pattern.startswith(("PUT", "POST")):
        fault = tap.add(TapFault(pattern, when=when))
    else:
        fault = world.standin.faults.add(Fault(pattern, when=when, action="hold"))
    killed_at(fault, entry, staged, tap.endpoint)

    committed = (pattern, when) == ("COMMIT", "after") or pattern.startswith("POST")
    after_kill, layout = world.ready()
    ledger = after_kill.ledger()
    assert [e.load for e in ledger.overlapping(window(1))] == ([entry.load] if committed else [])
    assert world.texts() == (expected_texts(0, 1) if committed else expected_texts(0))
    if not committed:
        world.load(after_kill, layout, 1)
    assert world.texts() == expected_texts(0, 1)
    assert world.ledger().checkpoint == window(1).stop
    assert world.objects() == []


@pytest.fixture
def killed_at(world: World) -> Callable[..., None]:
    """Starts a process that loads, waits until it has come to the fault, and kills it."""

    def run(fault: Any, entry: LedgerEntry, staged: Staged, endpoint: str) -> None:
        orders = {
            "password": PASSWORD,
            "redshift": {
                "host": world.standin.host,
                "port": world.standin.port,
                "db": world.standin.database,
                "user": "hauser",
                "iam_role": ROLE,
                "ssl_mode": "disable",
            },
            "s3": {
                "bucket": f"{world.bucket}/in here",
                "region": "us-east-1",
                "endpoint": endpoint,
            },
            "entry": entry.to_json(),
            "parts": [
                {"path": str(p.path), "size": p.size, "records": p.records, "crc32": p.crc32}
                for p in staged.parts
            ],
            "expected": [],
            "checkpoint": entry.window.stop.isoformat(),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.destinations.redshift_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **world.s3.environ},
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(orders).encode())
        process.stdin.close()
        assert fault.reached.wait(60)
        process.kill()
        process.wait(30)
        told = process.stdout.read()
        process.stdout.close()
        # The stand-in notices that its client is gone; the next LOCK waits until it has.
        assert told == b""

    return run


@pytest.mark.parametrize(
    "error",
    [
        SqlError("XX000", "1023 DETAIL: Serializable isolation violation on table - 100123"),
        SqlError("40001", "could not serialize access due to concurrent update"),
        SqlError("57014", "canceling statement due to statement timeout"),
        SqlError("53300", "too many connections"),
        SqlError("XX000", "Query (1) cancelled by WLM abort action of Query Monitoring Rule"),
    ],
)
def test_what_passes_is_tried_again(world: World, error: SqlError) -> None:
    destination, layout = world.ready()
    world.standin.faults.add(Fault("COPY", action="error", error=error, times=3))
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)
    assert world.slept == [1.0, 2.0, 4.0]


def test_what_does_not_pass_is_exit_4_and_nothing_is_loaded(world: World) -> None:
    destination, layout = world.ready()
    error = SqlError("XX000", "1023 DETAIL: Serializable isolation violation on table - 100123")
    world.standin.faults.add(Fault("COMMIT", action="error", error=error, times=100))
    with pytest.raises(DestinationUnavailable, match=r"1023.*tried 6 times") as raised:
        world.load(destination, layout, 0)
    assert raised.value.exit_code == 4
    assert sum(world.slept) < 60
    world.standin.faults.clear()
    assert world.ledger() == Ledger() and world.texts() == [] and world.objects() == []


def test_a_cluster_that_restarts_is_reached_again(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    world.standin.hang_up()
    world.load(destination, layout, 1)
    assert world.texts() == expected_texts(0, 1)


def test_a_server_that_falls_silent_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hauserpy.destinations.redshift.connection._GRACE_SECONDS", 0.2)
    world.ready()
    destination = world.destination(statement_timeout=timedelta(seconds=0.1))
    world.standin.faults.add(Fault("SELECT max", action="hold", times=100))
    with pytest.raises(DestinationUnavailable, match="no answer"):
        destination.ledger()
    assert world.slept == [], "an hour for nothing is enough"


def test_a_lock_that_another_holds_for_an_hour_is_not_waited_for_again(world: World) -> None:
    world.ready()
    destination, layout = world.ready(statement_timeout=timedelta(seconds=0.5))
    world.standin.sql("BEGIN")
    world.standin.sql("LOCK TABLE fssync_lock")
    try:
        with pytest.raises(DestinationUnavailable, match=r"timeout.*SVV_TRANSACTIONS") as raised:
            world.load(destination, layout, 0)
    finally:
        world.standin.sql("ROLLBACK")
    assert raised.value.exit_code == 4 and world.slept == []
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)


def test_after_five_idle_minutes_there_is_a_fresh_login(world: World) -> None:
    now = NOW
    destination = world.destination(clock=lambda: now)

    def logins() -> int:
        return sum(s.startswith("SET statement_timeout") for s in world.standin.log)

    for minutes, expected in ((0, 1), (4, 1), (8, 1), (14, 2), (18, 2)):
        now = NOW + timedelta(minutes=minutes)
        destination.ledger()
        assert logins() == expected


def test_the_ledger_can_be_read_while_a_load_is_under_way(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    fault = world.standin.faults.add(Fault("COPY", when="during", action="hold"))
    thread = threading.Thread(target=world.load, args=(destination, layout, 1))
    thread.start()
    assert fault.reached.wait(30)
    ledger = world.ledger()
    assert ledger.checkpoint == window(0).stop and len(ledger.entries) == 1
    fault.release()
    thread.join(30)
    assert world.ledger().checkpoint == window(1).stop


@pytest.mark.parametrize("isolation", ["snapshot", "serializable"])
def test_two_syncs_and_a_backfill_at_once_load_each_window_once(
    world: World,
    redshift: Callable[..., RedshiftStandin],
    together: Callable[[list[Callable[[], object]]], list[object]],
    isolation: str,
) -> None:
    world.standin = redshift(isolation=isolation)
    world.ready()
    numbers = range(4)

    def sync(tag: str) -> None:
        destination, layout = world.ready()
        for number in numbers:
            while not destination.ledger().overlapping(window(number)):
                try:
                    records = events(number, tag=tag)
                    world.load(destination, layout, number, records, expected=frozenset())
                except LedgerMoved:
                    continue

    def backfill() -> None:
        destination, layout = world.ready()
        for number in reversed(numbers):
            while True:
                try:
                    world.load(
                        destination, layout, number, events(number, tag="r"),
                        kind=EntryKind.BACKFILL,
                    )  # fmt: skip
                except LedgerMoved:
                    continue
                break

    together([lambda: sync("a"), lambda: sync("b"), backfill])
    assert world.texts() == expected_texts(*numbers, tag="r")
    ledger = world.ledger()
    assert [e.window for e in ledger.entries] == [window(n) for n in numbers]
    assert world.objects() == []
    stops = [stop for _, stop in world.sync_rows()]
    assert stops == sorted(set(stops))
