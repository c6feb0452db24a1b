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

from hauserpy.cli.group import run
from hauserpy.mockapi.faults import KINDS


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], str]]:
    """The process, its configuration as TOML, and the whole of what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hauserpy", "mock-api", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = []
        last = "ApiURL" if "-q" in arguments else "StartTime"
        while last not in (line := process.stdout.readline()) and line:
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
    (["--port", "70000"], "--port"), (["--window", "999999h"], "1970"),
    (["--bundles", "100000", "--window", "2500000h"], "1970"),
])  # fmt: skip
def test_a_bad_option_is_an_error_of_configuration(arguments, said, capsys):
    assert run(["mock-api", "--port", "0", *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_verbose_tells_each_request():
    with running("-v", "--fault", "list:503") as (process, config, _):
        for path in ("/export/list?start=0", "/export/list?start=0", "/elsewhere"):
            status(config, path)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert err.splitlines() == [
        "hauserpy: list: GET /api/v1/export/list?start=0 answered with 503",
        "hauserpy: list: GET /api/v1/export/list?start=0 answered with 200",
        "hauserpy: nothing: GET /api/v1/elsewhere answered with 404",
    ]


def test_quiet_leaves_the_configuration_alone():
    with running("-q") as (_, config, printed):
        assert printed.splitlines() == [
            f'FsApiToken = "{config["FsApiToken"]}"', 'ExportApi = "bundles"',
            f'ApiURL = "{config["ApiURL"]}"',
        ]  # fmt: skip


def test_a_configuration_file_has_no_effect_and_that_is_said():
    with running("-c", "no-such-file") as (process, _, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert "-c has no effect" in err


def test_the_help_explains_every_fault(capsys):
    assert run(["mock-api", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in KINDS)
    assert "[ENDPOINT[N]:]KIND" in out
