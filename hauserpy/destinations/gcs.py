"""Google Cloud Storage: files as objects, large ones by resumable uploads.

Conditional requests name the generation that must be there, 0 for none; 412 means that it is
another one ("Request preconditions"). An upload with such a condition may be repeated ("Retry
strategy", conditionally idempotent). A resumable upload that nobody completes is not visible and
ends by itself within a week ("Resumable uploads"), so that there is nothing to abort.

Needs the package google-cloud-storage, which the extra ``gcs`` brings.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from hauserpy.config import Settings, split_bucket
from hauserpy.destinations import gcp
from hauserpy.destinations.objects import ABSENT, Conflict, Object, Objects, Upload
from hauserpy.destinations.objects.names import content_type
from hauserpy.destinations.objects.store import LOAD_LABEL
from hauserpy.errors import ConfigError, DestinationUnavailable, HauserpyError
from hauserpy.model import Check, Part

T = TypeVar("T")

_CHUNK = 16 * 2**20
"""Bytes of one request of a resumable upload; the client library keeps them in memory."""
_LARGE = 8 * 2**20
"""Bytes from which the client library makes an upload resumable."""


class Gcs(Objects):
    """`Objects` in a Cloud Storage bucket.

    Credentials are the application default ones, and none with an Endpoint on this machine.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        name = f"gcs {settings.gcs.bucket}"
        if settings.gcs.endpoint:
            name += f" at {settings.gcs.endpoint}"
        super().__init__(settings, name, GcsStore(settings, sleep), clock=clock, sleep=sleep)


