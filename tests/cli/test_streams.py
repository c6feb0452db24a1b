"""Whoever listens may go away: what is loaded, and the exit code, stay what they are."""

from __future__ import annotations

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


def test_data_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    code, files = sync(tmp_path, "--json", shell=">/dev/full")
    assert code == 4
    assert len(files) == 3
