"""What `hauserpy check` tries on Redshift and S3; whatever it makes, it removes."""

from __future__ import annotations

import contextlib
import gzip
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hauserpy.config import Settings, split_bucket
from hauserpy.destinations import aws
from hauserpy.destinations.redshift import copy, state, tables
from hauserpy.destinations.redshift.connection import Database, Link
from hauserpy.destinations.redshift.failures import LoadFailed
from hauserpy.destinations.redshift.staging import Staging
from hauserpy.destinations.redshift.tables import Names, Place
from hauserpy.errors import AccessDenied, ConfigError, HauserpyError
from hauserpy.fields import Field
from hauserpy.model import Check
from hauserpy.owner import Owner

_PRIVILEGES = ("select", "insert", "update", "delete")


def run(
    settings: Settings,
    names: Names,
    database: Database,
    staging: Staging,
    fields: Sequence[Field],
) -> Iterator[Check]:
    """One Check for each thing tried, in an order in which the first that fails explains the rest;
    what cannot be tried because of it is left out."""
    probe = _Probe(settings, database, staging)
    try:
        yield (bucket := _tried("S3 bucket writable", probe.write))
        yield _tried("S3 region right", probe.region)
        yield (found := _vital("Redshift connection", lambda: _connect(settings, database)))
        if not found.ok:
            return
        places: list[Place] = []
        yield (found := _vital("Redshift schema", lambda: _schema(database, names, places)))
        if not found.ok:
            return
        place = places[0]
        yield _tried("Redshift tables", lambda: _existing(database, place, fields))
        yield (created := _tried("Redshift CREATE TABLE", lambda: probe.create(place)))
        if created.ok and bucket.ok:
            yield _tried("Redshift COPY from S3", lambda: probe.copy(place))
    finally:
        probe.clean()


def _tried(name: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=attempt(), remedy="")
    except HauserpyError as error:
        return Check(name, ok=False, detail=error.reason, remedy=error.instruction)
    except LoadFailed as failed:
        return Check(
            name, ok=False, detail=failed.reason, remedy="See stl_load_errors for the details."
        )


def _vital(name: str, attempt: Callable[[], str]) -> Check:
    return replace(_tried(name, attempt), vital=True)


def _connect(settings: Settings, database: Database) -> str:
    ((user,),) = database.run(lambda link: link.execute("SELECT current_user"))
    redshift = settings.redshift
    return f"{redshift.host}:{redshift.port}, database {redshift.db}, as {user}"


def _schema(database: Database, names: Names, places: list[Place]) -> str:
    place = database.run(lambda link: tables.find_place(link, names))
    places.append(place)
    return place.schema


def _existing(database: Database, place: Place, fields: Sequence[Field]) -> str:
    """The columns of tables that exist, and what the user may do with them."""

    def look(link: Link) -> str:
        filled, missing = tables.check_export(link, place, fields)
        names = place.names
        there = tables.catalog(link, place, (names.export, names.sync, names.ledger, names.lock))
        for table in there:
            for privilege in _PRIVILEGES:
                ((granted,),) = link.execute(
                    "SELECT has_table_privilege(%s, %s)", (place.table(table), privilege)
                )
                if not granted:
                    raise AccessDenied(
                        f"{privilege.upper()} on {place.schema}.{table} is not granted.",
                        f"GRANT {privilege.upper()} ON {place.schema}.{table} TO the user.",
                    )
        state.refuse_other_rows(link, place, state.read_existing(link, place))
        table = f"{place.schema}.{names.export}"
        if not filled:
            return f"{table} will be created with {len(missing)} columns"
        if missing:
            tables.check_extension(link, place, missing)
        return f"{table} has {len(filled)} of the columns, {len(missing)} will be added"

    return database.run(look)


class _Probe:
    """A table, an object and a manifest that exist for the length of the check."""

    def __init__(self, settings: Settings, database: Database, staging: Staging) -> None:
        self._settings = settings
        self._database = database
        self._staging = staging
        token = uuid.uuid4().hex
        self._table = f"hauserpy_check_{token[:16]}"
        prefix = split_bucket(settings.s3.bucket)[1]
        folder = f"{prefix}{Owner.of_this_process(token).name}/"
        self._part, self._manifest = f"{folder}part-0001.csv.gz", f"{folder}manifest.json"
        self._created: Place | None = None
        self._written = False

    def write(self) -> str:
        if not self._staging.bucket:
            raise ConfigError("there is no bucket.", "Set Bucket in [s3].")
        where = self._staging.url(self._part).rpartition("/hauserpy~")[0]
        entries = [{"url": self._staging.url(self._part), "mandatory": True}]
        client, bucket = self._staging.client, self._staging.bucket
        with aws.explained(f"a probe cannot be written to {where}"):
            self._written = True
            client.put_object(Bucket=bucket, Key=self._part, Body=gzip.compress(b"1\n", mtime=0))
            client.put_object(
                Bucket=bucket, Key=self._manifest, Body=json.dumps({"entries": entries}).encode()
            )
        with aws.explained(f"a probe cannot be deleted from {where}"):
            spare = f"{self._part}.spare"
            client.put_object(Bucket=bucket, Key=spare, Body=b"")
            client.delete_object(Bucket=bucket, Key=spare)
        return where

    def region(self) -> str:
        """By HeadBucket, whose answer names the region even where access is denied."""
        with aws.explained(f"the region of bucket {self._staging.bucket} cannot be asked for"):
            head = self._staging.client.head_bucket(Bucket=self._staging.bucket)
        actual = head.get("BucketRegion") or head["ResponseMetadata"]["HTTPHeaders"].get(
            "x-amz-bucket-region"
        )
        configured = aws.region(self._settings)
        if actual and configured and actual != configured:
            raise ConfigError(
                f"the bucket is in {actual}, and Region says {configured}.",
                f'Set Region = "{actual}" in [s3].',
            )
        return actual or configured or "not told"

    def create(self, place: Place) -> str:
        table = place.table(self._table)
        self._created = place
        self._database.run(lambda link: link.execute(f"CREATE TABLE {table} (probe BIGINT)"))
        return f"in schema {place.schema}"

    def copy(self, place: Place) -> str:
        """NOLOAD parses the row and loads nothing ("Data load operations")."""
        text = copy.statement(
            place.table(self._table),
            ["probe"],
            self._staging.url(self._manifest),
            self._settings.redshift,
            aws.region(self._settings),
            noload=True,
        )
        self._database.run(lambda link: link.execute(text))
        return "one row of a probe, with NOLOAD"

    def clean(self) -> None:
        if self._created is not None:
            table = self._created.table(self._table)
            with contextlib.suppress(HauserpyError):
                self._database.run(lambda link: link.execute(f"DROP TABLE IF EXISTS {table}"))
        if self._written:
            self._staging.remove([self._part, f"{self._part}.spare", self._manifest])
