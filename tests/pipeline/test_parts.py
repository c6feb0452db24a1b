"""What is kept is on the disk when its part is told, and a disk that fails is told."""

from __future__ import annotations

import errno
import os

import pytest

from hauserpy.layout import Layout, StageFormat
from hauserpy.pipeline import parts
from tests.bundles import FILE_COLUMNS, staged

BODY = b"[" + b",".join(b'{"IndvId":%d}' % n for n in range(500)) + b"]"
LAYOUTS = [
    Layout(FILE_COLUMNS, durable=True),
    Layout(FILE_COLUMNS, format=StageFormat.RAW, part_bytes=700, durable=True),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["csv", "raw parts"])
def test_bringing_a_file_to_the_disk_while_it_is_written_changes_nothing(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = staged([BODY], layout, batch_bytes=100)
    monkeypatch.setattr(parts, "_FLUSH_BYTES", 150)
    assert staged([BODY], layout, batch_bytes=100).parts == wanted.parts


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["csv", "raw parts"])
def test_a_failure_that_the_system_tells_but_once_fails_the_bundle(
    layout: Layout, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def failing(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(parts, "_FLUSH_BYTES", 150)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        staged([BODY], layout, batch_bytes=100)


@pytest.mark.parametrize("format", [StageFormat.CSV, StageFormat.PARQUET])
@pytest.mark.parametrize("durable", [True, False])
def test_only_what_is_kept_is_waited_for(
    format: StageFormat, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is uploaded is read back from the system, whether or not it has reached the disk."""
    brought: list[int] = []
    monkeypatch.setattr(os, "fsync", brought.append)
    monkeypatch.setattr(parts, "_FLUSH_BYTES", 150)
    made = staged([BODY], Layout(FILE_COLUMNS, format=format, durable=durable), batch_bytes=100)
    assert made.staged.records == 500
    assert bool(brought) == durable
