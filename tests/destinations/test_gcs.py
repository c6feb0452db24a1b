"""Cloud Storage's own ways: generations, resumable uploads, the extra, and its errors as ours."""

from __future__ import annotations

import json
import random
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from hauserpy.config import BigQuerySettings, GcsSettings, Provider, Settings
from hauserpy.destinations import gcs, open_destination
from hauserpy.destinations.objects import ABSENT, Conflict
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
    Interrupted,
)
from hauserpy.fields import catalogue
from hauserpy.layout import Compression
from hauserpy.model import Part
from tests.destinations import object_backing
from tests.destinations.answering import answering
from tests.destinations.bundles import Run, hour, texts
from tests.destinations.object_backing import LEDGER, ObjectBacking
from tests.standins.gcs import GcsStandin
from tests.standins.s3 import Tap, TapFault


@pytest.fixture
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectBacking]:
    made = object_backing.gcs(request, tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def store(backing: ObjectBacking) -> Iterator[gcs.GcsStore]:
    made = gcs.GcsStore(backing.settings(), backing.slept.append)
    yield made
    made.close()


def part_of(path: Path, size: int) -> Part:
    data = random.Random(1).randbytes(size)
    path.write_bytes(data)
    return Part(path, size, 1, zlib.crc32(data))


# --- Uploads ---


@pytest.mark.parametrize("size", [0, 5, 9 * 2**20], ids=["empty", "small", "resumable"])
def test_a_file_goes_up_whole_with_its_checksum(
    backing: ObjectBacking,
    store: gcs.GcsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(gcs, "_CHUNK", 4 * 2**20)
    part = part_of(tmp_path / "a", size)
    store.write_file("a.parquet", part, "a", store.begin("a.parquet", part, "a"))
    assert backing.bucket.get("a.parquet") == part.path.read_bytes()
    found = store.stat("a.parquet")
    assert found is not None
    assert (found.size, found.load) == (size, "a")
    assert [o.digest for o in store.list("a")] == [found.digest]


def test_a_small_file_does_not_replace_what_is_there(
    backing: ObjectBacking, store: gcs.GcsStore, tmp_path: Path
) -> None:
    backing.bucket.put("a.csv", b"mine")
    with pytest.raises(Conflict):
        store.write_file("a.csv", part_of(tmp_path / "a", 5), "a", "")
    assert backing.bucket.get("a.csv") == b"mine"


def test_a_large_file_is_put_up_on_condition_as_well(
    backing: ObjectBacking, tmp_path: Path, gcs_standin: GcsStandin
) -> None:
    """The stand-in ignores the condition of a resumable upload, so that only asking is seen."""
    with Tap(gcs_standin.endpoint) as tap:
        store = gcs.GcsStore(backing.settings(endpoint=tap.endpoint), backing.slept.append)
        store.write_file("a.csv", part_of(tmp_path / "a", 9 * 2**20), "a", "")
        store.close()
        begun = [r for r in tap.requests if "uploadType=resumable" in r and r.startswith("POST")]
    assert begun
    assert all("ifGenerationMatch=0" in r for r in begun)


def test_a_deletion_names_the_generation(backing: ObjectBacking, gcs_standin: GcsStandin) -> None:
    with Tap(gcs_standin.endpoint) as tap:
        store = gcs.GcsStore(backing.settings(endpoint=tap.endpoint), backing.slept.append)
        version = store.write("a", b"1", only_if=ABSENT)
        store.delete("a", version)
        store.delete("a", version)
        store.close()
        deleted = [r for r in tap.requests if r.startswith("DELETE")]
    assert all(f"ifGenerationMatch={version}" in r for r in deleted)
    assert backing.names() == []


def test_writes_are_conditional_on_the_generation(
    backing: ObjectBacking, store: gcs.GcsStore
) -> None:
    first = store.write("a", b"1", only_if=ABSENT)
    with pytest.raises(Conflict):
        store.write("a", b"2", only_if=ABSENT)
    second = store.write("a", b"2", only_if=first)
    with pytest.raises(Conflict):
        store.write("a", b"3", only_if=first)
    assert store.read("a") == (b"2", second)
    with pytest.raises(Conflict):
        store.write("never there", b"1", only_if=first)


# --- The network ---


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "pattern",
    [r"POST \S+uploadType=multipart\S+ifGenerationMatch=0", r"POST \S+ifGeneration", r"GET "],
)
def test_a_connection_that_breaks_once_anywhere_does_no_harm(
    backing: ObjectBacking, tmp_path: Path, gcs_standin: GcsStandin, pattern: str, when: Any
) -> None:
    with Tap(gcs_standin.endpoint) as tap:
        run = Run(backing.open(endpoint=tap.endpoint), tmp_path)
        run.load(hour(1))
        fault = tap.add(TapFault(pattern, when=when, action="drop"))
        run.load(hour(0))
        assert fault.reached.is_set()
        run.destination.close()
    assert sorted(str(r["EventTargetText"]) for r in backing.rows()) == texts(0, 1)
    assert len(backing.open().ledger().entries) == 2
    assert backing.data_names() == [f"{int(hour(n).start.timestamp())}.csv" for n in (0, 1)]
    assert backing.leftovers() == []
    assert LEDGER in backing.names()


def test_nobody_there_is_a_destination_unavailable(backing: ObjectBacking) -> None:
    with answering(500, "") as url:
        pass
    with pytest.raises(DestinationUnavailable, match="gs://bucket-"):
        backing.open(endpoint=url).ledger()
    assert backing.slept, "after retries"


# --- Refusals ---


def told(code: int, reason: str) -> str:
    error = {"code": code, "message": "no", "errors": [{"reason": reason, "message": "no"}]}
    return json.dumps({"error": error})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, told(401, "authError"), AccessDenied),
        (403, told(403, "forbidden"), AccessDenied),
        (404, told(404, "notFound"), ConfigError),
        (429, told(429, "rateLimitExceeded"), DestinationUnavailable),
        (503, told(503, "backendError"), DestinationUnavailable),
        (500, "<html>a proxy", DestinationUnavailable),
        (400, told(400, "invalid"), DestinationRefused),
    ],
)
def test_what_cloud_storage_refuses_is_told_in_our_errors(
    backing: ObjectBacking, status: int, body: str, expected: type[HauserpyError]
) -> None:
    with answering(status, body, Content_Type="application/json") as url:
        destination = backing.open(endpoint=url)
        for attempt in (destination.ledger, lambda: destination.prepare(catalogue())):
            with pytest.raises(expected) as caught:
                attempt()
            assert caught.value.instruction
        bad = [c for c in destination.checks() if not c.ok]
        assert len(bad) == 1
        assert bad[0].remedy


