"""Parts in S3, where COPY reads them: uploaded under a key of this load, removed at its end."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from hauserpy import disk
from hauserpy.config import Settings, split_bucket
from hauserpy.destinations import aws
from hauserpy.errors import HauserpyError
from hauserpy.model import Part
from hauserpy.owner import Owner

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_log = logging.getLogger(__name__)

_THREADS = 4


class Staging:
    """The place in ``[s3] Bucket`` where loads leave their parts for a while."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._bucket, self._prefix = split_bucket(settings.s3.bucket)
        self._client: S3Client | None = None

    @property
    def bucket(self) -> str:
        return self._bucket

    @property
    def client(self) -> S3Client:
        if self._client is None:
            self._client = aws.s3_client(self._settings)
        return self._client

    @contextlib.contextmanager
    def uploaded(self, load: str, parts: Sequence[Part]) -> Iterator[str]:
        """The URL of a manifest of the parts, which are there as long as the context lasts.

        S3 compares each part with its CRC-32, so that what COPY reads is what was staged.
        """
        folder = f"{self._prefix}{Owner.of_this_process(load).name}/"
        keys = [f"{folder}part-{n:04d}.csv.gz" for n in range(1, len(parts) + 1)]
        manifest = f"{folder}manifest.json"
        try:
            with aws.explained(f"parts cannot be uploaded to s3://{self._bucket}/{self._prefix}"):
                self._upload(parts, keys)
                entries = [{"url": self.url(k), "mandatory": True} for k in keys]
                self.client.put_object(
                    Bucket=self._bucket,
                    Key=manifest,
                    Body=json.dumps({"entries": entries}).encode(),
                )
            yield self.url(manifest)
        finally:
            self.remove([*keys, manifest])

    def url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def sweep(self) -> None:
        """Remove what dead runs left. Never fails: a run that may not list can still load."""
        try:
            with aws.explained(f"s3://{self._bucket}/{self._prefix} cannot be listed"):
                keys = list(self._leftovers())
        except HauserpyError as error:
            _log.warning("left-over objects were not looked for: %s", error.reason)
            return
        self.remove(keys)

    def remove(self, keys: Sequence[str]) -> None:
        """Never fails: what stays is swept by a later run, or by the bucket's lifecycle rule."""
        try:
            with aws.explained(f"objects in s3://{self._bucket}/{self._prefix} stay behind"):
                for n in range(0, len(keys), 1000):
                    answer = self.client.delete_objects(
                        Bucket=self._bucket,
                        Delete={"Objects": [{"Key": k} for k in keys[n : n + 1000]], "Quiet": True},
                    )
                    for error in answer.get("Errors", []):
                        _log.warning(
                            "%s stays behind: %s", error.get("Key", "?"), error.get("Code", "?")
                        )
        except HauserpyError as error:
            _log.warning("%s", error.reason)

    def _leftovers(self) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}hauserpy~"
        )
        for page in pages:
            for found in page.get("Contents", []):
                owner = Owner.from_name(found["Key"])
                if owner is None:
                    continue
                if owner.is_gone(self._clock() - found["LastModified"]):
                    yield found["Key"]

    def _upload(self, parts: Sequence[Part], keys: Sequence[str]) -> None:
        with ThreadPoolExecutor(min(_THREADS, len(parts)) or 1) as pool:
            try:
                # A list, so that the first failure is raised here.
                list(pool.map(self._put, parts, keys))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _put(self, part: Part, key: str) -> None:
        """One whole object in one request: nothing of it is there if the upload breaks off."""
        with (
            disk.explained(f"part {part.path.name} cannot be read"),
            part.path.open("rb") as body,
        ):
            self.client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentLength=part.size,
                ContentType="text/csv",
                ChecksumCRC32=aws.base64_of(part.crc32),
            )
