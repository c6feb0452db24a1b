"""`hauserpy mock-api`: what it prints, what it serves, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from hauserpy.cli.mock_api import mock_api
from hauserpy.errors import ConfigError
from hauserpy.mockapi.faults import KINDS

START = "from hauserpy.cli.mock_api import mock_api; mock_api(prog_name='mock-api')"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], str]]:
    """The process, its configuration as TOML, and the whole of what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = []
        while "StartTime" not in (line := process.stdout.readline()) and line:
            lines.append(line)
        printed = "".join(lines) + line
        yield process, tomllib.loads(printed), printed
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def status(config: dict[str, str], path: str) -> int:
    url = urlsplit(config["ApiURL"])
    connection = HTTPConnection(url.hostname, url.port, timeout=20)
    connection.request("GET", url.path + path,
                       headers={"Authorization": f"Basic {config['FsApiToken']}"})  # fmt: skip
    found = connection.getresponse().status
    connection.close()
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_told_to_stop_and_exits_0(number):
    with running("--bundles", "2", "--events", "3", "--token", "na1.other",
                 "--fault", "list:503") as (process, config, printed):  # fmt: skip
        assert printed.splitlines()[0].startswith(f"# {config['ApiURL']} ")
        assert config["FsApiToken"] == "na1.other"
        assert [status(config, "/export/list?start=0") for _ in range(2)] == [503, 200]
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err == ""


def test_its_stdout_is_a_configuration_for_either_generation():
    with running() as (_, config, printed):
        other = tomllib.loads(
            "\n".join(line.removeprefix("# ") for line in printed.split("2 of the API:")[1]
                      .splitlines())
        )  # fmt: skip
    assert config["ExportApi"] == "bundles"
    assert config["ApiURL"].endswith("/api/v1")
    assert other["ExportApi"] == "segments"
    assert config["ApiURL"] == other["ApiURL"] + "/api/v1"


def test_it_serves_files(tmp_path):
    path = tmp_path / "events.json"
    path.write_text('[{"EventStart":"2026-01-01T00:30:00Z"},{"EventStart":"2026-01-01T02:00:00Z"}]')
    with running("--data", str(path), "--window", "1h") as (_, _, printed):
        assert "2 bundles" in printed


@pytest.mark.parametrize(("arguments", "said"), [
    (["--fault", "cutt"], "cutt"), (["--fault", "list:crc"], "get, download"),
    (["--window", "1 day"], "--window"), (["--window", "-1h"], "window"),
    (["--bundles", "-1"], "--bundles"), (["--events", "-1"], "--events"),
    (["--data", "no-such-file"], "no-such-file"), (["--bundle-bytes", "much"], "--bundle-bytes"),
    (["--port", "70000"], "--port"),
])  # fmt: skip
def test_a_bad_option_is_an_error_of_configuration(arguments, said):
    result = CliRunner().invoke(mock_api, ["--port", "0", *arguments])
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


def test_the_help_explains_every_fault():
    result = CliRunner().invoke(mock_api, ["--help"])
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.output for name in KINDS)
    assert "[ENDPOINT[N]:]KIND" in result.output
