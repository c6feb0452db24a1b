"""What the tests of the export API client share: a clock that only sleeping moves, and settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hauserpy.config import ExportApi, Secret, Settings
from hauserpy.export import Timing

TOKEN = "na1.secret-token-0123456789"
NOW = datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC)


@dataclass
class FakeTime:
    """Time stands still but for `sleep`, which takes none in truth."""

    now: datetime = NOW
    slept: list[float] = field(default_factory=list)
    elapsed: float = 1000.0

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.slept.append(seconds)
            self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.elapsed += seconds
        self.now += timedelta(seconds=seconds)

    @property
    def timing(self) -> Timing:
        return Timing(clock=lambda: self.now, monotonic=lambda: self.elapsed, sleep=self.sleep)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests stays outside."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings_for(url: str, api: ExportApi = ExportApi.BUNDLES, **changes: Any) -> Settings:
    """Small numbers: 3 tries, a second to connect, half a second of silence."""
    made = Settings(
        fs_api_token=Secret(TOKEN),
        export_api=api,
        api_url=url,
        backoff=timedelta(seconds=30),
        backoff_steps_max=3,
        connect_timeout=timedelta(seconds=1),
        read_timeout=timedelta(seconds=0.5),
    )
    return replace(made, **changes)
