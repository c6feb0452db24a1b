"""Whoever listens may go away: what is loaded, and the exit code, stay what they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hauserpy.mockapi import MockApi

RUN = [sys.executable, "-m", "hauserpy"]


def sync(tmp_path: Path, *words: str, shell: str) -> tuple[int, list[Path]]:
    """`hauserpy sync` in a shell with these redirections: its exit code, and the files loaded."""
    with MockApi(bundles=3, events=5) as api:
        config = tmp_path / "config.toml"
        config.write_text(f'{api.config()}[local]\nSaveDir = "{tmp_path}/out"\n')
        config.chmod(0o600)
        command = " ".join([*RUN, "sync", "-c", str(config), *words, shell])
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            capture_output=True, timeout=60, env={**os.environ, "PYTHONUNBUFFERED": ""},
        )  # fmt: skip
        assert b"Traceback" not in done.stdout + done.stderr
    return done.returncode, sorted((tmp_path / "out").glob("*.csv"))


@pytest.mark.parametrize(
    "shell", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(true)", "| true"]
)
@pytest.mark.parametrize("words", [[], ["--json"], ["--log-format", "json"]])
def test_a_listener_that_goes_away_stops_no_load(
    tmp_path: Path, words: list[str], shell: str
) -> None:
    code, files = sync(tmp_path, *words, shell=shell)
    assert code == 0
    assert len(files) == 3


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8"])
def test_a_character_that_the_terminal_lacks_is_escaped(tmp_path: Path, encoding: str) -> None:
    """Still JSON, and no error of the disk."""
    reason = "ticket \u2713 \U0001f600 \u00fc"
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    nowhere = 'FsApiToken = "x"\nApiURL = "http://127.0.0.1:1/api/v1"\n'
    config.write_text(f'{nowhere}[local]\nSaveDir = "{tmp_path}/out"\n')
    environ = {**os.environ, "PYTHONIOENCODING": encoding}

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [*RUN, *words, "-c", str(config)], capture_output=True, timeout=60, env=environ
        )
        assert done.returncode == code, done
        return done

    span = ["--since", "2026-09-01", "--until", "2026-09-02"]
    done = run("skip", *span, "--reason", reason, "--json", "--log-format", "json")
    assert json.loads(done.stdout.decode(encoding))["loaded"][0]["reason"] == reason
    for line in done.stderr.decode(encoding).splitlines():
        json.loads(line)
    done = run("skip", *span, "--reason", reason, "--log-format", "json")
    messages = [json.loads(line)["message"] for line in done.stderr.decode(encoding).splitlines()]
    assert any("2026-09-01T00:00:00Z \u2013 2026-09-02T00:00:00Z is loaded" in m for m in messages)
    assert b"ticket" in run("status").stdout
    assert b"configuration: read" in run("check", code=8).stdout


def test_data_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    code, files = sync(tmp_path, "--json", shell=">/dev/full")
    assert code == 4
    assert len(files) == 3
