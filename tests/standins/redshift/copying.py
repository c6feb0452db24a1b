"""COPY … FROM 's3://…': a closed grammar, and the objects that it names, as rows.

The rules come from the Developer Guide's "COPY", "Using a manifest to specify data files" (a
missing file fails only when mandatory, none at all always), "Authorization parameters" and
"Data load operations".
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.standins.redshift.tokens import Reader, Token
from tests.standins.redshift.values import LoadError, Options, Target, convert, records
from tests.standins.redshift.wire import SqlError


@dataclass
class CopyCommand:
    """A COPY statement, parsed. ``table`` is as written, ``columns`` folded."""

    table: tuple[str, ...]
    source: str
    columns: tuple[str, ...] = ()
    authorization: str = ""
    region: str = ""
    gzip: bool = False
    manifest: bool = False
    noload: bool = False
    null: bytes = rb"\N"
    time_auto: bool = False
    empty_as_null: bool = False
    accept_invalid: bool = False
    options: set[str] = field(default_factory=set)

    @property
    def target(self) -> str:
        return ".".join(f'"{part}"' for part in self.table)

    @property
    def stdin(self) -> str:
        """The same load as PostgreSQL takes it: rows in text format over the wire."""
        columns = ", ".join(f'"{c}"' for c in self.columns)
        return f"COPY {self.target} {f'({columns})' if columns else ''} FROM STDIN"


def parse(tokens: list[Token]) -> CopyCommand:
    """Raises SqlError for what Redshift refuses, and for what the stand-in does not model."""
    reader = Reader(tokens)
    reader.need("COPY")
    table = [reader.name()]
    while reader.take("."):
        table.append(reader.name())
    columns: list[str] = []
    if reader.take("("):
        columns.append(reader.name())
        while reader.take(","):
            columns.append(reader.name())
        reader.need(")")
    reader.need("FROM")
    if reader.take("STDIN"):
        raise SqlError("0A000", "COPY FROM STDIN is not supported")
    source = reader.string()
    if not source.startswith("s3://"):
        raise SqlError("0A000", "stand-in: only COPY FROM 's3://…' is modelled")
    made = CopyCommand(tuple(table), source, tuple(columns))
    while not reader.done:
        name = _option(reader, made)
        if name in made.options:
            raise SqlError("42601", f"conflicting or redundant options: {name}")
        made.options.add(name)
    if "FORMAT" not in made.options:
        raise SqlError("0A000", "stand-in: only FORMAT CSV is modelled")
    if "AUTHORIZATION" not in made.options:
        raise SqlError("42601", "COPY requires IAM_ROLE, CREDENTIALS or access keys")
    return made


def _option(reader: Reader, made: CopyCommand) -> str:
    if reader.take("IAM_ROLE"):
        made.authorization = "default" if reader.take("DEFAULT") else reader.string()
        return "AUTHORIZATION"
    if reader.take("WITH", "CREDENTIALS") or reader.take("CREDENTIALS"):
        reader.take("AS")
        made.authorization = _credentials(reader.string())
        return "AUTHORIZATION"
    if reader.take("ACCESS_KEY_ID"):
        made.authorization = reader.string()
        reader.need("SECRET_ACCESS_KEY")
        reader.string()
        if reader.take("SESSION_TOKEN"):
            reader.string()
        return "AUTHORIZATION"
    if reader.take("REGION"):
        reader.take("AS")
        made.region = reader.string()
        return "REGION"
    if reader.take("FORMAT"):
        reader.take("AS")
        reader.need("CSV")
        return "FORMAT"
    if reader.take("CSV"):
        return "FORMAT"
    if reader.take("DELIMITER"):
        reader.take("AS")
        if reader.string() != ",":
            raise SqlError("0A000", "stand-in: only DELIMITER ',' is modelled")
        return "DELIMITER"
    if reader.take("GZIP"):
        made.gzip = True
        return "GZIP"
    if reader.take("MANIFEST"):
        made.manifest = True
        return "MANIFEST"
    if reader.take("NOLOAD"):
        made.noload = True
        return "NOLOAD"
    if reader.take("TIMEFORMAT"):
        reader.take("AS")
        if reader.string() != "auto":
            raise SqlError("0A000", "stand-in: only TIMEFORMAT 'auto' is modelled (case matters)")
        made.time_auto = True
        return "TIMEFORMAT"
    if reader.take("NULL"):
        reader.take("AS")
        text = reader.string()
        made.null = b"\0" if text in (r"\0", r"\000") else text.encode()
        return "NULL"
    if reader.take("EMPTYASNULL"):
        made.empty_as_null = True
        return "EMPTYASNULL"
    if reader.take("ACCEPTINVCHARS"):
        made.accept_invalid = True
        return "ACCEPTINVCHARS"
    raise reader.unexpected()


def _credentials(text: str) -> str:
    """The role or the access key id of a CREDENTIALS string."""
    if " " in text:
        raise SqlError("42601", "Invalid credentials. Must be of the format: credentials '…'")
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    for key in ("aws_iam_role", "aws_access_key_id"):
        if key in parts:
            return parts[key]
    raise SqlError("42601", "Invalid credentials. Must be of the format: credentials '…'")


@dataclass
class Bucket:
    """S3 as COPY sees it: ``authorized`` are the roles and access keys that may read."""

    endpoint: str
    region: str
    authorized: frozenset[str]

    def __post_init__(self) -> None:
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id="standin",
            aws_secret_access_key="standin",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def files(self, command: CopyCommand) -> list[str]:
        """The URLs to load."""
        if command.authorization not in self.authorized:
            raise SqlError(
                "XX000",
                "S3ServiceException:The AWS Access Key Id you provided does not exist in our"
                " records.,Status 403,Error InvalidAccessKeyId",
            )
        self._check_region(command)
        if not command.manifest:
            bucket, prefix = _split(command.source)
            listed = self._call(self._client.list_objects_v2, Bucket=bucket, Prefix=prefix)
            found = [f"s3://{bucket}/{o['Key']}" for o in listed.get("Contents", [])]
        else:
            found = []
            for entry in self._manifest(command.source):
                if self._exists(entry["url"]):
                    found.append(entry["url"])
                elif entry.get("mandatory", False):
                    raise _s3_error("The specified key does not exist.", 404, "NoSuchKey")
        if not found:
            raise SqlError("XX000", f"The specified S3 prefix '{command.source}' does not exist")
        return found

    def read(self, url: str) -> bytes:
        bucket, key = _split(url)
        got = self._call(self._client.get_object, Bucket=bucket, Key=key)
        body: bytes = got["Body"].read()
        return body

    def _manifest(self, url: str) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = json.loads(self.read(url))["entries"]
        except (ValueError, KeyError, TypeError):
            raise SqlError("XX000", "Manifest file is not in correct json format") from None
        if not all(isinstance(e.get("url"), str) for e in entries):
            raise SqlError("XX000", "Manifest file is not in correct json format")
        return entries

    def _exists(self, url: str) -> bool:
        bucket, key = _split(url)
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except ClientError:
            return False
        return True

    def _check_region(self, command: CopyCommand) -> None:
        bucket, _ = _split(command.source)
        where = self._call(self._client.get_bucket_location, Bucket=bucket)
        region = where.get("LocationConstraint") or "us-east-1"
        if region != (command.region or self.region):
            raise _s3_error(
                "The bucket you are attempting to access must be addressed using the specified"
                " endpoint.",
                301,
                "PermanentRedirect",
            )

    def _call(self, function: Callable[..., Any], **arguments: str) -> Any:
        try:
            return function(**arguments)
        except ClientError as error:
            told = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise _s3_error(told.get("Message", ""), status, told.get("Code", "")) from None


def _s3_error(text: str, status: int, code: str) -> SqlError:
    return SqlError(
        "XX000", f"S3ServiceException:{text},Status {status},Error {code},Rid 1,CanRetry 1"
    )


def _split(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def lines(command: CopyCommand, url: str, body: bytes, targets: list[Target]) -> Iterator[bytes]:
    """The rows of one object in PostgreSQL's text format; raises LoadError at the first bad one."""
    if command.gzip:
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            raise SqlError("XX000", f"failed to inflate with gzip: data error ({url})") from None
    how = Options(command.null, command.time_auto, command.empty_as_null, command.accept_invalid)
    for line, fields in records(body):
        yield convert(fields, targets, line, how)


__all__ = ["Bucket", "CopyCommand", "LoadError", "lines", "parse"]
