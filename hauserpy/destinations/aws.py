"""What destinations on AWS share: the S3 client, the region, and botocore's errors as ours."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hauserpy.config import Settings, reaches_loopback
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DUMMY = "hauserpy"
_MOVED = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_DENIED = {
    "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidClientTokenId",
    "AccessDeniedException", "ExpiredTokenException", "OptInRequired", "KMS.DisabledException",
}  # fmt: skip
_NO_DATABASE = {
    "ClusterNotFound": "ClusterIdentifier",
    "ClusterNotFoundFault": "ClusterIdentifier",
    "ResourceNotFoundException": "Workgroup",
}
_PASSING = {"SlowDown", "RequestTimeout", "ThrottlingException", "Throttling", "InternalError"}


def region(settings: Settings) -> str | None:
    """``[s3] Region``, else what the AWS SDK finds in the environment and its own files."""
    if settings.s3.region:
        return settings.s3.region
    import boto3

    with explained("the AWS region cannot be found"):
        return boto3.session.Session().region_name


def s3_client(settings: Settings) -> S3Client:
    """A client for ``[s3]``: its region, time-out and Endpoint, with retries of botocore's own.

    The SDK finds the credentials as it always does. With an Endpoint on loopback none are needed.
    Clients may be used by several threads at once (boto3's guide, "Multithreading").
    """
    import boto3
    from botocore.config import Config

    endpoint = settings.s3.endpoint
    with explained("the AWS SDK cannot be set up"):
        session = boto3.session.Session(region_name=region(settings))
        dummy = None
        if reaches_loopback(endpoint) and session.get_credentials() is None:
            dummy = _DUMMY
        made: S3Client = session.client(
            "s3",
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=settings.connect_timeout.total_seconds(),
                read_timeout=settings.s3.timeout.total_seconds(),
                retries={"mode": "standard", "max_attempts": 5},
                # Compatible stores and stand-ins have no host name for each bucket.
                s3={"addressing_style": "path" if endpoint else "auto"},
                user_agent_extra="hauserpy",
            ),
            aws_access_key_id=dummy,
            aws_secret_access_key=dummy,
        )
    return made


def base64_of(crc32: int) -> str:
    """``ChecksumCRC32`` of a request: S3 compares what it gets with it, and refuses what differs."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


S3_POLICY = (
    "Check the AWS credentials that hauserpy runs with, and that their policy allows"
    " s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket there."
)


@contextlib.contextmanager
def explained(what: str, *, denied: str = S3_POLICY) -> Iterator[None]:
    """Turns an error of the AWS SDK into ours; ``what`` could not be done, without full stop, and
    ``denied`` says what to do where that is forbidden."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _of_answer(what, error.response, denied) from error
    except BotoCoreError as error:
        raise _of_sdk(what, error) from error


def _of_answer(what: str, response: Any, denied: str) -> HauserpyError:
    told = response.get("Error", {})
    code = str(told.get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{what}: AWS answers {code or status} ({told.get('Message') or 'no message'})."
    if code in _MOVED or status == 301:
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        right = headers.get("x-amz-bucket-region") or told.get("Region")
        named = f'"{right}"' if right else "the bucket's own"
        return ConfigError(text, f"The bucket is in another region: set Region = {named} in [s3].")
    if code == "NoSuchBucket":
        return ConfigError(text, "Set Bucket in [s3] to a bucket that exists, or create it.")
    if code in _NO_DATABASE:
        return ConfigError(text, f"Check {_NO_DATABASE[code]} and Host in [redshift].")
    if code in _DENIED or status in (401, 403):
        return AccessDenied(text, denied)
    if code in _PASSING or status >= 500 or status == 429:
        return DestinationUnavailable(text, "Run again later.")
    return DestinationRefused(text, "Check the settings in [s3].")


def _of_sdk(what: str, error: Exception) -> HauserpyError:
    name = type(error).__name__
    text = f"{what}: {str(error).rstrip('. ')}."
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
                "UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError",
                "LoginRefreshRequired"):  # fmt: skip
        return AccessDenied(
            text, "Give hauserpy AWS credentials: a role, a profile, or AWS_ACCESS_KEY_ID."
        )
    if name in ("ProfileNotFound", "NoRegionError", "InvalidRegionError", "ParamValidationError",
                "ConfigParseError", "InvalidEndpointConfigurationError"):  # fmt: skip
        return ConfigError(text, "Check Region and Bucket in [s3], and the AWS configuration.")
    return DestinationUnavailable(
        text, "Check the network and, if it is set, Endpoint in [s3]; then run again."
    )
