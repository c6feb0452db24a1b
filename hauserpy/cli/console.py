"""What people and log collectors see on stderr while a run goes: lines, or bars on a terminal."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

from hauserpy.cli.options import Common
from hauserpy.engine.report import Summary
from hauserpy.entries import EntryKind, LedgerEntry
from hauserpy.errors import HauserpyError
from hauserpy.model import Bundle, rfc3339
from hauserpy.waiting import NOTICE, span


def size(count: float) -> str:
    """``1.4 MB``: powers of a thousand, as the export's documents count."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def many(count: int, what: str) -> str:
    """``1 record``, ``2,000 records``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def changes_text(summary: dict[str, dict[str, int]]) -> str:
    """``unfit: EventStart 3, PageUrl 1; nul_removed: UserEmail 2``."""
    return "; ".join(
        f"{kind}: " + ", ".join(f"{column} {times}" for column, times in columns.items())
        for kind, columns in summary.items()
    )


class Console:
    """A `hauserpy.engine.report.Reporter` that writes a line for each thing worth one."""

    before_a_line = ""
    """What goes before a line that is not written by the console itself."""
    before_the_end = ""
    """And before the last one of all, when there is no time to close it."""

    def __init__(self, common: Common) -> None:
        self._json = common.log_format == "json"
        self.quiet = common.quiet
        self._verbose = common.verbose

    def note(self, message: str) -> None:
        if not self.quiet:
            self._line("info", message)

    def detail(self, message: str) -> None:
        if self._verbose:
            self._line("debug", message)

    def warning(self, message: str) -> None:
        self._line("warning", message)

    def failed(self, error: HauserpyError) -> None:
        """What ended the command."""
        self._line("error", str(error), code=error.exit_code, kind=error.kind)

    def began(self, bundle: Bundle) -> None:
        self.detail(f"bundle {bundle}: fetching")

    def fetched(self, bundle: Bundle, bytes: int, total: int | None) -> None: ...

    def preparing(self, bundle: Bundle, percent: int | None) -> None:
        done = "" if percent is None else f", {percent} % done"
        self.detail(f"bundle {bundle}: the API is making the export{done}")

    def staged(self, bundle: Bundle, records: int, bytes: int, read: int) -> None: ...

    def loading(self, bundle: Bundle) -> None:
        self.detail(f"bundle {bundle}: loading")

    def loaded(self, entry: LedgerEntry, seconds: float) -> None:
        if self.quiet:
            return
        changed = changes_text(entry.changes.to_json())
        what = f"{entry.bundle} " if entry.bundle else ""
        self._line(
            "info",
            f"loaded {what}({entry.window}): {many(entry.records, 'record')}, {size(entry.bytes)}"
            + (f"; altered: {changed}" if changed else ""),
            bundle=entry.bundle,
            window=str(entry.window),
            records=entry.records,
            bytes=entry.bytes,
            changes=entry.changes.to_json(),
            load=entry.load,
        )

    def close(self) -> None: ...

    def line(self, level: str, message: str, **fields: Any) -> str:
        """How a message is written."""
        if self._json:
            told = {"time": rfc3339(datetime.now(UTC)), "level": level, "message": message}
            return json.dumps({**told, **fields}, ensure_ascii=False)
        head = "" if level in ("info", "debug") else f"{level}: "
        return f"hauserpy: {head}{message}"

    def _line(self, level: str, message: str, **fields: Any) -> None:
        self._write(self.line(level, message, **fields))

    def _write(self, text: str) -> None:
        # In one piece: print() writes the line's end on its own, and threads talk at once.
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Live(Console):
    """The same on a terminal, with a bar for each bundle on its way."""

    before_a_line = "\r\x1b[2K"  # the cursor stands behind the last bar
    before_the_end = "\r\x1b[2K\x1b[?25h"  # and is hidden meanwhile

    def __init__(self, common: Common) -> None:
        super().__init__(common)
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._terminal = Terminal(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True),
            console=self._terminal,
            transient=True,
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, Any] = {}
        self._state: dict[str, dict[str, float]] = {}
        self._bars.start()

    def began(self, bundle: Bundle) -> None:
        with self._lock:
            # One that is on its way already is fetched anew, or in another part.
            if (before := self._tasks.get(bundle.id)) is not None:
                self._bars.remove_task(before)
            self._tasks[bundle.id] = self._bars.add_task(
                f"{bundle.id[:32]} {bundle.window.start:%Y-%m-%d %H:%M}", total=None, said=""
            )
            self._state[bundle.id] = {"began": time.monotonic()}

    def fetched(self, bundle: Bundle, bytes: int, total: int | None) -> None:
        self._update(bundle, fetched=bytes, total=total or 0)

    def preparing(self, bundle: Bundle, percent: int | None) -> None:
        self._update(bundle, preparing=percent or 0)

    def staged(self, bundle: Bundle, records: int, bytes: int, read: int) -> None:
        self._update(bundle, records=records, text=bytes, read=read)

    def loading(self, bundle: Bundle) -> None:
        self._update(bundle, loading=1)

    def loaded(self, entry: LedgerEntry, seconds: float) -> None:
        with self._lock:
            task = self._tasks.pop(f"{entry.bundle}", None)
            self._state.pop(f"{entry.bundle}", None)
            if task is not None:
                self._bars.remove_task(task)
        super().loaded(entry, seconds)

    def close(self) -> None:
        self._bars.stop()

    def _update(self, bundle: Bundle, **news: float) -> None:
        with self._lock:
            if bundle.id not in self._tasks:
                return
            state = self._state[bundle.id]
            state.update(news)
            total = state.get("total") or None
            self._bars.update(
                self._tasks[bundle.id],
                total=total,
                completed=state.get("read", 0),
                said=self._said(state),
            )

    def _said(self, state: dict[str, float]) -> str:
        if "loading" in state:
            return f"{state.get('records', 0):,.0f} records, loading"
        said = []
        if "preparing" in state and "fetched" not in state:
            said.append(f"export {state['preparing']:.0f} % made")
        if "fetched" in state:
            said.append(size(state["fetched"]))
        if "records" in state:
            seconds = max(time.monotonic() - state["began"], 0.001)
            said.append(f"{state['records']:,.0f} records")
            said.append(f"{size(state['text'] / seconds)}/s")
        return ", ".join(said)

    def _write(self, text: str) -> None:
        self._terminal.print(text, markup=False, soft_wrap=True)


class _Handler(logging.Handler):
    """What the library logs, told as the console tells everything."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._console.warning(record.getMessage())
        elif record.levelno >= NOTICE:
            self._console.note(record.getMessage())
        else:
            self._console.detail(record.getMessage())


