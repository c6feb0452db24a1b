"""The JSON answer of a command on stdout: the same head for each, also when the command fails."""

from __future__ import annotations

import json
from typing import Any

from hauserpy.errors import HauserpyError


def answer(command: str, found: dict[str, Any], error: HauserpyError | None = None) -> str:
    """One object: ``command``, ``ok``, ``exit_code``, ``error``, and what the command found.

    ``error`` is null or ``{"kind", "reason", "instruction"}``; ``kind`` is a class of
    `hauserpy.errors`.
    """
    head = {
        "command": command,
        "ok": error is None,
        "exit_code": 0 if error is None else error.exit_code,
        "error": None if error is None else _told(error),
    }
    return json.dumps({**head, **found}, ensure_ascii=False)


def _told(error: HauserpyError) -> dict[str, str]:
    return {
        "kind": error.kind,
        "reason": error.reason,
        "instruction": error.instruction,
    }
