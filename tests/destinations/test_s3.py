"""S3's own ways: uploads in parts, regions, conditional requests, and its errors as ours."""

from __future__ import annotations

import base64
import random
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hauserpy.config import Provider, S3Settings, Settings
from hauserpy.destinations import open_destination, s3
from hauserpy.destinations.objects import Conflict
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.fields import catalogue
from hauserpy.model import Part
from tests.destinations import object_backing
from tests.destinations.answering import answering
from tests.destinations.bundles import Run, entry_for, hour, texts
from tests.destinations.object_backing import LEDGER, ObjectBacking, S3Bucket
from tests.standins.s3 import S3Standin, Tap, TapFault

MIB = 2**20


@pytest.fixture
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectBacking]:
    made = object_backing.s3(request, tmp_path / "store")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's retries, without its pauses."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.fixture
def store(backing: ObjectBacking) -> Iterator[s3.S3Store]:
    made = s3.S3Store(backing.settings())
    yield made
    made.close()


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """A file that goes up in three parts, of five megabytes as S3 demands."""
    monkeypatch.setattr(s3, "_LARGE", 6 * MIB)
    monkeypatch.setattr(s3, "_PIECE", 5 * MIB)
    path = tmp_path / "large"
    data = random.Random(1).randbytes(11 * MIB)
    path.write_bytes(data)
    return Part(path, len(data), 1, zlib.crc32(data))


def upload(store: s3.S3Store, name: str, part: Part, load: str = "a") -> None:
    store.write_file(name, part, load, store.begin(name, part, load))


# --- Uploads in parts ---


def test_a_large_file_goes_up_in_parts_and_is_whole(
    backing: ObjectBacking, store: s3.S3Store, large: Part
) -> None:
    upload(store, "a.csv", large)
    assert backing.bucket.get("a.csv") == large.path.read_bytes()
    found = store.stat("a.csv")
    assert found is not None
    assert (found.size, found.load) == (large.size, "a")
    assert found.digest.endswith("-3"), "an etag of three parts, which is no MD5"
    assert [o.digest for o in store.list("a")] == [found.digest]
    assert backing.bucket.uploads() == []


@pytest.mark.parametrize("least", [6 * MIB, 99 * MIB], ids=["parts", "one request"])
def test_a_file_does_not_replace_what_is_there(
    backing: ObjectBacking,
    store: s3.S3Store,
    large: Part,
    monkeypatch: pytest.MonkeyPatch,
    least: int,
) -> None:
    monkeypatch.setattr(s3, "_LARGE", least)
    backing.bucket.put("a.csv", b"mine")
    with pytest.raises(Conflict):
        upload(store, "a.csv", large)
    assert backing.bucket.get("a.csv") == b"mine"
    assert backing.bucket.uploads() == []


def test_a_large_upload_that_fails_is_aborted(
    backing: ObjectBacking, large: Part, s3_standin: S3Standin
) -> None:
    with Tap(s3_standin.endpoint) as tap:
        tap.add(TapFault(r"PUT .*partNumber=2", action="drop", times=99))
        store = s3.S3Store(backing.settings(endpoint=tap.endpoint))
        with pytest.raises(DestinationUnavailable):
            upload(store, "a.csv", large)
    assert backing.bucket.uploads() == []
    assert backing.names() == []


def test_a_completion_whose_answer_was_lost_is_found(
    backing: ObjectBacking, large: Part, s3_standin: S3Standin
) -> None:
    with Tap(s3_standin.endpoint) as tap:
        tap.add(TapFault(r"POST .*uploadId=", when="after", action="drop"))
        store = s3.S3Store(backing.settings(endpoint=tap.endpoint))
        upload(store, "a.csv", large)
        found = store.stat("a.csv")
    assert found is not None
    assert found.load == "a"


