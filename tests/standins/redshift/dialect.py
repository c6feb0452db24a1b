"""What Redshift's SQL refuses, and how a statement that it takes is put to PostgreSQL.

The rules come from the Amazon Redshift Database Developer Guide: "Unsupported PostgreSQL features",
"Unsupported PostgreSQL data types", "ALTER TABLE", "CREATE TABLE", "LOCK", "BEGIN", "Names and
identifiers" and "Character types".
"""

from __future__ import annotations

import itertools
import re

from tests.standins.redshift.tokens import Reader, Token, text, words
from tests.standins.redshift.wire import SqlError

_VERBS = {
    "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "GRANT", "REVOKE",
    "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "LOCK", "TRUNCATE", "COPY", "SET",
    "SHOW", "RESET", "ANALYZE",
}  # fmt: skip

_REFUSED = (
    (r"\bON CONFLICT\b", "ON CONFLICT is not supported"),
    (r"\bRETURNING\b", "RETURNING is not supported"),
    (r"\bCREATE (UNIQUE )?INDEX\b", "SQL command CREATE INDEX not supported on Redshift tables"),
    (r"\bFROM STDIN\b", "COPY FROM STDIN is not supported"),
    (r"\bFOR (UPDATE|SHARE)\b", "SELECT FOR UPDATE is not supported"),
    (r"\bADD COLUMN IF NOT EXISTS\b", 'syntax error at or near "not"'),
    (r"\b(SKIP LOCKED|NOWAIT)\b", "syntax error"),
    (r"\bCREATE (OR REPLACE )?(TRIGGER|TYPE|DOMAIN|SEQUENCE|RULE|EXTENSION)\b", "not supported"),
    (r"\bTABLESPACE\b|\bINHERITS\b|\bPARTITION BY RANGE\b|\bUNLOGGED\b", "not supported"),
    (r"\bGENERATED ALWAYS\b", "not supported; use IDENTITY"),
    (r"\bpg_(try_)?advisory\w*", "function does not exist"),
    (r"\bDISTINCT ON\b", "SELECT DISTINCT ON is not supported"),
    (r"\b(LISTEN|NOTIFY|SAVEPOINT|PREPARE TRANSACTION)\b", "not supported"),
)

_TYPES_REFUSED = {
    "JSON", "JSONB", "UUID", "BYTEA", "SERIAL", "BIGSERIAL", "MONEY", "XML", "INET", "CIDR",
    "HSTORE", "TSVECTOR", "TSTZRANGE", "INT4RANGE",
}  # fmt: skip

MAX_VARCHAR = 65535


def check(tokens: list[Token]) -> str:
    """The verb of a statement that Redshift takes; raises SqlError for one that it refuses."""
    plain = words(tokens)
    verb = plain[0].upper
    if verb not in _VERBS:
        raise SqlError("42601", f'syntax error at or near "{plain[0].text}"')
    # Names and strings must not look like keywords.
    shape = " ".join(t.upper if t.kind in ("word", "sign", "number") else "?" for t in plain)
    for pattern, reason in _REFUSED:
        if re.search(pattern, shape, re.IGNORECASE):
            raise SqlError("0A000", reason)
    for before, token in itertools.pairwise(plain):
        if token.kind == "word" and token.upper in _TYPES_REFUSED:
            column = verb in ("CREATE", "ALTER") and before.kind in ("word", "quoted")
            if column or before.text == "::":
                raise SqlError(
                    "0A000", f'Column type "{token.text.lower()}" not supported on Redshift'
                )
    if verb in ("BEGIN", "START"):
        _check_begin(plain)
    if verb == "LOCK":
        _check_lock(plain)
    return verb


def _check_begin(plain: list[Token]) -> None:
    reader = Reader(plain)
    if reader.take("START"):
        reader.need("TRANSACTION")
    else:
        reader.need("BEGIN")
        _ = reader.take("WORK") or reader.take("TRANSACTION")
    if reader.take("ISOLATION", "LEVEL") and not (
        reader.take("SERIALIZABLE") or reader.take("READ", "COMMITTED")
        or reader.take("READ", "UNCOMMITTED") or reader.take("REPEATABLE", "READ")
    ):  # fmt: skip
        raise reader.unexpected()
    _ = reader.take("READ", "ONLY") or reader.take("READ", "WRITE")
    if not reader.done:
        raise reader.unexpected()


