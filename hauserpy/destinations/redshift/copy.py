"""The COPY statement, and why one failed.

From the Database Developer Guide: NULL AS '\\000' makes a field of one NUL byte NULL, while an empty
field is an empty string in a VARCHAR column and NULL elsewhere ("Data conversion parameters");
TIMEFORMAT 'auto', in lower case, reads ``1996-01-08 04:05:06.789`` ("Using automatic recognition
with DATEFORMAT and TIMEFORMAT"); CSV for a SUPER column holds JSON on a single line ("Loading
semi-structured data"); with a manifest, exactly its files are loaded, and each is mandatory ("Using
a manifest to specify data files").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hauserpy.config import RedshiftSettings
from hauserpy.destinations.redshift.connection import Link
from hauserpy.destinations.redshift.tables import quoted
from hauserpy.errors import ConfigError, DestinationRefused, HauserpyError

NULL = "\0"
_SHOWN = 5
_TRIES = 4


def statement(
    table: str,
    columns: Sequence[str],
    manifest: str,
    settings: RedshiftSettings,
    region: str | None,
    *,
    noload: bool = False,
) -> str:
    """Holds credentials: never to be logged. ``table`` is quoted already.

    Raises ConfigError without IamRole and Credentials.
    """
    listed = ", ".join(quoted(c) for c in columns)
    options = [f"REGION {_literal(region)}"] if region else []
    options += [r"FORMAT AS CSV GZIP MANIFEST TIMEFORMAT 'auto' NULL AS '\000'"]
    if noload:
        options.append("NOLOAD")
    return (
        f"COPY {table} ({listed}) FROM {_literal(manifest)}"
        f" {_authorization(settings)} {' '.join(options)}"
    )


def _authorization(settings: RedshiftSettings) -> str:
    if settings.iam_role:
        if settings.iam_role.lower() == "default":
            return "IAM_ROLE default"
        return f"IAM_ROLE {_literal(settings.iam_role)}"
    if settings.credentials is not None:
        return f"CREDENTIALS {_literal(settings.credentials.reveal())}"
    raise ConfigError(
        "COPY needs permission to read S3, and neither IamRole nor Credentials is set.",
        "Set IamRole in [redshift] to the ARN of a role that is attached to the cluster.",
    )


def _literal(text: str) -> str:
    # Whether a backslash escapes depends on the server; no name or key that COPY takes has one.
    if "\\" in text or any(ord(c) < 32 for c in text):
        raise ConfigError(
            "a setting that COPY needs (Bucket, Region, IamRole or Credentials) holds a backslash"
            " or a control character.",
            "Correct it.",
        )
    return "'" + text.replace("'", "''") + "'"


def count(link: Link) -> int:
    """Rows that this session's last COPY loaded ("PG_LAST_COPY_COUNT")."""
    ((rows,),) = link.execute("SELECT pg_last_copy_count()")
    return int(rows)


def refusal(link: Link, what: str, load: str, told: str, sleep: Callable[[float], None]) -> (
    HauserpyError
):  # fmt: skip
    """What to raise after a COPY failed and was rolled back: lines, columns and reasons by file.

    ``load`` is in the names of the files. The views show users their own loads only; the newer one
    is missing on older clusters. The rows' values are not repeated: they are people's data.
    """
    found: list[tuple[Any, ...]] = []
    for attempt in range(_TRIES):
        found = _reasons(link, load)
        if found or attempt == _TRIES - 1:
            break
        sleep(0.5 * 2**attempt)
    told_by = [_reason(*row) for row in found[:_SHOWN]]
    if len(found) > _SHOWN:
        told_by.append(f"and {len(found) - _SHOWN} more")
    why = "; ".join(told_by) or told.rstrip(".")
    return DestinationRefused(
        f"{what}: Redshift refuses rows: {why}. Nothing was loaded.",
        "Compare the columns' types with the table's. sys_load_error_detail (or stl_load_errors)"
        " keeps the details for some days.",
    )


def _reasons(link: Link, load: str) -> list[tuple[Any, ...]]:
    newer = (
        "SELECT trim(file_name), line_number, trim(column_name), trim(column_type),"
        " trim(error_message) FROM sys_load_error_detail WHERE strpos(file_name, %s) > 0"
        " ORDER BY 1, 2"
    )
    older = (
        "SELECT trim(filename), line_number, trim(colname), trim(type), trim(err_reason)"
        " FROM stl_load_errors WHERE strpos(filename, %s) > 0 ORDER BY 1, 2"
    )
    for query in (newer, older):
        try:
            found = link.execute(query, (load,))
        except HauserpyError:
            continue
        if found:
            return found
    return []


def _reason(file: str, line: int, column: str, type_: str, reason: str) -> str:
    where = f"{file.rpartition('/')[2]} line {line}"
    if column:
        where += f", column {column}" + (f" ({type_})" if type_ else "")
    return f"{where}: {' '.join(reason.split()).rstrip('.')}"