def test_no_bucket_is_a_config_error(gcs_standin: GcsStandin) -> None:
    place = GcsSettings(bucket="nobody-made-it", endpoint=gcs_standin.endpoint)
    destination = open_destination(Settings(provider=Provider.GCP, storage_only=True, gcs=place))
    with pytest.raises(ConfigError, match="nobody-made-it"):
        destination.ledger()
    with pytest.raises(ConfigError):
        destination.prepare(catalogue())
    (*_, last) = destination.checks()
    assert not last.ok
    assert "no bucket nobody-made-it" in last.detail
    destination.close()


def test_no_credentials_are_an_access_denied(
    backing: ObjectBacking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(AccessDenied, match="credentials"):
        backing.open(endpoint="http://storage.invalid").ledger()
    assert backing.open().ledger().entries == (), "with an Endpoint on loopback none are needed"


def test_what_is_of_bigquery_only_is_not_read(
    backing: ObjectBacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.default", lambda **_: (AnonymousCredentials(), None))
    settings = backing.settings(endpoint="http://127.0.0.1:1")
    settings = replace(
        settings,
        gcs=replace(settings.gcs, endpoint=None),
        bigquery=BigQuerySettings(credentials_file=Path("/nowhere"), impersonate="somebody"),
    )
    assert isinstance(
        gcs.GcsStore(settings, lambda _: None)._open()._credentials, AnonymousCredentials
    )


def test_a_signal_ends_the_attempts(gcs_standin: GcsStandin, backing: ObjectBacking) -> None:
    def stop(_seconds: float) -> None:
        raise Interrupted(15)

    settings = backing.settings(endpoint="http://127.0.0.1:1")
    with pytest.raises(Interrupted):
        open_destination(settings, sleep=stop).ledger()


def test_without_the_extra_it_says_what_to_install(
    backing: ObjectBacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    import google.cloud

    monkeypatch.delattr(google.cloud, "storage", raising=False)
    with pytest.raises(ConfigError, match="pip install google-cloud-storage"):
        open_destination(backing.settings())


# --- What readers see ---


def test_a_gzip_file_is_one_and_not_an_encoding(backing: ObjectBacking, tmp_path: Path) -> None:
    """Else Cloud Storage would gunzip it for some readers, and its size would be wrong."""
    backing.compression = Compression.GZIP
    Run(backing.open(), tmp_path).load(hour(0))
    (name,) = backing.data_names()
    bucket: Any = backing.bucket
    blob = bucket._blob(name)
    blob.reload()
    assert blob.content_type == "application/gzip"
    assert not blob.content_encoding
    assert blob.metadata.keys() == {"hauserpy-load"}
    assert sorted(str(r["EventTargetText"]) for r in backing.rows()) == texts(0)