def _check_lock(plain: list[Token]) -> None:
    """``LOCK [TABLE] name [, …]``: there is no mode, it is always ACCESS EXCLUSIVE."""
    reader = Reader(plain)
    reader.need("LOCK")
    reader.take("TABLE")
    while True:
        reader.name()
        if reader.take("."):
            reader.name()
        if reader.done:
            return
        reader.need(",")


def begin(tokens: list[Token]) -> str:
    """BEGIN without its isolation level, which Redshift takes and ignores."""
    plain = [t.upper for t in words(tokens)]
    return "BEGIN READ ONLY" if plain[-2:] == ["READ", "ONLY"] else "BEGIN"


def with_copy_count(tokens: list[Token], count: int) -> str:
    """The statement with ``pg_last_copy_count()``, which PostgreSQL has not, as a number."""
    return re.sub(r"(?i)\bpg_last_copy_count\s*\(\s*\)", f"({count}::bigint)", text(tokens))


def ddl(tokens: list[Token]) -> str:
    """CREATE TABLE or ALTER TABLE as PostgreSQL would say it."""
    plain = words(tokens)
    if plain[0].upper == "ALTER":
        _check_alter(plain)
    return _without_redshift_clauses(plain)


def _check_alter(plain: list[Token]) -> None:
    clauses = [t for t in plain if t.upper == "ADD"]
    if len(clauses) > 1:
        raise SqlError("42601", "ALTER TABLE ADD COLUMN: only one column can be added a statement")
    shape = " ".join(t.upper for t in plain)
    if re.search(r"DROP NOT NULL|SET NOT NULL|SET DEFAULT|USING", shape):
        raise SqlError("0A000", "ALTER COLUMN SET/DROP is not supported")


def _without_redshift_clauses(plain: list[Token]) -> str:
    """Drops what only Redshift has (sort and distribution keys, encodings) or does not enforce
    (PRIMARY KEY, UNIQUE), and spells VARCHAR's length out."""
    columns = _column_names(plain)
    out: list[str] = []
    reader = Reader(plain)
    constraint_at: int | None = None
    while not reader.done:
        if reader.take("COMPOUND", "SORTKEY") or reader.take("INTERLEAVED", "SORTKEY") or (
            reader.take("SORTKEY")
        ):  # fmt: skip
            if reader.take("AUTO"):
                continue
            for name in _names(reader):
                if name not in columns:
                    raise SqlError("42703", f'column "{name}" named in sort key does not exist')
        elif reader.take("DISTKEY"):
            _names(reader)
        elif reader.take("DISTSTYLE") or reader.take("ENCODE"):
            reader.next()
        elif reader.take("PRIMARY", "KEY") or reader.take("UNIQUE"):
            constraint_at = len(out)
            table_wide = bool(out) and out[-1] in (",", "(")
            if _peek_is(reader, "("):
                _names(reader)
            if table_wide and out[-1] == ",":
                out.pop()
        else:
            out.append(_typed(reader))
    if constraint_at is not None and out and out[-1] == "(":
        raise SqlError("42601", "syntax error: a table without columns")
    return " ".join(out)


def _column_names(plain: list[Token]) -> set[str]:
    """Names that follow the first bracket, or a comma inside it: a superset of the columns."""
    found, depth = set(), 0
    for before, token in itertools.pairwise(plain):
        depth += {"(": 1, ")": -1}.get(before.text, 0)
        if depth == 0 and before.text == ")":
            break
        if depth == 1 and before.text in ("(", ",") and token.kind in ("word", "quoted"):
            found.add(token.value)
    return found


def _peek_is(reader: Reader, sign: str) -> bool:
    token = reader.peek()
    return token is not None and token.text == sign


def _names(reader: Reader) -> list[str]:
    reader.need("(")
    found = [reader.name()]
    while reader.take(","):
        found.append(reader.name())
    reader.need(")")
    return found


def _typed(reader: Reader) -> str:
    """One token, or a VARCHAR type with its length in bytes: 256 unless given, at most 65535."""
    token = reader.next()
    if token.upper == "CHARACTER" and reader.take("VARYING"):
        pass
    elif token.upper in {"TEXT", "BPCHAR"}:
        return "varchar(256)"
    elif token.upper != "VARCHAR":
        return token.text
    if not reader.take("("):
        return "varchar(256)"
    length = MAX_VARCHAR if reader.take("MAX") else int(reader.next().text)
    reader.need(")")
    if not 1 <= length <= MAX_VARCHAR:
        raise SqlError("22023", f"length for type varchar cannot exceed {MAX_VARCHAR}")
    return f"varchar({length})"
