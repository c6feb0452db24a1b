"""What destinations on AWS share: buckets with paths, loopback, and errors in our own words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
)

from hauserpy.destinations import aws
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)


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
    assert aws.split_bucket(text) == (bucket, path)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://localhost:9000/x", True),
        ("http://[::1]:9000", True),
        ("https://s3.example.com", False),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_known_by_its_address(url: str, loopback: bool) -> None:
    assert aws.is_loopback(url) is loopback


def answer(code: str, status: int) -> ClientError:
    told = {"Error": {"Code": code, "Message": "No."}}
    response: Any = {**told, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answer("AccessDenied", 403), AccessDenied),
        (answer("InvalidAccessKeyId", 403), AccessDenied),
        (answer("ExpiredToken", 400), AccessDenied),
        (answer("PermanentRedirect", 301), ConfigError),
        (answer("AuthorizationHeaderMalformed", 400), ConfigError),
        (answer("NoSuchBucket", 404), ConfigError),
        (answer("SlowDown", 503), DestinationUnavailable),
        (answer("InternalError", 500), DestinationUnavailable),
        (answer("EntityTooLarge", 400), DestinationRefused),
        (NoCredentialsError(), AccessDenied),
        (ProfileNotFound(profile="x"), ConfigError),
        (EndpointConnectionError(endpoint_url="https://x"), DestinationUnavailable),
        (ReadTimeoutError(endpoint_url="https://x"), DestinationUnavailable),
    ],
)
def test_errors_are_ours_and_say_what_was_tried(
    error: BotoCoreError | ClientError, ours: type[HauserpyError]
) -> None:
    told = r"^parts cannot be uploaded: .+\. \S.+\.$"
    with (
        pytest.raises(ours, match=told) as raised,
        aws.explained("parts cannot be uploaded"),
    ):
        raise error
    assert type(raised.value) is ours
