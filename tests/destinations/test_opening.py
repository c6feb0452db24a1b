"""What is refused before anything is fetched, and where one sync at a time is locked."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from hauserpy.config import LocalSettings, Provider, S3Settings, Settings
from hauserpy.destinations import open_destination, run_lock_path
from hauserpy.errors import ConfigError
from hauserpy.layout import StageFormat


def test_parquet_without_pyarrow_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(format=StageFormat.PARQUET, local=LocalSettings(save_dir=tmp_path))
    open_destination(settings).close()
    monkeypatch.setattr("hauserpy.staging.parquet.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs pyarrow"):
        open_destination(settings)
    open_destination(replace(settings, format=StageFormat.CSV)).close()
    assert importlib.util.find_spec("pyarrow")


def _in_a_bucket(tmp_dir: Path) -> Settings:
    return Settings(
        provider=Provider.AWS,
        storage_only=True,
        s3=S3Settings(bucket="bucket", region="us-east-1", endpoint="http://127.0.0.1:1"),
        tmp_dir=tmp_dir,
    )


def test_a_user_without_a_home_locks_in_tmp_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    settings = _in_a_bucket(tmp_path)
    destination = open_destination(settings)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    usual = run_lock_path(settings, destination)
    assert usual.parent == Path.home() / ".local" / "state" / "hauserpy"
    monkeypatch.setattr(Path, "home", homeless)
    assert run_lock_path(settings, destination) == tmp_path / "hauserpy" / usual.name
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert run_lock_path(settings, destination) == Path("/somewhere/hauserpy") / usual.name


def test_a_home_that_is_not_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _in_a_bucket(tmp_path)
    destination = open_destination(settings)
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/nonexistent")
    assert run_lock_path(settings, destination).parent == tmp_path / "hauserpy"
