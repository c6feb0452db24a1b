"""Parts through Cloud Storage: objects that are there as long as a load job reads them."""

from __future__ import annotations

import importlib.util
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from hauserpy.config import split_bucket
from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.errors import HauserpyError
from hauserpy.model import Part
from hauserpy.owner import Owner

_log = logging.getLogger(__name__)

_CHUNK = 16 * 2**20
"""Bytes of one request of a resumable upload; the client library keeps them in memory."""
_LARGE = 8 * 2**20
"""Bytes from which the client library makes an upload resumable."""

_UPLOAD_TIMEOUT_SECONDS = (10.0, 600.0)


class Bucket:
    """The place in ``[gcs] Bucket``, which may hold a path, where parts wait for their load job."""

    def __init__(self, connection: Connection, *, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._calls = connection.calls
        self._clock = clock
        self.name, self._prefix = split_bucket(connection.settings.gcs.bucket)
        self._client: Any = None

    @classmethod
    def of(cls, connection: Connection, *, clock: Callable[[], datetime]) -> Bucket | None:
        """None when there is no bucket, or no client for it: then parts are uploaded directly."""
        if not connection.settings.gcs.bucket:
            return None
        if importlib.util.find_spec("google.cloud.storage") is None:
            _log.warning(
                "[gcs] Bucket is not used, since google-cloud-storage is not installed (pip install"
                " google-cloud-storage); bundles are uploaded to BigQuery directly"
            )
            return None
        return cls(connection, clock=clock)

    @property
    def bucket(self) -> Any:
        """A `google.cloud.storage.Bucket`; no request is made for it."""
        if self._client is None:
            from google.cloud import storage  # type: ignore[attr-defined]

            endpoint = self._connection.settings.gcs.endpoint
            self._client = storage.Client(
                project=self._connection.project,
                credentials=self._connection.credentials(endpoint),
                client_options={"api_endpoint": endpoint} if endpoint else None,
            )
        return self._client.bucket(self.name)

    @contextmanager
    def uploaded(self, load: str, parts: Sequence[Part]) -> Iterator[list[str]]:
        """The parts' ``gs://`` addresses; the objects are removed when the context ends."""
        folder = f"{self._prefix}{Owner.of_this_process(load).name}/"
        names = [f"{folder}{n:05d}.jsonl.gz" for n in range(len(parts))]
        try:
            for name, part in zip(names, parts, strict=True):
                self._upload(name, part)
            yield [f"gs://{self.name}/{name}" for name in names]
        finally:
            self._remove(names)

    def probe(self) -> str:
        """Write a small object and delete it again, for `hauserpy check`."""
        name = f"{self._prefix}{Owner.of_this_process(uuid.uuid4().hex).name}/probe"
        where = f"gs://{self.name}/{self._prefix}"
        self._calls(
            f"a probe cannot be written to {where}",
            lambda: self.bucket.blob(name).upload_from_string(
                b"probe", retry=None, timeout=gcp.TIMEOUT_SECONDS
            ),
        )
        self._calls(
            f"a probe cannot be deleted from {where}",
            lambda: self.bucket.blob(name).delete(retry=None, timeout=gcp.TIMEOUT_SECONDS),
        )
        return where

    def sweep(self) -> None:
        """Remove what dead runs left. Never fails: a run that may not list can still load."""
        try:
            names = self._calls(f"gs://{self.name} cannot be listed", self._leftovers)
        except HauserpyError as error:
            _log.warning("left-over objects were not looked for: %s", error.reason)
            return
        self._remove(names)

    def _leftovers(self) -> list[str]:
        listed = self.bucket.list_blobs(
            prefix=f"{self._prefix}hauserpy~", retry=None, timeout=gcp.TIMEOUT_SECONDS
        )
        found = []
        for blob in listed:
            owner = Owner.from_name(blob.name)
            if owner is None:
                continue
            age = timedelta() if blob.updated is None else self._clock() - blob.updated
            if owner.is_gone(age):
                found.append(str(blob.name))
        return found

    def _upload(self, name: str, part: Part) -> None:
        """A whole object or none: the same name again replaces it by the same content."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        large = part.size > _LARGE

        def upload() -> None:
            blob = self.bucket.blob(name, chunk_size=_CHUNK if large else None)
            blob.upload_from_filename(
                str(part.path),
                content_type="application/gzip",
                # A resumable upload goes on where it broke off.
                retry=DEFAULT_RETRY if large else None,
                timeout=_UPLOAD_TIMEOUT_SECONDS,
            )

        self._calls(f"gs://{self.name}/{name} cannot be written", upload)

    def _remove(self, names: Sequence[str]) -> None:
        """Never fails: what stays is swept by a later run, or by the bucket's lifecycle rule."""
        from google.api_core.exceptions import NotFound

        for name in names:

            def remove(name: str = name) -> None:
                try:
                    self.bucket.blob(name).delete(retry=None, timeout=gcp.TIMEOUT_SECONDS)
                except NotFound:
                    return

            try:
                self._calls(f"gs://{self.name}/{name} stays behind", remove)
            except HauserpyError as error:
                _log.warning("%s", error.reason)
