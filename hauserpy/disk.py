"""Durable changes to the local disk, and what its errors mean to the operator."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hauserpy.errors import AccessDenied, ConfigError, DiskFull, HauserpyError, TransientError

_TEMP = ".tmp"


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: whole or not at all, whenever the machine dies.

    Temp file, fsync, rename, fsync of the folder.
    """
    temp = path.with_name(f"{path.name}.{os.getpid()}{_TEMP}")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        temp.replace(path)
    except BaseException:
        with suppress(OSError):
            temp.unlink()
        raise
    fsync_folder(path.parent)


def sweep_temps(path: Path) -> None:
    """Remove what `write_atomically` of ``path`` left where its process died within it.

    For who holds the lock under which ``path`` is written: nobody else is writing it then.
    """
    with os.scandir(path.parent) as found:
        names = [entry.name for entry in found]
    for name in names:
        if name.startswith(f"{path.name}.") and name.endswith(_TEMP):
            remove(path.with_name(name))


def fsync_folder(path: Path) -> None:
    """Make renames and removals in the folder last."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Remove a file that may be gone already."""
    path.unlink(missing_ok=True)


def probe(folder: Path) -> int:
    """Write in ``folder``, made for the while where it is missing; the bytes that are free there.

    Leaves nothing behind. Raises OSError.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".hauserpy-check-") as written:
            written.write(b"probe")
            written.flush()
            os.fsync(written.fileno())
        return shutil.disk_usage(folder).free
    finally:
        for path in missing:
            # Somebody else may have put something there meanwhile.
            with suppress(OSError):
                path.rmdir()


@contextmanager
def explained(what: str, *, setting: str = "") -> Iterator[None]:
    """Turn an OSError inside into the error that says what the operator can do about ``what`` (a
    sentence's subject), which lies where ``setting`` says."""
    try:
        yield
    except OSError as error:
        raise explain(error, what, setting=setting) from error


def explain(error: OSError, what: str, *, setting: str = "") -> HauserpyError:
    """The typed error for an OSError; see `explained`."""
    another = f"another folder ({setting})" if setting else "another folder"
    place = f" ({error.filename})" if error.filename else ""
    reason = f"{what}: {error.strerror or error}{place}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(reason, "Make room, or point TmpDir or SaveDir elsewhere; then run again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(reason, f"Let this user write there, or choose {another}.")
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM):
        return TransientError(reason, "Raise this process's limits (ulimit -a); then run again.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG):
        return ConfigError(reason, f"Choose {another}.")
    return TransientError(reason, f"Check the disk, and {setting or 'the folder'}; then run again.")
