"""JSON that was stored, read; where it is damaged, what is wrong with it, in plain words."""

from __future__ import annotations

import json
from typing import Any


class Damaged(ValueError):
    """Its text says what is wrong: ``it is empty``."""


def parsed(document: bytes | str) -> Any:
    """The value that ``document`` holds; raises Damaged for what is not JSON."""
    try:
        return json.loads(document)
    except json.JSONDecodeError as error:
        if not document.strip():
            raise Damaged("it is empty") from error
        raise Damaged(
            f"it is not whole JSON (line {error.lineno}, column {error.colno})"
        ) from error
    except UnicodeDecodeError as error:
        raise Damaged("it is not text in UTF-8") from error
    except RecursionError as error:
        raise Damaged("it is nested too deeply") from error
    except ValueError as error:
        # Python refuses whole numbers of more than 4,300 digits.
        raise Damaged("it holds a number that is too long") from error