def test_a_large_bundle_is_loaded_through_the_destination(
    backing: ObjectBacking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_LARGE", 1)
    run = Run(backing.open(), tmp_path)
    (entry,) = run.load(hour(0))
    assert entry.files[0].digest.endswith("-1")
    assert sorted(str(r["EventTargetText"]) for r in backing.rows()) == texts(0)
    assert backing.leftovers() == []
    run.load(hour(0), tag="b", replace_loaded=True)
    assert len(backing.data_names()) == 1


def test_uploads_that_nobody_completed_are_aborted_after_two_days(
    backing: ObjectBacking, tmp_path: Path
) -> None:
    """moto says of every upload that it began in 2010."""
    backing.bucket.begin_upload("1600000000.csv")
    backing.bucket.begin_upload("1600000000-7f.jsonl.gz")
    backing.bucket.begin_upload("a film of somebody else's.mp4")
    backing.open().prepare(catalogue())
    assert [key for key, _ in backing.bucket.uploads()] == ["a film of somebody else's.mp4"]


def test_uploads_beside_the_path_are_nobodys_business(backing: ObjectBacking) -> None:
    backing.bucket.begin_upload("elsewhere/1600000000.csv")
    backing.path = "here/"
    backing.open().prepare(catalogue())
    assert len(backing.bucket.uploads()) == 1


# --- The network ---


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "pattern", [rf"PUT \S+/{LEDGER}", r"PUT \S+\.csv", r"HEAD ", r"GET ", r"PUT \S+uploads"]
)
def test_a_connection_that_breaks_once_anywhere_does_no_harm(
    backing: ObjectBacking, tmp_path: Path, s3_standin: S3Standin, pattern: str, when: Any
) -> None:
    with Tap(s3_standin.endpoint) as tap:
        run = Run(backing.open(endpoint=tap.endpoint), tmp_path)
        fault = tap.add(TapFault(pattern, when=when, action="drop"))
        run.load(hour(0))
        assert fault.reached.is_set()
        run.destination.close()
    assert sorted(str(r["EventTargetText"]) for r in backing.rows()) == texts(0)
    assert len(backing.open().ledger().entries) == 1
    assert backing.data_names() == [f"{int(hour(0).start.timestamp())}.csv"]
    assert backing.leftovers() == []


def test_a_commit_whose_every_answer_is_lost_is_found_in_the_ledger(
    backing: ObjectBacking, tmp_path: Path, s3_standin: S3Standin
) -> None:
    with Tap(s3_standin.endpoint) as tap:
        run = Run(backing.open(endpoint=tap.endpoint), tmp_path)
        tap.add(TapFault(rf"PUT \S+/{LEDGER}", when="after", action="drop", times=5))
        run.load(hour(0))
        run.destination.close()
    assert len(backing.open().ledger().entries) == 1
    assert sorted(str(r["EventTargetText"]) for r in backing.rows()) == texts(0)


def test_an_answer_that_breaks_off_in_its_body_is_asked_for_again(
    backing: ObjectBacking, store: s3.S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ResponseStreamingError
    from botocore.response import StreamingBody

    backing.bucket.put("a", b"whole")
    read, broken = StreamingBody.read, [True]

    def break_off(self: Any, amt: Any = None) -> Any:
        if broken:
            broken.pop()
            raise ResponseStreamingError(error="cut")
        return read(self, amt)

    monkeypatch.setattr(StreamingBody, "read", break_off)
    found = store.read("a")
    assert found is not None
    assert found[0] == b"whole"


def test_nobody_there_is_a_destination_unavailable(backing: ObjectBacking) -> None:
    with answering(500, "") as url:
        pass
    with pytest.raises(DestinationUnavailable, match="s3://bucket-"):
        backing.open(endpoint=url).ledger()


# --- Refusals ---


def xml(code: str, message: str = "no", **more: str) -> str:
    extra = "".join(f"<{k}>{v}</{k}>" for k, v in more.items())
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, xml("AccessDenied"), AccessDenied),
        (403, xml("InvalidAccessKeyId"), AccessDenied),
        (400, xml("ExpiredToken"), AccessDenied),
        (404, xml("NoSuchBucket"), ConfigError),
        (503, xml("SlowDown"), DestinationUnavailable),
        (500, xml("InternalError"), DestinationUnavailable),
        (500, "<html>a proxy", DestinationUnavailable),
        (405, xml("MethodNotAllowed"), DestinationRefused),
    ],
)
def test_what_s3_refuses_is_told_in_our_errors(
    backing: ObjectBacking, status: int, body: str, expected: type[HauserpyError]
) -> None:
    with answering(status, body, Content_Type="application/xml") as url:
        destination = backing.open(endpoint=url)
        for attempt in (destination.ledger, lambda: destination.prepare(catalogue())):
            with pytest.raises(expected) as caught:
                attempt()
            assert caught.value.instruction
            assert "standin" not in str(caught.value), "no credentials in a message"
        bad = [c for c in destination.checks() if not c.ok]
        assert len(bad) == 1
        assert bad[0].remedy


def test_a_store_that_does_not_know_preconditions_is_refused(backing: ObjectBacking) -> None:
    with answering(501, xml("NotImplemented")) as url:
        store = s3.S3Store(backing.settings(endpoint=url))
        with pytest.raises(DestinationRefused, match="conditional"):
            store.write("a", b"1", only_if="")


