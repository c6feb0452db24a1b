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


def test_what_to_do_where_it_is_forbidden_is_for_the_caller_to_say() -> None:
    with pytest.raises(AccessDenied) as raised, aws.explained("x", denied="Ask Ann."):
        raise answer("AccessDenied", 403)
    assert raised.value.instruction == "Ask Ann."
    with pytest.raises(ConfigError, match="Check ClusterIdentifier"), aws.explained("x"):
        raise answer("ClusterNotFound", 404)
    with pytest.raises(ConfigError, match="Check Workgroup"), aws.explained("x"):
        raise answer("ResourceNotFoundException", 404)
