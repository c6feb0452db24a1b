"""What settings say of places: a bucket and the path in it, a server on this machine."""

from __future__ import annotations

import pytest

from hauserpy.config import reaches_loopback, split_bucket


@pytest.mark.parametrize(
    ("text", "bucket", "path"),
    [
        ("events", "events", ""),
        ("events/", "events", ""),
        ("events/full/story", "events", "full/story/"),
        ("events//full/", "events", "full/"),
    ],
)
def test_a_bucket_may_hold_a_path(text: str, bucket: str, path: str) -> None:
    assert split_bucket(text) == (bucket, path)


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://localhost:9000/x", True),
        ("http://[::1]:9000", True),
        ("https://s3.example.com", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.com", False),
        (None, False),
    ],
)
def test_only_an_endpoint_on_this_machine_goes_without_credentials(
    endpoint: str | None, here: bool
) -> None:
    assert reaches_loopback(endpoint) is here
