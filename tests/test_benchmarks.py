"""The benchmark command runs and tells a table; what the figures are, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import report

_CHECKOUT = Path(__file__).parents[1]


def command(*options: str) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *options],
        cwd=_CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    return made.stdout


def test_the_command_measures_staging_and_tells_a_table(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    told = command(
        "--bundles=2", "--size=100kB", "--runs=2", "--forms=csv", "--workers=1",
        "--only=stage,memory", "--markdown", f"--json={file}",
    )  # fmt: skip
    head, rule, csv, sync, *_ = told.splitlines()
    assert head.startswith("| form | workers | share of zlib: min | median | max |")
    assert head.count("|") == rule.count("|") == csv.count("|")
    assert csv.startswith("| csv | 1 | ")
    assert "%" in csv and " MB |" in csv
    assert not sync
    assert "zlib" in told and "2 bundles" in told and "Two zlibs at once" in told

    figures = json.loads(file.read_text())
    assert len(figures["zlib"]) == 2
    assert [run["form"] for run in figures["runs"]] == ["csv", "sync, csv"]
    assert len(figures["runs"][0]["ratios"]) == 2
    assert figures["runs"][0]["peak_mb"] > 5


def test_the_worst_data_is_measured_as_well() -> None:
    told = command(
        "--bundles=1", "--size=100kB", "--runs=1", "--forms=csv", "--workers=1", "--only=stage",
        "--alone",
    )  # fmt: skip
    assert "every event on a page of its own" in told


def test_the_profile_tells_every_stage() -> None:
    told = command("--bundles=1", "--size=3MB", "--forms=csv.gz", "--profile")
    line = told.splitlines()[-1]
    for stage in ("gunzip", "split", "match", "copy", "parse", "deflate", "sum", "write"):
        assert f" {stage} " in line


def test_a_form_that_does_not_exist_is_refused() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--forms=xml"],
        cwd=_CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 2
    assert "xml: must be among csv" in made.stderr


def test_the_second_worker_is_compared_with_the_first() -> None:
    one = report.Runs("csv", 1, ratios=[0.1, 0.2, 0.3])
    two = report.Runs("csv", 2, ratios=[0.3, 0.4, 0.2])
    assert report.speed_up([one, two]) == ["csv: 2 workers are 1.50 times as fast as 1."]
    assert report.speed_up([one]) == []
