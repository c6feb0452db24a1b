"""As much of Cloud Storage's JSON API as a load through a bucket needs: objects in memory."""

from __future__ import annotations

import base64
import threading
from typing import Any

import google_crc32c

from tests.standins.bigquery.errors import Refused, not_found


class Objects:
    """Buckets and their objects. A bucket must have been made with `create_bucket`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._buckets: dict[str, dict[str, bytes]] = {}
        self._generation = 0

    def create_bucket(self, name: str) -> None:
        with self._guard:
            self._buckets.setdefault(name, {})

    def _bucket(self, name: str) -> dict[str, bytes]:
        try:
            return self._buckets[name]
        except KeyError:
            raise not_found("Bucket", name) from None

    def put(self, bucket: str, name: str, content: bytes, *, only_new: bool) -> dict[str, Any]:
        with self._guard:
            found = self._bucket(bucket)
            if only_new and name in found:
                raise Refused("conditionNotMet", "The object exists already.")
            found[name] = content
            self._generation += 1
            return self._describe(bucket, name)

    def _describe(self, bucket: str, name: str) -> dict[str, Any]:
        content = self._buckets[bucket][name]
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(content)),
            "crc32c": base64.b64encode(google_crc32c.Checksum(content).digest()).decode(),
            "generation": str(self._generation),
        }

    def get(self, bucket: str, name: str) -> bytes:
        with self._guard:
            found = self._bucket(bucket)
            if name not in found:
                raise not_found("Object", f"{bucket}/{name}")
            return found[name]

    def delete(self, bucket: str, name: str) -> None:
        with self._guard:
            if self._bucket(bucket).pop(name, None) is None:
                raise not_found("Object", f"{bucket}/{name}")

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        with self._guard:
            return sorted(n for n in self._bucket(bucket) if n.startswith(prefix))

    def listing(self, bucket: str, prefix: str) -> dict[str, Any]:
        names = self.names(bucket, prefix)
        with self._guard:
            return {"items": [self._describe(bucket, n) for n in names]}

    def read_uri(self, uri: str) -> bytes:
        """The content of ``gs://bucket/name``."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        return self.get(bucket, name)