def hear(console: Console) -> None:
    """Let the console tell what hauserpy's own loggers say; those of SDKs stay silent, since some
    of them log signed URLs."""
    logger = logging.getLogger("hauserpy")
    logger.handlers = [_Handler(console)]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    for name in ("urllib3", "botocore", "boto3", "google"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def console_for(common: Common) -> Console:
    """Bars on a terminal; lines through a pipe, in JSON, or when quiet."""
    if sys.stderr.isatty() and common.log_format == "text" and not common.quiet:
        return Live(common)
    return Console(common)


def _taken(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def summary_text(summary: Summary, now: datetime, nothing: str = "nothing was due") -> str:
    """What a run did, in a few lines for people; ``nothing`` where it loaded none."""
    loaded = [e for e in summary.loaded if e.kind is not EntryKind.SKIP]
    lines = [f"gave up {e.window}: {e.reason}" for e in summary.loaded if e not in loaded]
    if loaded:
        rate = summary.bytes / summary.seconds if summary.seconds else 0
        lines.append(
            f"loaded {many(summary.bundles, 'bundle')}: {many(summary.records, 'record')},"
            f" {size(summary.bytes)}"
            f" in {_taken(summary.seconds)} ({size(rate)}/s)"
        )
    elif not lines:
        lines.append(nothing)
    changed = summary.changes.to_json()
    if loaded:
        lines.append(f"altered: {changes_text(changed) or 'nothing'}")
    lines += [f"passed over {window}, loaded before" for window in summary.passed]
    if summary.checkpoint is not None:
        lag = (now - summary.checkpoint).total_seconds()
        lines.append(f"checkpoint {rfc3339(summary.checkpoint)}, {span(max(lag, 0))} behind now")
    return "\n".join(lines)
