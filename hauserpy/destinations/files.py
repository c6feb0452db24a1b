"""What local folders and object stores have in common: names, the ledger's document, hauser's mark.

The commit point is one small document, ``.hauserpy/ledger.json``. hauser's own checkpoint,
``.sync.hauser`` (RFC 3339, seconds), is kept beside it so that hauser could go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import orjson

from hauserpy.config import Settings
from hauserpy.destinations.reading import Damaged, parsed
from hauserpy.destinations.scope import Scope, known, refuse_other, scope_of
from hauserpy.entries import EntryKind, LedgerEntry, StoredFile
from hauserpy.errors import DestinationRefused, HauserHasRun, LedgerUnreadable
from hauserpy.fields import Field, as_exported, table_columns
from hauserpy.layout import (
    Column,
    Compression,
    CustomVarsKind,
    FieldType,
    Layout,
    StageFormat,
    extension,
)
from hauserpy.ledger import Ledger
from hauserpy.model import A_TIME, BEGINNING, Check, Window, read_rfc3339, rfc3339, shown

LEDGER = ".hauserpy/ledger.json"
HAUSER_MARK = ".sync.hauser"
_VERSION = 1
_T = TypeVar("_T")
_ONE_EACH = (
    "Give each configuration a SaveDir, a Bucket or a path in it of its own. If it is meant to go on"
    ' here with the other one, take "scope" out of {}.'
)


def layout(settings: Settings, fields: tuple[Field, ...]) -> Layout:
    """Files have the catalogue's columns, and no BundleStartTime: a file is its window."""
    columns: tuple[Column, ...] = tuple(
        c for c in table_columns(fields) if c.type is not FieldType.WINDOW_START
    )
    jsonl = settings.format is StageFormat.JSONL
    return Layout(
        columns=as_exported(columns) if jsonl else columns,
        format=settings.format,
        compression=settings.compression,
        custom_vars=CustomVarsKind.OBJECT if jsonl else CustomVarsKind.TEXT,
    )


def file_name(prefix: str, window: Window, format: StageFormat, compression: Compression) -> str:
    """``<FilePrefix><start, Unix seconds>.<extension>``, as hauser 1.x names its files.

    A start within a second has its microseconds as well: another window may begin in that second.
    """
    micros = window.start.microsecond
    start = int(window.start.replace(microsecond=0).timestamp())
    return f"{prefix}{start}{f'.{micros:06d}' if micros else ''}.{extension(format, compression)}"


def file_scope(settings: Settings) -> Scope:
    return scope_of(settings, "FilePrefix", settings.file_prefix)


def check(
    name: str,
    entries: Iterable[LedgerEntry],
    is_whole: Callable[[StoredFile], bool | None],
    by: str = "",
) -> Check:
    """Whether what the ledger names is there as it was loaded. ``is_whole`` tells it of each file, and
    None of one that is gone, which is no fault; ``by`` says by what it tells."""
    told = [(entry, file, is_whole(file)) for entry in entries for file in entry.files]
    differing = [(entry, file) for entry, file, whole in told if whole is False]
    missing = sum(whole is None for _, _, whole in told)
    moved = f", {missing} moved away since" if missing else ""
    if not differing:
        return Check(name, ok=True, detail=f"{len(told) - missing} whole{by}{moved}")
    window, first = differing[0][0].window, differing[0][1].name
    count = "1 differs" if len(differing) == 1 else f"{len(differing)} differ"
    return Check(
        name,
        ok=False,
        detail=f"{count} from what was loaded, first {first}{moved}",
        remedy="Load its window again: hauserpy backfill --replace"
        f" --since {rfc3339(window.start)} --until {rfc3339(window.stop)}; then check again.",
    )


def encode(ledger: Ledger, scope: Scope) -> bytes:
    """The ledger as its document: JSON, an entry a line, so that people can read and diff it."""
    entries = b",\n  ".join(orjson.dumps(e.to_json()) for e in ledger.entries)
    checkpoint = None if ledger.checkpoint is None else rfc3339(ledger.checkpoint)
    head = {"version": _VERSION, "scope": dict(scope), "checkpoint": checkpoint}
    return b'%b,"entries":[\n  %b\n]}\n' % (orjson.dumps(head)[:-1], entries)


def decode(document: bytes, place: str, scope: Scope) -> Ledger:
    """The inverse of `encode`; raises LedgerUnreadable for anything else, and ConfigError for a
    ledger of another scope. One that names none is taken for ours."""
    try:
        data = parsed(document)
        if not isinstance(data, dict) or not isinstance(data.get("entries"), list):
            raise Damaged('it is no ledger, which is a JSON object with a list "entries"')
        version = _value(data, "version", int, "a whole number")
        if version > _VERSION:
            raise LedgerUnreadable(
                f"{place} is of version {version}; this hauserpy reads {_VERSION}.",
                "Upgrade hauserpy; nothing was changed.",
            )
        if "scope" in data:
            refuse_other(known(data["scope"], place), scope, place, _ONE_EACH.format(place))
        checkpoint = _value(data, "checkpoint", _optional_time, A_TIME)
        return Ledger.of(_entries(data["entries"], place), checkpoint, place)
    except Damaged as damaged:
        names = " and ".join(hauser_marks(scope.get("FilePrefix", "")))
        raise LedgerUnreadable(
            f"{place} cannot be read: {damaged}.",
            "It is never taken for an empty ledger: restore it from a backup. To load everything"
            f" anew, move it away together with {names}, which alone would count as what hauser has"
            " loaded.",
        ) from damaged


