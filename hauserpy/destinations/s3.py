"""Amazon S3 and stores that speak its language: files as objects, large ones in several parts.

Conditional writes are S3's own: ``If-None-Match: *`` and ``If-Match: <etag>`` on PutObject and
CompleteMultipartUpload; 412 means that the condition does not hold, 409 ConditionalRequestConflict
that another write was under way, and 404 that what should be replaced is gone (Amazon S3 User
Guide, "How to prevent object overwrites with conditional writes"). The etag is whatever the store
answers: for objects uploaded in parts or encrypted with KMS it is no MD5 ("Checking object
integrity").
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hauserpy.config import Settings, reaches_loopback, split_bucket
from hauserpy.destinations import aws
from hauserpy.destinations.objects import ABSENT, Conflict, Object, Objects, Upload
from hauserpy.destinations.objects.names import content_type
from hauserpy.destinations.objects.store import LOAD_LABEL
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.model import Check, Part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_LARGE = 64 * 2**20
"""Bytes from which a file goes up in parts."""
_PIECE = 16 * 2**20
_MOST_PIECES = 9000
"""S3 takes 10,000 ("Amazon S3 multipart upload limits")."""
_THREADS = 4
_READS = 3

_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "412", "409"}
_GONE = {"NoSuchKey", "404"}
_NOT_BUILT = {"NotImplemented", "501"}


class S3(Objects):
    """`Objects` in an S3 bucket."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        name = f"s3 {settings.s3.bucket}"
        if settings.s3.endpoint:
            name += f" at {settings.s3.endpoint}"
        super().__init__(settings, name, S3Store(settings), clock=clock, sleep=sleep)


