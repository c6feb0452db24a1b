"""Modules stand upon one another: none imports, at once or later, what imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _imported(source: Path) -> Iterator[str]:
    """Also what is imported inside a function, or for the type checker only."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_modules_import_each_other() -> None:
    # A package's __init__ only passes on what its modules hold.
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / "hauserpy").rglob("*.py")
        if path.stem != "__init__"
    }
    graph = {
        name: {other for other in _imported(path) if other in sources and other != name}
        for name, path in sources.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
