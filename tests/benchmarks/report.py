"""What was measured, as a table for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass
class Runs:
    """The runs of one form with one number of workers (or of the whole program)."""

    form: str
    workers: int
    ratios: list[float] = field(default_factory=list)
    """Of each run's speed to zlib's, which was measured just before it."""
    of_parse: list[float] = field(default_factory=list)
    """The same, to orjson's, for raw bundles."""
    rates: list[float] = field(default_factory=list)
    """MB of JSON text a second."""
    parent_shares: list[float] = field(default_factory=list)
    """Of the parent's CPU time in that of all processes."""
    cpu_rates: list[float] = field(default_factory=list)
    """MB of JSON text for each CPU second of all processes."""
    peak_mb: float | None = None

    def to_json(self) -> dict[str, Any]:
        return vars(self)


@dataclass
class Report:
    """Everything that one run of the command found."""

    machine: dict[str, str]
    data: str
    zlib: list[float] = field(default_factory=list)
    isal: list[float] = field(default_factory=list)
    zlib_at_once: list[float] = field(default_factory=list)
    parse: list[float] = field(default_factory=list)
    worth_of_two: list[float] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no ratio: speed-up, overlap, CPU time of commands."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "runs": [runs.to_json() for runs in self.runs]}

    def text(self) -> str:
        return "\n".join([*_aligned([_HEAD, *self._rows()]), "", *self._remarks()])

    def markdown(self) -> str:
        lines = ["| " + " | ".join(row) + " |" for row in (_HEAD, _RULE, *self._rows())]
        return "\n".join([*lines, "", *(f"- {remark}" for remark in self._remarks())])

    def _rows(self) -> list[tuple[str, ...]]:
        return [_row(runs) for runs in self.runs if runs.rates]

    def _remarks(self) -> list[str]:
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        told = [f"Data: {self.data}.", f"Machine: {machine}."]
        if self.zlib:
            told.append(
                f"Bounds on one core (min / median / max): zlib in pieces {_spread(self.zlib)} MB/s,"
                f" which is what shares are of; zlib.decompress of a whole body"
                f" {_spread(self.zlib_at_once)}; isal in pieces {_spread(self.isal)}."
            )
        if self.parse:
            told.append(f"orjson parses {_spread(self.parse)} MB/s on one core.")
        if self.worth_of_two:
            least, middle, most = (f(self.worth_of_two) for f in (min, median, max))
            told.append(
                f"Two zlibs at once unpack {least:.2f} / {middle:.2f} / {most:.2f} times what one does."
            )
        return told + self.notes


_HEAD = (
    "form",
    "workers",
    "share of zlib: min",
    "median",
    "max",
    "MB/s",
    "MB per CPU s",
    "parent's CPU",
    "peak PSS",
)
_RULE = ("---", *["---:"] * (len(_HEAD) - 1))


def _row(runs: Runs) -> tuple[str, ...]:
    return (
        runs.form,
        str(runs.workers),
        f"{min(runs.ratios):.1%}",
        f"{median(runs.ratios):.1%}",
        f"{max(runs.ratios):.1%}",
        f"{median(runs.rates):.0f}",
        f"{median(runs.cpu_rates):.0f}",
        f"{median(runs.parent_shares):.0%}" if runs.parent_shares else "",
        f"{runs.peak_mb:.0f} MB" if runs.peak_mb is not None else "",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.0f} / {median(values):.0f} / {max(values):.0f}"


def speed_up(runs: Sequence[Runs]) -> list[str]:
    """What the second worker adds, form by form."""
    rates = {(one.form, one.workers): one.ratios for one in runs if one.ratios}
    return [
        f"{form}: 2 workers are {median(rates[form, 2]) / median(one):.2f} times as fast as 1."
        for (form, workers), one in rates.items()
        if workers == 1 and (form, 2) in rates
    ]


def beside_the_parse(runs: Sequence[Runs]) -> list[str]:
    """How near raw bundles, which are but validated, come to being parsed by as many cores."""
    return [
        f"{one.form}, {one.workers} workers: {median(one.of_parse) / one.workers:.0%} of what orjson parses on"
        " as many cores."
        for one in runs
        if one.of_parse
    ]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    told = {"cores": str(os.cpu_count()), "CPU": _cpu_model(), "Python": platform.python_version()}
    for package in ("orjson", "pysimdjson", "isal", "pyarrow"):
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            continue
    return told


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