class S3Store:
    """See `hauserpy.destinations.objects.store.ObjectStore`. Connects at the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket, self._path = split_bucket(settings.s3.bucket)
        self._made: S3Client | None = None

    @property
    def place(self) -> str:
        return f"s3://{self._bucket}/{self._path}"

    def read(self, name: str) -> tuple[bytes, str] | None:
        for attempt in range(1, _READS + 1):
            try:
                with self._explained(f"{name} cannot be read"), _absent_is_none():
                    answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                    return answer["Body"].read(), answer["ETag"]
                return None
            except DestinationUnavailable:
                # The SDK repeats requests, but not one whose answer breaks off in its body.
                if attempt == _READS:
                    raise
        return None

    def write(self, name: str, data: bytes, *, only_if: str | None) -> str:
        condition: dict[str, Any] = {}
        if only_if == ABSENT:
            condition = {"IfNoneMatch": "*"}
        elif only_if is not None:
            condition = {"IfMatch": only_if}
        with self._explained(f"{name} cannot be written"), _conflicts():
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=data,
                ContentType=content_type(name),
                **condition,
            )
        return answer["ETag"]

    def begin(self, name: str, part: Part, load: str) -> str:
        if part.size < _LARGE:
            return ""
        with self._explained(f"an upload of {name} cannot be begun"):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key(name),
                ContentType=content_type(name),
                Metadata={LOAD_LABEL: load},
            )
        return answer["UploadId"]

    def write_file(self, name: str, part: Part, load: str, upload: str) -> None:
        if upload:
            try:
                self._write_pieces(name, part, upload)
            except BaseException:
                with contextlib.suppress(HauserpyError):
                    self.abort(name, upload)
                raise
            return
        with (
            self._explained(f"{name} cannot be written"),
            _conflicts(),
            part.path.open("rb") as body,
        ):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=body,
                ContentLength=part.size,
                ContentType=content_type(name),
                Metadata={LOAD_LABEL: load},
                ChecksumCRC32=aws.base64_of(part.crc32),
                IfNoneMatch="*",
            )

    def stat(self, name: str) -> Object | None:
        with self._explained(f"{name} cannot be looked at"), _absent_is_none():
            answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
            return Object(
                name,
                answer["ContentLength"],
                _digest(answer["ETag"]),
                answer["ETag"],
                answer["LastModified"],
                answer.get("Metadata", {}).get(LOAD_LABEL, ""),
            )
        return None

    def list(self, prefix: str) -> Iterator[Object]:
        with self._explained("it cannot be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix)
            )
            for page in pages:
                for found in page.get("Contents", []):
                    yield Object(
                        found["Key"].removeprefix(self._path),
                        found["Size"],
                        _digest(found["ETag"]),
                        found["ETag"],
                        found["LastModified"],
                    )

    def delete(self, name: str, version: str | None = None) -> None:
        """S3 refuses to remove another version (User Guide, "How to perform conditional deletes");
        with a compatible store that does not know this condition, the names alone protect."""
        condition: dict[str, Any] = {} if version is None else {"IfMatch": version}
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": self._key(name)}
        with self._explained(f"{name} cannot be deleted"):
            try:
                with contextlib.suppress(Conflict), _conflicts():
                    self._client.delete_object(**place, **condition)
            except DestinationRefused:
                self._client.delete_object(**place)

    def uploads(self) -> Iterator[Upload]:
        try:
            with self._explained("its unfinished uploads cannot be listed"):
                pages = self._client.get_paginator("list_multipart_uploads").paginate(
                    Bucket=self._bucket, Prefix=self._path
                )
                for page in pages:
                    for found in page.get("Uploads", []):
                        name = found["Key"].removeprefix(self._path)
                        yield Upload(name, found["UploadId"], found["Initiated"])
        except AccessDenied as error:
            raise AccessDenied(
                error.reason,
                "Allow s3:ListBucketMultipartUploads and s3:AbortMultipartUpload, so that uploads"
                " that broke off can be found and aborted.",
            ) from error

    def abort(self, name: str, upload: str) -> None:
        from botocore.exceptions import ClientError

        with self._explained(f"an upload of {name} cannot be aborted"):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key(name), UploadId=upload
                )
            except ClientError as error:
                if _code(error) not in ("NoSuchUpload", "404"):
                    raise

    def checks(self) -> Iterator[Check]:
        try:
            yield Check("credentials", ok=True, detail=self._credentials())
            region = self._region()
            yield Check("bucket", ok=True, detail=f"{self.place}, in region {region}")
        except HauserpyError as error:
            yield Check(
                "bucket", ok=False, detail=error.reason, remedy=error.instruction, vital=True
            )

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    @property
    def _client(self) -> S3Client:
        if self._made is None:
            self._made = aws.s3_client(self._settings)
        return self._made

    def _key(self, name: str) -> str:
        return self._path + name

    def _explained(self, what: str) -> contextlib.AbstractContextManager[None]:
        return aws.explained(f"{self.place}: {what}")

    def _write_pieces(self, name: str, part: Part, upload: str) -> None:
        """Several pieces at once; the object appears when the last request puts them together."""
        size = max(_PIECE, -(-part.size // _MOST_PIECES))
        place: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": self._key(name),
            "UploadId": upload,
        }

        def put(number: int) -> CompletedPartTypeDef:
            body = _slice(part.path, number * size, size)
            answer = self._client.upload_part(**place, PartNumber=number + 1, Body=body)
            return {"PartNumber": number + 1, "ETag": answer["ETag"]}

        with self._explained(f"{name} cannot be written"), ThreadPoolExecutor(_THREADS) as pool:
            try:
                pieces = list(pool.map(put, range(-(-part.size // size))))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            # An upload that is no more was completed by a request whose answer was lost, or was
            # aborted: either way, a look at the object tells.
            with _conflicts({"NoSuchUpload"}):
                self._client.complete_multipart_upload(
                    **place, MultipartUpload={"Parts": pieces}, IfNoneMatch="*"
                )

    def _credentials(self) -> str:
        import boto3

        with self._explained("AWS credentials cannot be found"):
            found = boto3.session.Session().get_credentials()
        if found is None and reaches_loopback(self._settings.s3.endpoint):
            return "none, which is enough for an Endpoint on this machine"
        if found is None:
            raise AccessDenied(
                "there are no AWS credentials.",
                "Give hauserpy some: a role, a profile, or AWS_ACCESS_KEY_ID.",
            )
        return f"found ({found.method})"

    def _region(self) -> str:
        """By HeadBucket, which tells it even where the request goes astray (API Reference)."""
        from botocore.exceptions import ClientError

        with self._explained("the bucket cannot be reached"):
            try:
                head = self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) in ("404", "NoSuchBucket"):
                    raise ConfigError(
                        f"there is no bucket {self._bucket}.",
                        "Set Bucket in [s3] to a bucket that exists, or create it.",
                    ) from error
                raise
        actual = head.get("BucketRegion", "")
        configured = aws.region(self._settings)
        if actual and configured and actual != configured:
            raise ConfigError(
                f"bucket {self._bucket} is in region {actual}; Region says {configured}.",
                f'Set Region = "{actual}" in [s3].',
            )
        return actual or configured or "unknown"


@contextlib.contextmanager
def _conflicts(more: frozenset[str] | set[str] = frozenset()) -> Iterator[None]:
    """Turns the answers to a condition that does not hold into Conflict."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in _CONFLICTS or code in _GONE or code in more:
            raise Conflict from error
        if code in _NOT_BUILT:
            raise DestinationRefused(
                f"the store does not know conditional requests ({code}).",
                "hauserpy needs If-None-Match and If-Match on PUT: use another store.",
            ) from error
        raise


@contextlib.contextmanager
def _absent_is_none() -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if _code(error) not in _GONE:
            raise


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _digest(etag: str) -> str:
    return "etag:" + etag.strip('"')


def _slice(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
