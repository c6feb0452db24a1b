"""Events from files: JSON arrays, gzipped or not, cut into windows by EventStart, their text kept."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import re
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from hauserpy.errors import ConfigError
from hauserpy.model import BEGINNING, Window

_CHUNK = 1 << 20
_RECORD_AT_MOST = 64 << 20
_BATCH = 512
_BLANKS = re.compile(r"[ \t\r\n]*")


class SpooledWindows:
    """The records of files, window by window, in the order of the files.

    Their text lies in one unnamed temporary file; memory holds 12 bytes a record. A record whose
    EventStart cannot be read stays with the record before it.
    """

    def __init__(self, paths: Iterable[Path], length: timedelta) -> None:
        """ConfigError when a file cannot be read, or is not one array of objects."""
        self._spool = _unnamed_file()
        self._offsets: dict[Window, array[int]] = {}
        self._sizes: dict[Window, array[int]] = {}
        self._length = length
        try:
            for path in paths:
                self._read(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._spool.close()

    def windows(self) -> list[Window]:
        """Those that have records, oldest first."""
        return sorted(self._offsets)

    def about_bytes(self, window: Window) -> int:
        return sum(self._sizes[window])

    def batches(self, window: Window) -> Iterator[list[bytes]]:
        """The records of a window. Any number of threads may read at once."""
        offsets, sizes = self._offsets[window], self._sizes[window]
        number = self._spool.fileno()
        for start in range(0, len(offsets), _BATCH):
            stop = start + _BATCH
            yield [
                os.pread(number, size, offset)
                for offset, size in zip(offsets[start:stop], sizes[start:stop], strict=True)
            ]

    def _read(self, path: Path) -> None:
        window: Window | None = None
        early: list[bytes] = []
        for text, record in _records(path):
            moment = event_start(record)
            if moment is not None:
                window = self._window(moment)
                for waiting in early:
                    self._keep(window, waiting)
                early.clear()
            if window is None:
                early.append(text)
            else:
                self._keep(window, text)
        if early:
            raise ConfigError(
                f"no record of {path} has an EventStart that can be read.",
                "Give a file of exported events: a JSON array of objects.",
            )
        self._spool.flush()

    def _keep(self, window: Window, text: bytes) -> None:
        self._offsets.setdefault(window, array("Q")).append(self._spool.tell())
        self._sizes.setdefault(window, array("I")).append(len(text))
        self._spool.write(text)

    def _window(self, moment: datetime) -> Window:
        start = BEGINNING + (moment - BEGINNING) // self._length * self._length
        return Window(start, start + self._length)


def _unnamed_file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def event_start(record: dict[str, Any]) -> datetime | None:
    """When the event began, in UTC; None when the record does not say so in RFC 3339."""
    value = record.get("EventStart")
    if not isinstance(value, str) or len(value) < 19:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def batches_of(body: bytes) -> Iterator[list[bytes]]:
    """The records of one body, as the file of that content would give them."""
    yield [text for text, _ in _split(_opened(BytesIO(body)), "the body")]


def _records(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            yield from _split(_opened(file), str(path))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}.", "Give a file of exported events."
        ) from error


def _opened(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(2)
    file.seek(0)
    if magic == b"\x1f\x8b":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    return file


def _split(file: IO[bytes], name: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The records of one JSON array, as written and as parsed."""
    text = _Text(file, name)
    if text.take() != "[":
        raise text.refusal("it does not begin with [")
    mark = text.peek()
    if mark == "]":
        text.take()
    while mark != "]":
        yield text.record()
        mark = text.take()
        if mark not in {",", "]"}:
            raise text.refusal("a comma or ] is missing")
    if text.peek():
        raise text.refusal("something follows the array")


class _Text:
    """A JSON text read by the piece; only what is not yet taken is in memory."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text = ""
        self._position = 0
        self._ended = False
        self._records = 0

    def refusal(self, problem: str) -> ConfigError:
        return ConfigError(
            f"{self._name} is not one JSON array of objects: {problem}, after"
            f" {self._records} {'record' if self._records == 1 else 'records'}.",
            "Give a file of exported events, gzipped or not.",
        )

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._more()

    def take(self) -> str:
        """`peek`, and go on behind it."""
        mark = self.peek()
        self._position += len(mark)
        return mark

    def record(self) -> tuple[bytes, dict[str, Any]]:
        """The object that comes next: its text as it is, and its meaning."""
        self.peek()
        while True:
            try:
                record, stop = self._scan(self._text, self._position)
            except RecursionError as error:
                raise self.refusal("a record is nested too deeply") from error
            except ValueError as error:
                if self._ended or len(self._text) - self._position > _RECORD_AT_MOST:
                    raise self.refusal(self._not_json()) from error
                self._more()
                continue
            if not isinstance(record, dict):
                raise self.refusal("a record is no object")
            text = self._text[self._position : stop]
            self._position = stop
            self._records += 1
            return text.encode("utf-8", "surrogatepass"), record

    def _not_json(self) -> str:
        text = self._text[self._position : self._position + 40]
        if not text:
            return "it ends where a record should be"
        if text.startswith("]"):
            return "a comma stands before its end"
        return f"a record is not valid JSON ({json.dumps(text, ensure_ascii=False)}…)"

    def _more(self) -> None:
        try:
            piece = self._file.read(_CHUNK)
            self._ended = not piece
            self._text = self._text[self._position :] + self._decode(piece, self._ended)
        except UnicodeDecodeError as error:
            raise self.refusal("it is not UTF-8") from error
        except EOFError as error:
            raise self.refusal("its gzip ends too early") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise self.refusal("its gzip is broken") from error
        self._position = 0