class GcsStore:
    """See `hauserpy.destinations.objects.store.ObjectStore`. Connects at the first request.

    The client library's own retries are switched off in favour of `gcp.Calls`, except within a
    resumable upload, which goes on where it broke off.
    """

    def __init__(self, settings: Settings, sleep: Callable[[float], None]) -> None:
        _library()
        self._settings = settings
        self._bucket, self._path = split_bucket(settings.gcs.bucket)
        self._calls = gcp.Calls(sleep)
        self._credentials: Any = None
        self._made: Any = None
        self._bucket_seen = False
        self._timeout: Final = (
            settings.connect_timeout.total_seconds(),
            settings.read_timeout.total_seconds(),
        )

    @property
    def place(self) -> str:
        return f"gs://{self._bucket}/{self._path}"

    def read(self, name: str) -> tuple[bytes, str] | None:
        def request() -> tuple[bytes, str]:
            blob = self._blob(name)
            data = blob.download_as_bytes(timeout=self._timeout, retry=None)
            return data, str(blob.generation)

        return self._found(f"{name} cannot be read", request)

    def write(self, name: str, data: bytes, *, only_if: str | None) -> str:
        def request() -> str:
            blob = self._blob(name)
            blob.upload_from_string(
                data,
                content_type=content_type(name),
                if_generation_match=_generation(only_if),
                timeout=self._timeout,
                retry=None,
                checksum="crc32c",
            )
            # Some answers leave it out of what the library keeps.
            if blob.generation is None:
                blob.reload(timeout=self._timeout, retry=None)
            return str(blob.generation)

        return self._call(f"{name} cannot be written", request)

    def begin(self, name: str, part: Part, load: str) -> str:
        return ""

    def write_file(self, name: str, part: Part, load: str, upload: str) -> None:
        from google.cloud.storage.retry import DEFAULT_RETRY

        large = part.size > _LARGE

        def request() -> None:
            blob = self._blob(name)
            blob.chunk_size = _CHUNK if large else None
            blob.metadata = {LOAD_LABEL: load}
            blob.upload_from_filename(
                str(part.path),
                content_type=content_type(name),
                if_generation_match=0,
                timeout=self._timeout,
                retry=DEFAULT_RETRY if large else None,
                checksum="crc32c",
            )

        self._call(f"{name} cannot be written", request)

    def stat(self, name: str) -> Object | None:
        def request() -> Object:
            blob = self._blob(name)
            blob.reload(timeout=self._timeout, retry=None)
            return self._object(blob)

        return self._found(f"{name} cannot be looked at", request)

    def list(self, prefix: str) -> Iterator[Object]:
        def request() -> tuple[Object, ...]:
            found = self._client.list_blobs(
                self._bucket, prefix=self._path + prefix, timeout=self._timeout, retry=None
            )
            return tuple(self._object(blob) for blob in found)

        yield from self._call("it cannot be listed", request)

    def delete(self, name: str, version: str | None = None) -> None:
        def request() -> None:
            self._blob(name).delete(
                if_generation_match=_generation(version), timeout=self._timeout, retry=None
            )

        with contextlib.suppress(Conflict):
            self._found(f"{name} cannot be deleted", request)

    def uploads(self) -> Iterator[Upload]:
        """None that must be aborted: see above."""
        return iter(())

    def abort(self, name: str, upload: str) -> None:
        """There is nothing to abort: see above."""

    def checks(self) -> Iterator[Check]:
        try:
            self._open()
            kind = type(self._credentials).__name__
            yield Check("credentials", ok=True, detail=kind)
            self._see_bucket()
            yield Check("bucket", ok=True, detail=self.place)
        except HauserpyError as error:
            yield Check(
                "bucket", ok=False, detail=error.reason, remedy=error.instruction, vital=True
            )

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    def _open(self) -> Any:
        if self._made is None:
            endpoint = self._settings.gcs.endpoint
            self._credentials = gcp.credentials(endpoint)
            self._made = _library().Client(
                # No project: it is only needed to make buckets.
                project=None,
                credentials=self._credentials,
                client_options={"api_endpoint": endpoint} if endpoint else None,
            )
        return self._made

    @property
    def _client(self) -> Any:
        return self._open()

    def _blob(self, name: str) -> Any:
        return self._client.bucket(self._bucket).blob(self._path + name)

    def _object(self, blob: Any) -> Object:
        return Object(
            blob.name.removeprefix(self._path),
            blob.size,
            f"crc32c:{blob.crc32c}",
            str(blob.generation),
            blob.updated,
            (blob.metadata or {}).get(LOAD_LABEL, ""),
        )

    def _see_bucket(self) -> None:
        """Raise ConfigError when there is no bucket, which answers about objects do not tell."""

        def request() -> None:
            listed = self._client.list_blobs(
                self._bucket,
                prefix=self._path + ".hauserpy/",
                max_results=1,
                timeout=self._timeout,
                retry=None,
            )
            next(iter(listed), None)

        if not self._bucket_seen:
            self._call("the bucket cannot be reached", request)
            self._bucket_seen = True

    def _found(self, what: str, request: Callable[[], T]) -> T | None:
        """The answer; None where there is no such object."""
        from google.api_core.exceptions import NotFound

        def or_none() -> T | None:
            try:
                return request()
            except NotFound:
                return None

        found = self._call(what, or_none)
        if found is None:
            self._see_bucket()
        return found

    def _call(self, what: str, request: Callable[[], T]) -> T:
        from google.api_core import exceptions as api

        self._open()
        try:
            return self._calls.attempt(request)
        except (api.PreconditionFailed, api.Conflict) as error:
            raise Conflict from error
        except HauserpyError:
            raise
        except Exception as error:
            if isinstance(error, api.NotFound) and not gcp.is_forgotten_upload(error):
                raise ConfigError(
                    f"{self.place}: {what}: there is no bucket {self._bucket}.",
                    "Set Bucket in [gcs] to a bucket that exists, or create it.",
                ) from error
            if type(error).__name__ == "DataCorruption":
                raise DestinationUnavailable(
                    f"{self.place}: {what}: its checksum was wrong after the transfer.",
                    "Run again.",
                ) from error
            raise gcp.translated(error, f"{self.place}: {what}") from error


def _library() -> Any:
    """The module `google.cloud.storage`; raises ConfigError where it is not installed."""
    try:
        return importlib.import_module("google.cloud.storage")
    except ImportError as error:
        raise ConfigError(
            "Provider gcp with StorageOnly needs the package google-cloud-storage.",
            "pip install google-cloud-storage",
        ) from error


def _generation(version: str | None) -> int | None:
    if version is None:
        return None
    return 0 if version == ABSENT else int(version)
