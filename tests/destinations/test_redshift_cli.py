"""The command line against Redshift: processes of their own, with hauser's configuration file."""

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
from tests.destinations.redshift_world import PASSWORD, World
from tests.standins.redshift import ACCESS_KEY, Fault, RedshiftStandin

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def api() -> Iterator[MockApi]:
    with MockApi(bundles=2, events=40, window=timedelta(hours=12)) as made:
        yield made


class Cli:
    """Runs `hauserpy` with one configuration; each ``machine`` has a state folder of its own."""

    def __init__(self, world: World, api: MockApi, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.config = folder / "config.toml"
        standin = world.standin
        self.config.write_text(
            f"""
            ApiURL = "{api.url}"
            FsApiToken = "na1.mock"
            Provider = "aws"
            [s3]
            Bucket = "{world.bucket}"
            Region = "us-east-1"
            Endpoint = "{world.s3.endpoint}"
            [redshift]
            Host = "{standin.host}"
            Port = "{standin.port}"
            DB = "{standin.database}"
            User = "hauser"
            Password = "{PASSWORD}"
            Credentials = "aws_access_key_id={ACCESS_KEY};aws_secret_access_key={KEY}"
            DatabaseSchema = "public"
            ExportTable = "fsexport"
            SyncTable = "fssync"
            VarCharMax = 65535
            SslMode = "disable"
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
                **self.world.s3.environ,
                "HAUSERPY_CONFIG": str(self.config),
                "XDG_STATE_HOME": str(self.folder / machine),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
        )

    def __call__(self, *arguments: str, machine: str = "one") -> tuple[int, str, str]:
        process = self.start(*arguments, machine=machine)
        out, err = process.communicate(timeout=60)
        assert not [s for s in (PASSWORD, KEY) if s in out + err]
        return process.returncode, out, err

    def count(self) -> int:
        return int(self.world.standin.sql("SELECT count(*) FROM fsexport")[0][0])


@pytest.fixture
def cli(world: World, api: MockApi, tmp_path: Path) -> Cli:
    return Cli(world, api, tmp_path)


def told(out: str) -> Any:
    return json.loads(out)


def test_sync_loads_what_is_due_and_then_nothing(cli: Cli) -> None:
    code, out, err = cli("-v", "sync", "--json")
    assert code == 0, err
    assert told(out)["ok"] is True
    assert cli.count() == 80
    assert len(cli.world.sync_rows()) == 2
    assert cli.world.objects() == []
    code, out, err = cli("sync", "--json")
    assert code == 0, err
    assert cli.count() == 80 and len(cli.world.sync_rows()) == 2


def test_check_passes_and_leaves_nothing(cli: Cli) -> None:
    code, out, err = cli("check", "--json")
    assert code == 0, out + err
    assert [c["name"] for c in told(out)["checks"] if not c["ok"]] == []
    assert cli.world.objects() == []
    assert cli.world.standin.sql("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


@pytest.mark.parametrize(("pattern", "when"), [("COPY", "during"), ("COMMIT", "after")])
def test_killed_by_9_and_run_again_each_bundle_is_there_once(
    cli: Cli, pattern: str, when: Any
) -> None:
    fault = cli.world.standin.faults.add(Fault(pattern, when=when, action="hold", nth=2))
    process = cli.start("sync")
    assert fault.reached.wait(60)
    process.kill()
    process.communicate(timeout=30)
    code, _, err = cli("sync")
    assert code == 0, err
    assert cli.count() == 80
    assert len(cli.world.ledger().entries) == 2
    assert cli.world.objects() == []


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
    assert len(cli.world.ledger().entries) == 2 and cli.world.objects() == []


def test_refused_rows_are_exit_7_and_name_the_bundle(cli: Cli) -> None:
    assert cli("sync", "--max-bundles", "1")[0] == 0
    cli.world.standin.sql("TRUNCATE fsexport")
    cli.world.standin.sql("ALTER TABLE fsexport ALTER COLUMN eventtype TYPE varchar(2)")
    fault = cli.world.standin.faults.add(Fault("LOCK", action="hold"))
    process = cli.start("sync", "--max-bundles", "1")
    assert fault.reached.wait(60)
    cli.world.standin.sql("ALTER TABLE fsexport ALTER COLUMN pageurl TYPE varchar(1)")
    fault.release()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7, err
    assert "line 1, column pageurl (varchar)" in err
    assert cli.count() == 0


def test_a_wrong_password_is_exit_5(cli: Cli, world: World) -> None:
    text = cli.config.read_text().replace(PASSWORD, "hunter2")
    cli.config.write_text(text)
    code, out, err = cli("sync")
    assert code == 5 and "hunter2" not in out + err


def test_hostile_names_are_exit_2(cli: Cli, redshift: Any) -> None:
    text = cli.config.read_text().replace('"fsexport"', '"x; drop table y"')
    cli.config.write_text(text)
    code, _, err = cli("sync")
    assert code == 2 and "ExportTable" in err
    assert cli.world.standin.log == []


def test_tables_of_hauser_are_gone_on_with(cli: Cli, api: MockApi) -> None:
    from tests.destinations.redshift_backing import RedshiftBacking

    backing = RedshiftBacking(cli.world)
    first = api.bundles[0]
    backing.hauser_loads(first.window, [{"EventStart": first.window.start, "UserId": 1}])
    code, _, err = cli("sync")
    assert code == 0, err
    assert cli.count() == 41
    assert isinstance(cli.world.standin, RedshiftStandin)