def test_uploads_that_may_not_be_listed_are_no_reason_not_to_load(
    backing: ObjectBacking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    destination = backing.open()
    with answering(403, xml("AccessDenied")) as url:
        destination._store.uploads = s3.S3Store(  # type: ignore[method-assign]
            backing.settings(endpoint=url)
        ).uploads
        Run(destination, tmp_path).load(hour(0))
        assert "dead runs" in caplog.text
        checks = {c.name: c for c in destination.checks()}
    assert not checks["list uploads"].ok
    assert "s3:ListBucketMultipartUploads" in checks["list uploads"].remedy
    assert len(backing.data_names()) == 1


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "PreconditionFailed"])
def test_409_and_412_are_conflicts(backing: ObjectBacking, code: str) -> None:
    status = 409 if code.startswith("Cond") else 412
    with answering(status, xml(code)) as url:
        store = s3.S3Store(backing.settings(endpoint=url))
        for only_if in ("", '"an etag"'):
            with pytest.raises(Conflict):
                store.write("a", b"1", only_if=only_if)


def test_replacing_what_is_gone_is_a_conflict(store: s3.S3Store) -> None:
    with pytest.raises(Conflict):
        store.write("never there", b"1", only_if='"an etag"')


def test_a_changed_object_is_not_deleted(backing: ObjectBacking, store: s3.S3Store) -> None:
    version = store.write("a", b"1", only_if=None)
    store.write("a", b"2", only_if=None)
    store.delete("a", version)
    assert backing.bucket.get("a") == b"2"
    store.delete("a")
    store.delete("a")
    assert backing.names() == []


def test_no_bucket_is_a_config_error(s3_standin: S3Standin, aws_environment: object) -> None:
    place = S3Settings(bucket="nobody-made-it", region="us-east-1", endpoint=s3_standin.endpoint)
    settings = Settings(provider=Provider.AWS, storage_only=True, s3=place)
    destination = open_destination(settings)
    with pytest.raises(ConfigError, match="nobody-made-it"):
        destination.ledger()
    with pytest.raises(ConfigError):
        destination.prepare(catalogue())
    (*_, last) = destination.checks()
    assert not last.ok
    assert "no bucket nobody-made-it" in last.detail
    destination.close()


def test_check_says_which_region_is_right(s3_standin: S3Standin, aws_environment: object) -> None:
    bucket = S3Bucket(s3_standin, s3_standin.bucket("eu-west-1"))
    backing = ObjectBacking(bucket, Path())
    (*_, last) = backing.open(region="us-east-1").checks()
    assert not last.ok
    assert "eu-west-1" in last.detail
    assert last.remedy == 'Set Region = "eu-west-1" in [s3].'
    assert [c for c in backing.open(region="eu-west-1").checks() if not c.ok] == []


def test_a_request_that_went_to_another_region_says_where_the_bucket_is(
    backing: ObjectBacking,
) -> None:
    body = xml("IllegalLocationConstraintException")
    with (
        answering(400, body, x_amz_bucket_region="eu-west-3") as url,
        pytest.raises(ConfigError, match="eu-west-3"),
    ):
        backing.open(endpoint=url).ledger()


def test_no_credentials_are_an_access_denied(
    backing: ObjectBacking, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Refused before anything is sent, so that nobody need be there.
    with pytest.raises(AccessDenied, match="credentials"):
        backing.open(endpoint="http://s3.invalid").ledger()
    assert backing.open().ledger().entries == (), "with an Endpoint on loopback none are needed"


# --- What readers see ---


def test_objects_say_what_they_are(backing: ObjectBacking, tmp_path: Path) -> None:
    backing.path = "a/"
    Run(backing.open(), tmp_path).load(hour(0))
    bucket: Any = backing.bucket
    (name,) = backing.data_names()
    head = bucket._client.head_object(Bucket=bucket.bucket, Key=f"a/{name}")
    assert head["ContentType"] == "text/csv"
    assert set(head["Metadata"]) == {"hauserpy-load"}


def test_s3_is_told_the_crc32_of_what_was_staged(store: s3.S3Store, tmp_path: Path) -> None:
    """So that it refuses what reaches it damaged."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"staged")
    sent: list[str] = []
    store._client.meta.events.register(
        "before-sign.s3.PutObject",
        lambda request, **_: sent.append(request.headers["x-amz-checksum-crc32"]),
    )
    crc = zlib.crc32(b"staged")
    upload(store, "a.csv", Part(path, 6, 1, crc))
    assert sent == [base64.b64encode(crc.to_bytes(4, "big")).decode()]


def test_a_data_object_tells_which_load_made_it(backing: ObjectBacking, tmp_path: Path) -> None:
    run = Run(backing.open(), tmp_path)
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows, load=str(uuid.uuid4()))
    run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)
    found = s3.S3Store(backing.settings()).stat(backing.data_names()[0])
    assert found is not None
    assert found.load == entry.load
