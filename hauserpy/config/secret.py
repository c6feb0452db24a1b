"""A text that does not show itself: tokens, passwords, and the values of extra headers."""

from __future__ import annotations

from typing import NoReturn

MASK = "********"


class Secret:
    """Holds a secret text; only `reveal` gives it out.

    ``repr``, ``str``, ``format``, ``dataclasses.asdict`` and a debugger's list of locals show a
    mask, whatever the length of the text. JSON encoders refuse it. Pickled, as on its way to a
    worker process, it leaves its text behind. Equal when the texts are equal.
    """

    __slots__ = ("_text",)

    _text: str | None

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The text. Raises RuntimeError in a process that the secret was pickled to."""
        if self._text is None:
            raise RuntimeError(
                "a secret does not travel between processes; use it where it was read"
            )
        return self._text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return self._text != ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._text is None or other._text is None:
            return self is other
        return self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_withheld, ())

    def __getstate__(self) -> None:
        return None


def _withheld() -> Secret:
    made = Secret("")
    object.__setattr__(made, "_text", None)
    return made
