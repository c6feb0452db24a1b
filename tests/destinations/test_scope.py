"""Two configurations at one ledger: each would take the other's windows for loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import ExportApi, Settings
from hauserpy.destinations import Destination, scope
from hauserpy.destinations.files import LEDGER
from hauserpy.destinations.gcs import Gcs
from hauserpy.destinations.local import Local
from hauserpy.destinations.objects.destination import Objects
from hauserpy.destinations.s3 import S3
from hauserpy.entries import EntryKind
from hauserpy.errors import ConfigError, LedgerUnreadable
from hauserpy.fields import catalogue
from hauserpy.layout import Compression, StageFormat
from tests.destinations import bigquery_backing, object_backing, redshift_backing
from tests.destinations.bundles import Run, entry_for, events, hour
from tests.destinations.local_backing import LocalBacking
from tests.destinations.makers import NOW


@dataclass
class Store:
    """One place for a ledger, which is opened with whatever settings."""

    settings: Settings
    open: Callable[[Settings], Destination]
    backing: Any
    own: str
    """The key beside SegmentId by which configurations are told apart."""
    mend: Callable[[str], None]
    """Does what a message says."""
    spoil: Callable[[], None]

    def other(self, key: str) -> Settings:
        given = self.settings
        match key:
            case "SegmentId":
                return replace(given, export_api=ExportApi.SEGMENTS, segment_id="vip")
            case "FilePrefix":
                return replace(given, file_prefix="other_")
        section = "redshift" if given.redshift.host else "bigquery"
        return replace(given, **{section: replace(getattr(given, section), export_table="other")})

    def second(self) -> Destination:
        return self.open(self.other(self.own))


def _local(request: pytest.FixtureRequest, folder: Path) -> Store:
    backing = LocalBacking(folder, StageFormat.CSV, Compression.NONE)
    ledger = folder / LEDGER

    def edit(change: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads(ledger.read_bytes())
        change(document)
        ledger.write_text(json.dumps(document))

    return Store(
        backing.settings, lambda s: Local(s, clock=lambda: NOW), backing, "FilePrefix",
        lambda _: edit(lambda d: d.pop("scope")), lambda: edit(lambda d: d.update(scope=7)),
    )  # fmt: skip


def _objects(kind: str) -> Callable[[pytest.FixtureRequest, Path], Store]:
    def make(request: pytest.FixtureRequest, folder: Path) -> Store:
        backing = object_backing.IN_THE_ROOT[kind](request, folder)

        def open_(settings: Settings) -> Destination:
            made = (S3 if kind == "s3" else Gcs)(settings, clock=lambda: NOW, sleep=lambda _: None)
            backing.opened.append(made)
            return made

        def edit(change: Callable[[dict[str, Any]], object]) -> None:
            document = json.loads(backing.bucket.get(LEDGER))
            change(document)
            backing.bucket.put(LEDGER, json.dumps(document).encode())

        return Store(
            backing.settings(), open_, backing, "FilePrefix",
            lambda _: edit(lambda d: d.pop("scope")), lambda: edit(lambda d: d.update(scope=7)),
        )  # fmt: skip

    return make


def _redshift(request: pytest.FixtureRequest, folder: Path) -> Store:
    backing = redshift_backing.snapshot(request, folder)
    sql = backing.world.standin.sql
    return Store(
        backing.settings, backing.world.destination, backing, "ExportTable",
        lambda told: sql(_statement(told)) and None,
        lambda: sql("UPDATE fssync_ledger SET reason = 'x' WHERE kind = 'scope'") and None,
    )  # fmt: skip


def _bigquery(request: pytest.FixtureRequest, folder: Path) -> Store:
    backing = bigquery_backing.direct(request, folder)
    sql = backing.world.sql
    return Store(
        backing.settings, backing.world.destination, backing, "ExportTable",
        lambda told: sql(_statement(told)) and None,
        lambda: sql("UPDATE fs_sync_lock SET Scope = 'x' WHERE TRUE") and None,
    )  # fmt: skip


def _statement(told: str) -> str:
    """The SQL that a message advises."""
    found = re.search(r"(UPDATE|DELETE) .*(?=;)", told)
    assert found is not None, told
    return found[0]


STORES = {
    "local": _local,
    "s3": _objects("s3"),
    "gcs": _objects("gcs"),
    "redshift": _redshift,
    "bigquery": _bigquery,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](request, tmp_path / "store")


def _texts(store: Store) -> list[str | None]:
    return sorted((row["EventTargetText"] for row in store.backing.rows()), key=str)


def _refused(destination: Destination) -> str:
    with pytest.raises(ConfigError) as raised:
        destination.ledger()
    with pytest.raises(ConfigError):
        destination.prepare(catalogue())
    return str(raised.value)


@pytest.mark.parametrize("key", ["SegmentId", "own"])
def test_a_ledger_that_was_begun_with_other_settings_is_refused(
    store: Store, tmp_path: Path, key: str
) -> None:
    run = Run(store.open(store.settings), tmp_path)
    run.load(hour(0))
    key = store.own if key == "own" else key
    told = _refused(store.open(store.other(key)))
    assert key in told and "of its own" in told
    assert ("vip" if key == "SegmentId" else "other") in told
    run.load(hour(1))
    assert [e.window for e in store.open(store.settings).ledger().entries] == [hour(0), hour(1)]


def test_both_generations_of_everyone_are_the_same_events(store: Store, tmp_path: Path) -> None:
    Run(store.open(store.settings), tmp_path).load(hour(0))
    again = Run(store.open(replace(store.settings, export_api=ExportApi.SEGMENTS)), tmp_path)
    again.load(hour(1))
    assert len(store.open(store.settings).ledger().entries) == 2


def test_what_bundles_do_not_look_at_tells_nothing_apart(store: Store, tmp_path: Path) -> None:
    Run(store.open(store.settings), tmp_path).load(hour(0))
    assert store.open(replace(store.settings, segment_id="vip")).ledger().entries


def test_who_means_it_can_go_on_with_other_settings(store: Store, tmp_path: Path) -> None:
    Run(store.open(store.settings), tmp_path).load(hour(0))
    other = store.other("SegmentId")
    store.mend(_refused(store.open(other)))
    Run(store.open(other), tmp_path).load(hour(1))
    assert len(store.open(other).ledger().entries) == 2
    _refused(store.open(store.settings))


def test_of_two_that_begin_at_once_the_first_to_load_has_the_ledger(
    store: Store, tmp_path: Path
) -> None:
    first = Run(store.open(store.settings), tmp_path)
    second = Run(store.second(), tmp_path)
    assert second.destination.ledger().entries == ()
    first.load(hour(0))
    before = _texts(store)
    rows = second.stage(hour(1))
    with pytest.raises(ConfigError):
        second.destination.load(
            entry_for(hour(1), rows), rows.parts, expected=frozenset(), checkpoint=hour(1).stop
        )
    with pytest.raises(ConfigError):
        second.destination.advance(hour(1).stop, expected=frozenset())
    assert _texts(store) == before
    assert [name for name in store.backing.leftovers() if name != "other"] == []


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_an_object_that_loses_the_ledger_while_it_is_uploaded_is_removed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = STORES[kind](request, tmp_path / "store")
    first = Run(store.open(store.settings), tmp_path)
    second = Run(store.second(), tmp_path)
    upload = Objects._upload

    def overtaken(self: Objects, *given: Any) -> Any:
        made = upload(self, *given)
        monkeypatch.setattr(Objects, "_upload", upload)
        first.load(hour(0))
        return made

    rows = second.stage(hour(0))
    entry = entry_for(hour(0), rows)
    monkeypatch.setattr(Objects, "_upload", overtaken)
    with pytest.raises(ConfigError):
        second.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    assert len(_texts(store)) == first.destination.ledger().entries[0].records
    assert store.backing.leftovers() == []


def test_a_checkpoint_alone_has_the_ledger_too(store: Store) -> None:
    first = store.open(store.settings)
    first.prepare(catalogue())
    first.advance(hour(0).start, expected=frozenset())
    _refused(store.second())


def test_what_the_go_hauser_left_is_anyones_until_the_first_load(
    store: Store, tmp_path: Path
) -> None:
    store.backing.hauser_loads(hour(0), [])
    for settings in (store.settings, store.other(store.own)):
        store.open(settings).ledger()
    Run(store.open(store.settings), tmp_path).load(hour(1))
    _refused(store.second())


def test_a_damaged_scope_is_not_taken_for_none(store: Store, tmp_path: Path) -> None:
    Run(store.open(store.settings), tmp_path).load(hour(0))
    store.spoil()
    with pytest.raises(LedgerUnreadable):
        store.open(store.settings).ledger()


@pytest.mark.parametrize("text", ["", "x", "7", "null", "[]", '{"a": 1}', "{"])
def test_garbage_is_no_scope(text: str) -> None:
    with pytest.raises(LedgerUnreadable):
        scope.decode(text, "here")


def test_keys_that_the_other_does_not_know_tell_nothing_apart() -> None:
    found = scope.decode('{"SegmentId": "everyone", "Later": "x"}', "here")
    scope.refuse_other(found, {"SegmentId": "everyone", "ExportTable": "a"}, "here", "")
    with pytest.raises(ConfigError, match=r'here.* SegmentId "everyone".*"vip"'):
        scope.refuse_other(found, {"SegmentId": "vip"}, "here", "")


# --- One table, two ledgers ---


@pytest.fixture(params=["redshift", "bigquery"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](request, tmp_path / "store")


def _with_sync_table(settings: Settings, name: str) -> Settings:
    section = "redshift" if settings.redshift.host else "bigquery"
    return replace(settings, **{section: replace(getattr(settings, section), sync_table=name)})


def test_a_new_ledger_does_not_begin_over_the_rows_of_another(
    tables: Store, tmp_path: Path
) -> None:
    Run(tables.open(tables.settings), tmp_path).load(hour(0))
    other = tables.open(_with_sync_table(tables.settings, "other_sync"))
    with pytest.raises(LedgerUnreadable, match="SyncTable"):
        other.prepare(catalogue())
    (told,) = [c for c in other.checks() if c.name in ("Redshift tables", "BigQuery tables")]
    assert not told.ok and "SyncTable" in told.remedy


def test_a_new_ledger_begins_over_rows_that_are_not_hauserpys(
    tables: Store, tmp_path: Path
) -> None:
    tables.backing.hauser_loads(
        hour(0), [{"EventStart": "2026-11-01 00:00:00", "EventType": "click"}]
    )
    other = Run(tables.open(_with_sync_table(tables.settings, "other_sync")), tmp_path)
    other.load(hour(1))
    assert len(other.destination.ledger().entries) == 1


def test_the_scope_outlives_the_baseline_that_begins_where_it_does(
    tables: Store, tmp_path: Path
) -> None:
    tables.backing.hauser_loads(
        hour(0), [{"EventStart": "2026-11-01 00:00:00", "EventType": "click"}]
    )
    run = Run(tables.open(tables.settings), tmp_path)
    run.load(hour(1))
    run.load(hour(0), kind=EntryKind.BACKFILL, replace_loaded=True)
    _refused(tables.second())


def _drop(tables: Store, *names: str) -> None:
    world = tables.backing.world
    for name in names:
        if tables.settings.redshift.host:
            world.standin.sql(f"DROP TABLE {name.replace('fs_', 'fs')}")
        else:
            catalog = world.server.service.catalog
            catalog.drop_table(world.server.PROJECT, world.dataset, name)


def _exit_10(tables: Store, says: str) -> None:
    for act in (lambda d: d.ledger(), lambda d: d.prepare(catalogue())):
        with pytest.raises(LedgerUnreadable, match=says):
            act(tables.open(tables.settings))
    checked = tables.open(tables.settings).checks()
    (told,) = [c for c in checked if c.name in ("Redshift tables", "BigQuery tables")]
    assert not told.ok and re.search(says, told.detail)


def test_a_lost_ledger_over_our_rows_is_not_taken_for_the_go_hausers(
    tables: Store, tmp_path: Path
) -> None:
    run = Run(tables.open(tables.settings), tmp_path)
    run.load(hour(0))
    before = _texts(tables)
    _drop(tables, "fs_sync_ledger", "fs_sync_lock")
    _exit_10(tables, "rows that were loaded with a ledger")
    assert _texts(tables) == before


def test_rows_that_are_gone_from_under_their_ledger_are_missed(
    tables: Store, tmp_path: Path
) -> None:
    Run(tables.open(tables.settings), tmp_path).load(hour(0))
    _drop(tables, "fs_export")
    _exit_10(tables, "is gone, and the ledger knows of rows in it")
    # What the message says to do for a new beginning.
    _drop(tables, "fs_sync", "fs_sync_ledger", "fs_sync_lock")
    Run(tables.open(tables.settings), tmp_path).load(hour(0))
    assert len(_texts(tables)) == len(events(hour(0)))
