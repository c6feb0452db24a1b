"""SQL text as tokens: enough to tell words from strings and comments, and to put it together again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.standins.redshift.wire import SqlError

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<string>'(?:[^'\\]|''|\\.)*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<sign>::|<>|<=|>=|!=|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)

MAX_NAME = 63
"""PostgreSQL's own limit; Redshift's is 127, which the stand-in cannot model."""


@dataclass(frozen=True)
class Token:
    kind: str
    text: str

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def value(self) -> str:
        """The text of a string or the folded name of an identifier."""
        if self.kind == "string":
            return self.text[1:-1].replace("''", "'")
        if self.kind == "quoted":
            return fold(self.text[1:-1].replace('""', '"'))
        return fold(self.text)


def fold(name: str) -> str:
    """ASCII letters to lower case, quoted or not, as "Names and identifiers" says."""
    return "".join(c.lower() if c.isascii() else c for c in name)


def tokenize(sql: str) -> list[Token]:
    """All tokens, spaces included; raises SqlError for a string or name that does not end."""
    made, at = [], 0
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        if found is None:
            raise SqlError("42601", f"syntax error at position {at}")
        kind = found.lastgroup if found.lastgroup != "tag" else "dollar"
        assert kind is not None
        text = found.group()
        if kind == "sign" and text in ("'", '"'):
            raise SqlError("42601", "unterminated quoted string")
        if kind == "quoted":
            name = fold(text[1:-1])
            if len(name.encode()) > MAX_NAME:
                raise SqlError("0A000", "stand-in: names over 63 bytes are not modelled")
            text = f'"{name}"'
        made.append(Token(kind, text))
        at = found.end()
    return made


def statements(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The statements between semicolons, without leading space and without empty ones."""
    current: list[Token] = []
    for token in tokens:
        if token.kind == "sign" and token.text == ";":
            if words(current):
                yield current
            current = []
        elif current or token.kind != "space":
            current.append(token)
    if words(current):
        yield current


def words(tokens: Iterable[Token]) -> list[Token]:
    """Without the spaces."""
    return [t for t in tokens if t.kind != "space"]


def text(tokens: Iterable[Token]) -> str:
    return "".join(t.text for t in tokens)


class Reader:
    """Reads a statement's words one by one, for the closed grammars."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = words(tokens)
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> Token | None:
        return None if self.done else self._tokens[self._at]

    def next(self) -> Token:
        if self.done:
            raise SqlError("42601", "syntax error at end of input")
        self._at += 1
        return self._tokens[self._at - 1]

    def take(self, *upper: str) -> bool:
        """Go past these words if they are next."""
        ahead = [t.upper for t in self._tokens[self._at : self._at + len(upper)]]
        if ahead == list(upper):
            self._at += len(upper)
            return True
        return False

    def need(self, *upper: str) -> None:
        if not self.take(*upper):
            raise self.unexpected()

    def name(self) -> str:
        token = self.next()
        if token.kind not in ("word", "quoted"):
            raise SqlError("42601", f'syntax error at or near "{token.text}"')
        return token.value

    def string(self) -> str:
        token = self.next()
        if token.kind != "string":
            raise SqlError("42601", f'syntax error at or near "{token.text}"')
        return token.value

    def unexpected(self) -> SqlError:
        token = self.peek()
        if token is None:
            return SqlError("42601", "syntax error at end of input")
        return SqlError("42601", f'syntax error at or near "{token.text}"')
