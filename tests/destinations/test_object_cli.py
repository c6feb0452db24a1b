"""The command line against S3 and Cloud Storage: processes of their own, configured by a file."""

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
from tests.destinations.object_backing import IN_A_PATH, LEDGER, ObjectBacking

BUNDLES = 3
EVENTS = 40


@pytest.fixture(params=IN_A_PATH)
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectBacking]:
    made = IN_A_PATH[request.param](request, tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def api() -> Iterator[MockApi]:
    with MockApi(bundles=BUNDLES, events=EVENTS, window=timedelta(hours=12)) as made:
        yield made


class Cli:
    """Runs `hauserpy` with one configuration; each ``machine`` has a state folder of its own."""

    def __init__(self, backing: ObjectBacking, api: MockApi, folder: Path) -> None:
        self.folder = folder
        settings = backing.settings()
        aws = backing.bucket.kind == "s3"
        section: Any = settings.s3 if aws else settings.gcs
        region = f'Region = "{section.region}"' if aws else ""
        self.config = folder / "config.toml"
        self.config.write_text(
            f"""
            ApiURL = "{api.url}"
            FsApiToken = "na1.mock"
            StorageOnly = true
            FilePrefix = "{settings.file_prefix}"
            Format = "{settings.format.value}"
            Compression = "{settings.compression.value}"
            Provider = "{settings.provider.value}"
            [{backing.bucket.kind}]
            Bucket = "{section.bucket}"
            Endpoint = "{section.endpoint}"
            {region}
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


@pytest.fixture
def cli(backing: ObjectBacking, api: MockApi, tmp_path: Path) -> Cli:
    return Cli(backing, api, tmp_path)


def test_sync_loads_every_bundle_once_and_says_so(cli: Cli, backing: ObjectBacking) -> None:
    code, out, err = cli("sync", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["bundles"], told["records"]) == (BUNDLES, BUNDLES * EVENTS)
    assert len(backing.rows()) == BUNDLES * EVENTS
    stored = {f["name"] for e in told["loaded"] for f in e["files"]}
    assert stored == set(backing.data_names())
    assert all(name.startswith(backing.prefix) for name in stored)
    before = backing.contents()
    code, out, err = cli("sync", "--json")
    assert (code, json.loads(out)["bundles"]) == (0, 0)
    assert backing.contents() == before


def test_a_window_is_loaded_anew_when_it_is_asked_for(cli: Cli, backing: ObjectBacking) -> None:
    assert cli("sync", "-q")[0] == 0
    before = set(backing.data_names())
    code, out, err = cli("backfill", "--since", "2020-01-01", "--replace", "--json")
    assert code == 0, err
    assert json.loads(out)["bundles"] == BUNDLES
    assert not before & set(backing.data_names())
    assert len(backing.rows()) == BUNDLES * EVENTS
    assert backing.leftovers() == []


def test_syncs_on_two_machines_at_once_load_every_bundle_once(
    cli: Cli, backing: ObjectBacking
) -> None:
    running = [cli.start("sync", "--json", machine=name) for name in ("one", "two")]
    answers = [process.communicate(timeout=90) for process in running]
    assert [p.returncode for p in running] == [0, 0], [err for _, err in answers]
    assert len(backing.rows()) == BUNDLES * EVENTS
    assert sum(json.loads(out)["bundles"] for out, _ in answers) == BUNDLES
    assert backing.leftovers() == []


def test_check_is_content_and_leaves_nothing(cli: Cli, backing: ObjectBacking) -> None:
    code, out, err = cli("check", "--json")
    assert code == 0, out + err
    told = {c["name"]: c for c in json.loads(out)["checks"]}
    assert told["preconditions"]["ok"]
    assert backing.names() == []


def test_sync_goes_on_where_hauser_stopped_and_stops_when_it_runs_again(
    cli: Cli, backing: ObjectBacking
) -> None:
    code, out, _ = cli("sync", "--json")
    first, second, third = (e["stop"] for e in json.loads(out)["loaded"])
    for name in backing.names():
        backing.bucket.delete(backing.key(name))
    backing.bucket.put(backing.key(".sync.hauser"), first.encode())
    code, out, err = cli("sync", "--json", "--max-bundles", "1")
    assert code == 0, err
    assert [e["stop"] for e in json.loads(out)["loaded"]] == [second]
    for name in (".sync.hauser", backing.prefix + ".sync.hauser"):
        assert backing.bucket.get(backing.key(name)).decode() == second
    backing.bucket.put(backing.key(".sync.hauser"), third.encode())
    code, _, err = cli("sync")
    assert code == 10
    assert "hauser" in err


def test_a_damaged_ledger_stops_the_run(cli: Cli, backing: ObjectBacking) -> None:
    assert cli("sync", "-q")[0] == 0
    backing.spoil_ledger()
    before = backing.contents()
    code, _, err = cli("sync")
    assert code == 10
    assert LEDGER in err
    assert "Traceback" not in err
    assert backing.contents() == before
