"""S3 and Cloud Storage under contract: a bucket of a stand-in each, and how to look into it."""

from __future__ import annotations

import csv as csv_reader
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pytest

from hauserpy.config import GcsSettings, Provider, S3Settings, Settings
from hauserpy.destinations.gcs import Gcs
from hauserpy.destinations.objects import Objects
from hauserpy.destinations.s3 import S3
from hauserpy.fields import catalogue
from hauserpy.layout import Compression, StageFormat
from hauserpy.model import Window, rfc3339
from hauserpy.owner import Owner
from tests.destinations.local_backing import read_rows
from tests.destinations.makers import NOW
from tests.standins.gcs import GcsStandin
from tests.standins.s3 import S3Standin

LEDGER = ".hauserpy/ledger.json"
NOTES = ".hauserpy/uploads/"


class Bucket(Protocol):
    """One bucket of a stand-in, past the code that is tested. Keys are whole."""

    kind: str
    settings: dict[str, Any]

    def keys(self) -> list[str]: ...

    def get(self, key: str) -> bytes: ...

    def put(self, key: str, data: bytes, load: str = "") -> None: ...

    def delete(self, key: str) -> None: ...

    def begin_upload(self, key: str) -> str: ...

    def uploads(self) -> list[tuple[str, str]]:
        """Keys and ids of uploads that were begun and not completed."""
        ...


@dataclass
class S3Bucket:
    standin: S3Standin
    bucket: str
    kind: str = "s3"

    @property
    def settings(self) -> dict[str, Any]:
        return {"endpoint": self.standin.endpoint, "region": "us-east-1"}

    def keys(self) -> list[str]:
        listed = self._client.list_objects_v2(Bucket=self.bucket)
        return [found["Key"] for found in listed.get("Contents", [])]

    def get(self, key: str) -> bytes:
        read: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return read

    def put(self, key: str, data: bytes, load: str = "") -> None:
        labels = {"hauserpy-load": load} if load else {}
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data, Metadata=labels)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def begin_upload(self, key: str) -> str:
        begun = self._client.create_multipart_upload(Bucket=self.bucket, Key=key)
        place = {"Bucket": self.bucket, "Key": key, "UploadId": begun["UploadId"]}
        self._client.upload_part(**place, PartNumber=1, Body=b"half of a fi")
        return str(begun["UploadId"])

    def uploads(self) -> list[tuple[str, str]]:
        listed = self._client.list_multipart_uploads(Bucket=self.bucket)
        return [(u["Key"], u["UploadId"]) for u in listed.get("Uploads", [])]

    @cached_property
    def _client(self) -> Any:
        return self.standin.client()


@dataclass
class GcsBucket:
    standin: GcsStandin
    bucket: str
    kind: str = "gcs"

    @property
    def settings(self) -> dict[str, Any]:
        return {"endpoint": self.standin.endpoint}

    def keys(self) -> list[str]:
        return [blob.name for blob in self._client.list_blobs(self.bucket)]

    def get(self, key: str) -> bytes:
        read: bytes = self._blob(key).download_as_bytes()
        return read

    def put(self, key: str, data: bytes, load: str = "") -> None:
        blob = self._blob(key)
        blob.metadata = {"hauserpy-load": load} if load else None
        blob.upload_from_string(data)

    def delete(self, key: str) -> None:
        self._blob(key).delete()

    def begin_upload(self, key: str) -> str:
        return ""

    def uploads(self) -> list[tuple[str, str]]:
        return []

    def _blob(self, key: str) -> Any:
        return self._client.bucket(self.bucket).blob(key)

    @cached_property
    def _client(self) -> Any:
        return self.standin.client()


