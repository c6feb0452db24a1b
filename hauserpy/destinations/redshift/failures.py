"""psycopg2's errors as ours: which pass by themselves, and what the operator can do of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

import psycopg2

from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)

_PASSING = {
    "25006",  # read-only, as during a resize
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53200",  # out of memory
    "53300",  # too many connections
    "55P03",  # lock not available
    "57014",  # cancelled, as by workload management
    "57P01",  # the cluster restarts
    "57P02",
    "57P03",
}
_LOAD_FAILED = re.compile(r"Check '?(stl_load_errors|sys_load_error_detail)|^Load into table")
_WRONG_LOGIN = re.compile(
    r"authentication failed|pg_hba|no password supplied|role .* does not exist|IAM Authentication",
    re.IGNORECASE,
)
_MASK = "***"


class Passing(Exception):
    """It may go well at once: the connection broke, or another transaction was in the way."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class LoadFailed(Exception):
    """COPY met a row that it cannot load; the reasons are in the system tables."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Scrubber:
    """Takes secrets out of texts, whoever put them there."""

    def __init__(self, secrets: Iterable[str]) -> None:
        parts: set[str] = set()
        for secret in secrets:
            parts.add(secret)
            # CREDENTIALS 'aws_access_key_id=…;aws_secret_access_key=…;token=…'
            parts.update(piece.partition("=")[2] for piece in secret.split(";"))
        self._parts = sorted((p for p in parts if len(p) > 3), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for part in self._parts:
            text = text.replace(part, _MASK)
        return text


def of_connecting(error: psycopg2.Error, where: str, scrub: Scrubber) -> Exception:
    """An error while connecting, which has no SQLSTATE: Passing, or ours."""
    text = scrub(_first_line(str(error)))
    if _WRONG_LOGIN.search(text):
        return AccessDenied(
            f"{where} refuses the login: {text}.",
            "Check User and Password (or ClusterIdentifier, Workgroup and the IAM policy), and"
            " SslMode, in [redshift].",
        )
    if re.search(r"database .* does not exist", text):
        return ConfigError(f"{where}: {text}.", "Set DB in [redshift] to a database that exists.")
    if re.search(r"certificate|server does not support SSL|sslmode|SSL error", text):
        return ConfigError(
            f"{where} cannot be reached by TLS as configured: {text}.",
            "Check SslMode and SslRootCert in [redshift], and that Host is the one that the"
            " certificate names.",
        )
    return Passing(f"{where} cannot be reached: {text}")


def of_statement(error: psycopg2.Error, scrub: Scrubber) -> Exception:
    """An error that a statement met: Passing, LoadFailed, or ours. Only the server's own message
    is kept: its context would quote the statement, with the credentials of COPY in it."""
    code = error.pgcode or ""
    text = scrub(_first_line(error.diag.message_primary or str(error)))
    if not code or code in _PASSING or code.startswith("08"):
        return Passing(text)
    # "Troubleshooting serializable isolation errors": Redshift's own number, with no SQLSTATE.
    if re.search(r"\b1023\b|[Ss]erializable isolation|could not serialize|\bWLM\b", text):
        return Passing(text)
    if _LOAD_FAILED.search(text):
        return LoadFailed(text)
    if "S3CurlException" in text:
        # COPY has tried it again for many minutes by itself.
        return DestinationUnavailable(
            f"COPY does not reach S3: {text}.",
            "With enhanced VPC routing, or in a workgroup without a way out, the VPC needs an"
            " endpoint for S3. Else run again later.",
        )
    if "S3ServiceException" in text or (
        code.startswith("XX") and re.search(r"IAM [Rr]ole|[Aa]ssume|get credentials", text)
    ):
        return _of_s3(text)
    if code == "53100" or re.search(r"\bdisk full\b", text, re.IGNORECASE):
        return DestinationUnavailable(
            f"Redshift has no room: {text}.", "Free space or resize the cluster, then run again."
        )
    if code == "42501" or code.startswith("28"):
        return AccessDenied(
            f"Redshift denies permission: {text}.",
            "Grant it to the user of [redshift] (the README has the grants to paste).",
        )
    return DestinationRefused(f"Redshift refuses: {text}.", "Nothing was loaded.")


def _of_s3(text: str) -> Exception:
    if re.search(r"PermanentRedirect|Status 301|AuthorizationHeaderMalformed", text):
        return ConfigError(
            f"COPY cannot read S3: {text}.",
            "The bucket is in another region: set Region in [s3] to the bucket's own.",
        )
    if re.search(r"Status 5\d\d|SlowDown|RequestTimeout|InternalError", text):
        return Passing(text)
    if re.search(r"NoSuchBucket", text):
        return ConfigError(f"COPY cannot read S3: {text}.", "Check Bucket in [s3].")
    if re.search(r"NoSuchKey|Status 404", text):
        return DestinationUnavailable(
            f"COPY does not find what was uploaded for it: {text}.",
            "Something else removes objects from the bucket (a lifecycle rule?). Run again.",
        )
    return AccessDenied(
        f"COPY cannot read S3: {text}.",
        "Check IamRole (or Credentials) in [redshift]: the role must be attached to the cluster or"
        " namespace, and may need s3:GetObject and s3:ListBucket on the bucket.",
    )


def unavailable(reason: str, attempts: int) -> HauserpyError:
    """What a Passing error becomes when it does not pass."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return DestinationUnavailable(
        f"{named(reason).rstrip('.')}; tried {times}.", "Run again later."
    )


def named(reason: str) -> str:
    """A reason, said to be Redshift's where it does not say so itself."""
    return reason if reason.startswith("Redshift") else f"Redshift: {reason}"


def too_long(reason: str, timeout: timedelta) -> HauserpyError:
    """What becomes of a statement that was not done within its time-out."""
    minutes = timeout / timedelta(minutes=1)
    return DestinationUnavailable(
        f"Redshift had not done one statement after {minutes:.0f} minutes: {reason.rstrip('.')}.",
        "See what keeps it busy, or what holds a lock (SVV_TRANSACTIONS); then run again: what is"
        " loaded stays loaded.",
    )


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return "the connection was closed"
    # libpq gives the address on a first line of its own for some failures.
    return " ".join(lines[:2]).rstrip(".") if lines[0].endswith(":") else lines[0].rstrip(".")
