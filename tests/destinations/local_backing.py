"""The local folder under contract, in the formats that have rows."""

from __future__ import annotations

import csv as csv_reader
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import LocalSettings, Settings
from hauserpy.destinations.local import Local
from hauserpy.fields import catalogue
from hauserpy.layout import Compression, FieldType, StageFormat
from hauserpy.model import Window, rfc3339
from hauserpy.owner import Owner
from tests.destinations.makers import NOW

_EXTENSIONS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")


class LocalBacking:
    """See `tests.destinations.makers.Backing`."""

    def __init__(self, folder: Path, format: StageFormat, compression: Compression) -> None:
        self.folder = folder
        self.settings = Settings(
            format=format, compression=compression, local=LocalSettings(save_dir=folder)
        )

    def open(self) -> Local:
        return Local(self.settings, clock=lambda: NOW)

    def rows(self) -> list[dict[str, str | None]]:
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.name.endswith(_EXTENSIONS):
                found += read_rows(path)
        return found

    def leftovers(self) -> list[str]:
        own = self.folder / ".hauserpy"
        lasting = {"ledger.json", "ledger.lock", "incoming"}
        names = [p.name for p in own.iterdir() if p.name not in lasting]
        names += [p.name for p in self.folder.iterdir() if p.name.endswith(".tmp")]
        return sorted(names + [p.name for p in (own / "incoming").iterdir()])

    def plant_leftover(self, owner: Owner) -> None:
        place = self.folder / ".hauserpy" / "incoming" / owner.name
        place.mkdir(parents=True)
        (place / "0").write_bytes(b"half of a fi")

    def spoil_ledger(self) -> None:
        ledger = self.folder / ".hauserpy" / "ledger.json"
        ledger.write_bytes(ledger.read_bytes()[:-20])

    def hauser_loads(self, window: Window, records: Sequence[dict[str, Any]]) -> None:
        names = [f.name for f in catalogue()[:59]]
        text = io.StringIO()
        writer = csv_reader.writer(text)
        writer.writerow(names)
        for record in records:
            folded = {k: v for k, v in record.items() if k not in names}
            row = {**record, "CustomVars": json.dumps(folded)}
            writer.writerow([row.get(name, "") for name in names])
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = str(int(window.start.timestamp()))
        (self.folder / f"{stem}.csv").write_text(text.getvalue(), newline="")
        (self.folder / ".sync.hauser").write_text(rfc3339(window.stop))

    def hauser_checkpoint(self) -> datetime | None:
        mark = self.folder / ".sync.hauser"
        return datetime.fromisoformat(mark.read_text()) if mark.exists() else None

    def close(self) -> None:
        """Nothing is held."""


def read_rows(path: Path) -> Iterator[dict[str, str | None]]:
    """The rows of one data file, as `Backing.rows` gives them."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if ".csv" in path.name:
        yield from _csv_rows(text)
    else:
        for line in text.split("\n")[:-1]:
            yield _typed(json.loads(line))


def _csv_rows(text: str) -> Iterator[dict[str, str | None]]:
    lines = csv_cells(text)
    names = next(lines)
    for cells in lines:
        assert len(cells) == len(names)
        yield {str(n): cell for n, cell in zip(names, cells, strict=True)}


def csv_cells(text: str) -> Iterator[list[str | None]]:
    """RFC 4180 read to the letter, by nobody's library: an empty field is None, ``""`` is empty."""
    cells: list[str | None] = []
    at = 0
    while at < len(text):
        value: str | None
        if text[at] == '"':
            value, at = _quoted(text, at + 1)
        else:
            ends = [e for e in (text.find(c, at) for c in ",\r\n") if e >= 0]
            end = min(ends, default=len(text))
            value, at = text[at:end] or None, end
        cells.append(value)
        if text.startswith(",", at):
            at += 1
            if at == len(text) or text[at] in "\r\n":
                cells.append(None)
            else:
                continue
        newline = "\r\n" if text.startswith("\r\n", at) else "\n"
        assert text.startswith(newline, at), f"a field ends by {text[at : at + 5]!r}"
        at += len(newline)
        yield cells
        cells = []


def _quoted(text: str, at: int) -> tuple[str, int]:
    value = ""
    while True:
        end = text.index('"', at)
        value += text[at:end]
        at = end + 1
        if not text.startswith('"', at):
            return value, at
        value += '"'
        at += 1


def _parquet_rows(path: Path) -> Iterator[dict[str, str | None]]:
    from pyarrow import parquet

    for row in parquet.read_table(path).to_pylist():
        yield _typed(row)


def _typed(row: dict[str, Any]) -> dict[str, str | None]:
    made: dict[str, str | None] = {f.name: None for f in catalogue()}
    types = {f.name: f.type for f in catalogue()}
    for name, value in row.items():
        if value is None:
            made[name] = None
        elif isinstance(value, datetime):
            made[name] = rfc3339(value)
        elif types[name] is FieldType.CUSTOM_VARS and not isinstance(value, str):
            made[name] = json.dumps(value)
        else:
            made[name] = value if isinstance(value, str) else repr(value)
    return made


def csv(request: pytest.FixtureRequest, folder: Path) -> LocalBacking:
    return LocalBacking(folder / "data", StageFormat.CSV, Compression.NONE)


def csv_gzip(request: pytest.FixtureRequest, folder: Path) -> LocalBacking:
    return LocalBacking(folder / "data", StageFormat.CSV, Compression.GZIP)


def jsonl(request: pytest.FixtureRequest, folder: Path) -> LocalBacking:
    return LocalBacking(folder / "data", StageFormat.JSONL, Compression.NONE)


def parquet(request: pytest.FixtureRequest, folder: Path) -> LocalBacking:
    return LocalBacking(folder / "data", StageFormat.PARQUET, Compression.NONE)