@dataclass
class ObjectBacking:
    """See `tests.destinations.makers.Backing`."""

    bucket: Bucket
    folder: Path
    path: str = ""
    format: StageFormat = StageFormat.CSV
    compression: Compression = Compression.NONE
    prefix: str = ""
    opened: list[Objects] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def settings(self, **given: Any) -> Settings:
        """``given`` are keys of the section, like ``endpoint``."""
        place = f"{self.bucket.bucket}/{self.path}".rstrip("/")  # type: ignore[attr-defined]
        section = {"bucket": place, **self.bucket.settings, **given}
        common: dict[str, Any] = {
            "storage_only": True,
            "format": self.format,
            "compression": self.compression,
            "file_prefix": self.prefix,
        }
        if self.bucket.kind == "s3":
            return Settings(provider=Provider.AWS, s3=S3Settings(**section), **common)
        return Settings(provider=Provider.GCP, gcs=GcsSettings(**section), **common)

    def open(self, **given: Any) -> Objects:
        kind: type[S3] | type[Gcs] = S3 if self.bucket.kind == "s3" else Gcs
        made = kind(self.settings(**given), clock=lambda: NOW, sleep=self.slept.append)
        self.opened.append(made)
        return made

    def start_as(self, template: Mapping[str, bytes], path: str) -> None:
        """Go on in another path, which holds copies of those objects."""
        self.path = path
        for name, data in template.items():
            self.bucket.put(self.key(name), data)

    def contents(self) -> dict[str, bytes]:
        return {name: self.bucket.get(self.key(name)) for name in self.names()}

    def key(self, name: str) -> str:
        return self.path + name

    def names(self) -> list[str]:
        """All objects, relative to the path in Bucket."""
        keys = self.bucket.keys()
        return sorted(k.removeprefix(self.path) for k in keys if k.startswith(self.path))

    def data_names(self) -> list[str]:
        return [n for n in self.names() if not n.startswith(".") and not n.endswith("hauser")]

    def rows(self, names: Iterable[str] | None = None) -> list[dict[str, str | None]]:
        """Of the objects of those names; else as somebody sees them who lists the bucket and knows
        nothing of a ledger."""
        found = []
        for name in self.data_names() if names is None else names:
            self.folder.mkdir(parents=True, exist_ok=True)
            copy = self.folder / name.replace("/", "_")
            copy.write_bytes(self.bucket.get(self.key(name)))
            found += read_rows(copy)
        return found

    def leftovers(self) -> list[str]:
        notes = [n for n in self.names() if n.startswith(NOTES)]
        noted = {json.loads(self.bucket.get(self.key(n)))["upload"] for n in notes}
        return notes + [key for key, id in self.bucket.uploads() if id not in noted]

    def plant_leftover(self, owner: Owner) -> None:
        name = f"1600000000-{owner.load}.csv"
        upload = self.bucket.begin_upload(self.key(name))
        note = json.dumps({"name": name, "upload": upload})
        self.bucket.put(self.key(NOTES + owner.name), note.encode())

    def spoil_ledger(self) -> None:
        key = self.key(LEDGER)
        self.bucket.put(key, self.bucket.get(key)[:-20])

    def hauser_loads(self, window: Window, records: Sequence[dict[str, Any]]) -> None:
        names = [f.name for f in catalogue()[:59]]
        text = io.StringIO()
        writer = csv_reader.writer(text)
        writer.writerow(names)
        for record in records:
            folded = {k: v for k, v in record.items() if k not in names}
            row = {**record, "CustomVars": json.dumps(folded)}
            writer.writerow([row.get(name, "") for name in names])
        stem = f"{self.prefix}{int(window.start.timestamp())}"
        self.bucket.put(self.key(f"{stem}.csv"), text.getvalue().encode())
        mark = rfc3339(window.stop).encode()
        self.bucket.put(self.key(".sync.hauser"), mark)

    def hauser_checkpoint(self) -> datetime | None:
        if ".sync.hauser" not in self.names():
            return None
        return datetime.fromisoformat(self.bucket.get(self.key(".sync.hauser")).decode())

    def close(self) -> None:
        for destination in self.opened:
            destination.close()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Credentials for the stand-in, and nothing of the machine's own AWS set-up."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    given = S3Standin("").environ
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


def s3(request: pytest.FixtureRequest, folder: Path) -> ObjectBacking:
    request.getfixturevalue("aws_environment")
    standin: S3Standin = request.getfixturevalue("s3_standin")
    return ObjectBacking(S3Bucket(standin, standin.bucket()), folder)


def s3_path(request: pytest.FixtureRequest, folder: Path) -> ObjectBacking:
    """With a path in Bucket and a FilePrefix, both with characters that need quoting."""
    made = s3(request, folder)
    made.path, made.prefix = "events of/2026+/", "shop & co-"
    made.format, made.compression = StageFormat.JSONL, Compression.GZIP
    return made


def gcs(request: pytest.FixtureRequest, folder: Path) -> ObjectBacking:
    standin: GcsStandin = request.getfixturevalue("gcs_standin")
    return ObjectBacking(GcsBucket(standin, standin.bucket()), folder)


def gcs_path(request: pytest.FixtureRequest, folder: Path) -> ObjectBacking:
    """With a path in Bucket and a FilePrefix that is a folder."""
    made = gcs(request, folder)
    made.path, made.prefix, made.format = "a b/", "p/", StageFormat.PARQUET
    return made


IN_THE_ROOT = {"s3": s3, "gcs": gcs}
IN_A_PATH = {"s3": s3_path, "gcs": gcs_path}
