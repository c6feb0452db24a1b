"""Files are replaced whole or not at all, and errors of the disk say what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hauserpy import disk
from hauserpy.errors import AccessDenied, ConfigError, DiskFull, HauserpyError, TransientError


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    for data in (b"one", b"", b"x" * 100_000):
        disk.write_atomically(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_file_that_cannot_be_replaced_stays_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "ledger.json"
    disk.write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="full"):
            disk.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    disk.write_atomically(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_only_temps_of_that_file_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    swept = ["ledger.json.1.tmp", "ledger.json.99999.tmp"]
    kept = ["ledger.json", "ledger.json.bak", "other.json.1.tmp", "ledger.lock", "my.tmp"]
    for name in (*swept, *kept):
        (tmp_path / name).touch()
    disk.sweep_temps(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EFBIG, TransientError), (errno.EMFILE, TransientError),
        (errno.EIO, TransientError), (errno.EACCES, AccessDenied), (errno.EPERM, AccessDenied),
        (errno.EROFS, AccessDenied), (errno.ENOTDIR, ConfigError), (errno.EISDIR, ConfigError),
        (errno.ENAMETOOLONG, ConfigError),
    ],
)  # fmt: skip
def test_an_error_of_the_disk_is_explained(code: int, kind: type[HauserpyError]) -> None:
    with pytest.raises(kind) as raised, disk.explained("SaveDir cannot be used"):
        raise OSError(code, os.strerror(code), "/the/path")
    assert raised.value.reason == f"SaveDir cannot be used: {os.strerror(code)} (/the/path)."
    assert raised.value.instruction