def hauser_marks(prefix: str) -> tuple[str, ...]:
    """The names of hauser's mark, which it reads without the ``FilePrefix`` and writes with it."""
    return tuple(dict.fromkeys((HAUSER_MARK, prefix + HAUSER_MARK)))


def _value(data: Mapping[str, Any], key: str, read: Callable[[Any], _T], shape: str) -> _T:
    if key not in data:
        raise Damaged(f'"{key}" is missing')
    try:
        return read(data[key])
    except (TypeError, ValueError, OverflowError) as error:
        raise Damaged(f'"{key}" is {shown(data[key])}, and must be {shape}') from error


def _optional_time(text: Any) -> datetime | None:
    return None if text is None else read_rfc3339(text)


def _entries(listed: Iterable[Any], place: str) -> Iterator[LedgerEntry]:
    for number, entry in enumerate(listed, 1):
        if not isinstance(entry, dict):
            raise Damaged(f"entry {number} is {shown(entry)}, and must be an object")
        yield LedgerEntry.from_json(entry, f"{place}, entry {number},")


def hauser_mark(checkpoint: datetime) -> bytes:
    """What hauser writes to ``.sync.hauser``: RFC 3339, whole seconds."""
    return rfc3339(checkpoint.replace(microsecond=0)).encode()


def read_hauser_mark(text: bytes, place: str) -> datetime:
    """Raises LedgerUnreadable for an empty or damaged mark, which a crash of hauser leaves."""
    try:
        return _mark_time(text)
    except Damaged as damaged:
        raise LedgerUnreadable(
            f"{place}, the checkpoint of the Go hauser, cannot be read: {damaged}.",
            "Where hauserpy has loaded before, remove it: it is written anew from the ledger. Else"
            " a crash of hauser left it so: write the end of the last good file's window into it"
            " (like 2026-11-23T04:00:00Z), or remove it to load everything anew.",
        ) from damaged


def _mark_time(text: bytes) -> datetime:
    try:
        said = text.decode().strip()
    except UnicodeDecodeError as error:
        raise Damaged("it is not text in UTF-8") from error
    if not said:
        raise Damaged("it is empty")
    try:
        moment = read_rfc3339(said)
    except ValueError as error:
        raise Damaged(f"it says {shown(said)}, which is not a time with its zone") from error
    if moment < BEGINNING:
        raise Damaged(f"it says {shown(said)}, a time before 1970")
    return moment


def settle(ledger: Ledger | None, mark: datetime | None, place: str) -> Ledger:
    """The ledger in force, from our own and the Go hauser's mark.

    Without a ledger of ours, the mark becomes the baseline; a mark ahead of ours means that hauser
    has run since: HauserHasRun.
    """
    if ledger is None:
        return Ledger() if mark is None else Ledger().with_baseline(mark)
    if mark is not None and (ledger.checkpoint is None or mark > ledger.checkpoint):
        ours = "none" if ledger.checkpoint is None else rfc3339(ledger.checkpoint)
        raise HauserHasRun(
            f"{place} says {rfc3339(mark)}, our checkpoint is {ours}: the Go hauser has run since"
            " hauserpy did.",
            "Stop one of them. To go on with hauserpy, set that file back to our checkpoint and"
            " remove the files that hauser wrote after it.",
        )
    return ledger


def refuse_baseline(ledger: Ledger, window: Window) -> None:
    """Raise DestinationRefused when ``window`` reaches into what the Go hauser wrote: its files
    cannot be told apart by window, so that rows would be doubled."""
    for entry in ledger.overlapping(window):
        if entry.kind is EntryKind.HAUSER:
            raise DestinationRefused(
                f"{window} lies in what the Go hauser wrote (up to {rfc3339(entry.window.stop)});"
                " its files cannot be replaced by window.",
                "Backfill into another folder or bucket path instead.",
            )


def refuse_part(
    ledger: Ledger, present: Ledger, window: Window, exists: Callable[[str], bool]
) -> None:
    """Raise DestinationRefused when ``window`` is a part of that of an entry whose file ``exists``, but
    not as it was loaded: it would go, and with it rows that the load does not bring.

    ``present`` is the ledger without the entries whose files are not as they should be.
    """
    there = {entry.load for entry in present.overlapping(window)}
    for entry in ledger.overlapping(window):
        altered = entry.load not in there and any(exists(file.name) for file in entry.files)
        if altered and not window.covers(entry.window):
            since, until = rfc3339(entry.window.start), rfc3339(entry.window.stop)
            raise DestinationRefused(
                f"{window} is a part of {entry.window}, whose file {entry.files[0].name} is not as it"
                " was loaded; it would be removed.",
                f"Load all of it (`hauserpy backfill --replace --since {since} --until {until}`), or"
                " move the file away first.",
            )
