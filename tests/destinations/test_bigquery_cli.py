"""The command line against BigQuery: processes of their own, with hauser's configuration file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.mockapi import MockApi
from tests.destinations.bigquery_world import World
from tests.standins.bigquery import BigQueryStandIn


@pytest.fixture
def api() -> Iterator[MockApi]:
    with MockApi(bundles=2, events=40, window=timedelta(hours=12)) as made:
        yield made


class Cli:
    """Runs `hauserpy` with one configuration; each ``machine`` has a state folder of its own."""

    def __init__(self, world: World, api: MockApi, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.config = folder / "config.toml"
        self.config.write_text(
            f"""
            ApiURL = "{api.url}"
            FsApiToken = "na1.mock"
            Provider = "gcp"
            [gcs]
            Bucket = "{world.bucket()}"
            Endpoint = "{world.server.url}"
            [bigquery]
            Project = "{world.server.PROJECT}"
            Dataset = "{world.dataset}"
            ExportTable = "fs_export"
            SyncTable = "fs_sync"
            Endpoint = "{world.server.url}"
            """
        )
        self.config.chmod(0o600)

    def start(self, *arguments: str, machine: str = "one") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "hauserpy", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "HAUSERPY_CONFIG": str(self.config),
                "XDG_STATE_HOME": str(self.folder / machine),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
        )

    def __call__(self, *arguments: str, machine: str = "one") -> tuple[int, str, str]:
        process = self.start(*arguments, machine=machine)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def count(self) -> int:
        return int(self.world.sql("SELECT COUNT(*) FROM fs_export")[0][0])


@pytest.fixture
def cli(api: MockApi, tmp_path: Path) -> Iterator[Cli]:
    """With a stand-in that keeps real time, as the processes do."""
    with BigQueryStandIn() as server:
        yield Cli(World(server, server.dataset("fullstory"), tmp_path), api, tmp_path)


def told(out: str) -> Any:
    return json.loads(out)


def test_check_and_sync_load_what_is_due_and_then_nothing(cli: Cli) -> None:
    code, out, err = cli("check", "--json")
    assert code == 0, out + err
    assert cli.world.server.tables("fullstory") == []
    code, out, err = cli("sync", "--json")
    assert code == 0, err
    assert told(out)["ok"] is True
    assert cli.count() == 80
    assert len(cli.world.sync_rows()) == 2
    code, out, err = cli("sync", "--json")
    assert code == 0, err
    assert cli.count() == 80 and len(cli.world.sync_rows()) == 2
    assert cli.world.leftovers() == [] and cli.world.objects() == []


def test_killed_by_9_and_run_again_each_bundle_is_there_once(cli: Cli) -> None:
    assert cli("sync", "--max-bundles", "1")[0] == 0
    gate = cli.world.server.gates.add("^COMMIT", "_commit_")
    process = cli.start("sync")
    assert gate.reached.wait(60)
    process.kill()
    process.communicate(timeout=30)
    # Its script goes on by itself, beside the next run.
    gate.release()
    code, _, err = cli("sync")
    assert code == 0, err
    assert cli.count() == 80
    assert len(cli.world.sync_rows()) == 2
    assert cli.world.leftovers() == [] and cli.world.objects() == []


def test_two_machines_and_a_backfill_at_once(cli: Cli) -> None:
    runs = [
        cli.start("sync", machine="one"),
        cli.start("sync", machine="two"),
        cli.start("backfill", "--since", "2000-01-01", "--replace", machine="three"),
    ]
    for process in runs:
        _, err = process.communicate(timeout=90)
        # 4: the others were in the way more often than it tries; a scheduler runs it again.
        assert process.returncode in (0, 4), err
    code, _, err = cli("sync")
    assert code == 0, err
    assert cli.count() == 80
    assert cli.world.leftovers() == [] and cli.world.objects() == []


def test_hostile_names_are_exit_2(cli: Cli) -> None:
    text = cli.config.read_text().replace('"fs_export"', '"x`; DROP TABLE y"')
    cli.config.write_text(text)
    code, _, err = cli("sync")
    assert code == 2 and "ExportTable" in err
    assert cli.world.server.faults.log == []


def test_tables_of_hauser_are_gone_on_with(cli: Cli, api: MockApi) -> None:
    from tests.destinations.bigquery_backing import BigQueryBacking

    backing = BigQueryBacking(cli.world)
    first = api.bundles[0]
    record = {"EventStart": first.window.start.isoformat(), "EventType": "click", "UserId": 1}
    backing.hauser_loads(first.window, [record])
    code, _, err = cli("sync")
    assert code == 0, err
    assert cli.count() == 41
    cli.world.hauser_syncs(api.bundles[1].window.stop + timedelta(hours=1))
    code, _, err = cli("sync")
    assert code == 10 and "hauser has run since" in err
