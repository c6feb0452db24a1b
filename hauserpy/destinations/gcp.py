"""What destinations on Google Cloud share: credentials, retrying, and Google's errors as ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hauserpy import disk
from hauserpy.config import reaches_loopback
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
)
from hauserpy.waiting import LONG, span

if TYPE_CHECKING:
    from tenacity import RetryCallState

_log = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0
"""Of one request, other than an upload."""

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_ATTEMPTS = 9
_LONGEST_WAIT_SECONDS = 32.0
PASSING_REASONS = {
    "backendError", "badGateway", "internalError", "jobBackendError", "jobInternalError",
    "jobRateLimitExceeded", "rateLimitExceeded", "tableUnavailable", "timeout",
}  # fmt: skip
"""Worth another attempt: pages "Error messages" of BigQuery and "Status and error codes" of Cloud
Storage."""

QUOTA_REASONS = {"quotaExceeded", "dailyLimitExceeded", "userRateLimitExceeded"}
"""Not worth another attempt in the same run: what is used up comes back after hours."""

_DEFAULT_KEY = "the file that GOOGLE_APPLICATION_CREDENTIALS names"
FOR_QUOTA = "Wait, or ask for more quota in the Google console."
_ON_GOOGLE = (
    "Run again later; if it stays so, look at the status of Google Cloud and at your network."
)


def credentials(
    endpoint: str | None, *, file: Path | None = None, impersonate: str | None = None
) -> Any:
    """Credentials for Google's clients: those of a service account's key ``file``, else the
    application default credentials; ``impersonate`` names a service account to act as with them.

    With an endpoint on loopback, anonymous ones. Raises AccessDenied when there are none.
    """
    from google.auth import default, impersonated_credentials
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    if reaches_loopback(endpoint):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    key = _DEFAULT_KEY if file is None else f"CredentialsFile {file}"
    try:
        if file is None:
            found, _ = default(scopes=_SCOPES)
        else:
            found = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                str(file), scopes=_SCOPES
            )
        if impersonate:
            found = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
                source_credentials=found,
                target_principal=impersonate,
                target_scopes=list(_SCOPES),
            )
    except OSError as error:
        raise ConfigError(
            f"{key} cannot be read ({error.strerror}).",
            "Check its path and its permissions.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Not chained: the parser's message may quote the key.
        raise ConfigError(
            f"{key} is not the key file of a service account ({type(error).__name__}).",
            "Create a JSON key for the service account, or leave CredentialsFile out to use the"
            " application default credentials.",
        ) from None
    except GoogleAuthError as error:
        raise AccessDenied(
            f"there are no Google credentials ({_first_line(error)}).",
            "Set CredentialsFile in [bigquery], or GOOGLE_APPLICATION_CREDENTIALS, or run"
            " `gcloud auth application-default login`.",
        ) from error
    return found


class Calls:
    """Makes requests to Google, again where that may help, and turns their errors into ours.

    Only for requests that may be made twice. ``sleep`` takes seconds.
    """

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def __call__(self, what: str, request: Callable[[], T], *, attempts: int = _ATTEMPTS) -> T:
        """``what`` says what could not be done, for the message: ``table x cannot be read``."""
        try:
            return self.attempt(request, attempts=attempts)
        except HauserpyError:
            raise
        except Exception as error:
            raise translated(error, what) from error

    def attempt(self, request: Callable[[], T], *, attempts: int = _ATTEMPTS) -> T:
        """Raises Google's own errors."""
        from tenacity import (
            Retrying,
            retry_if_exception,
            stop_after_attempt,
            wait_random_exponential,
        )

        retrying = Retrying(
            sleep=self._sleep,
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_SECONDS),
            retry=retry_if_exception(is_passing),
            before_sleep=_tell,
            reraise=True,
        )
        return retrying(request)


def _tell(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    if error is not None and state.upcoming_sleep >= LONG:
        _log.warning(
            "Google: %s; trying again in %s", _first_line(error), span(state.upcoming_sleep)
        )


def is_passing(error: BaseException) -> bool:
    """Whether the same request may go well in a while."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    if isinstance(error, requests.exceptions.SSLError):
        return False
    if isinstance(error, auth.TransportError):
        return True
    if isinstance(error, auth.RefreshError):
        return bool(getattr(error, "retryable", False))
    if is_forgotten_upload(error):
        return True
    if isinstance(error, api.GoogleAPICallError):
        reason = reason_of(error)
        if isinstance(error, api.ServerError | api.TooManyRequests):
            return reason != "notImplemented"
        return reason in PASSING_REASONS
    # A proxy's page where JSON should be is a ValueError of the client's decoder.
    return isinstance(
        error, requests.exceptions.RequestException | ConnectionError | json.JSONDecodeError
    )


def is_forgotten_upload(error: BaseException) -> bool:
    """A resumable upload whose session is gone, as happens now and then: another begins anew.

    Issues of Google's own libraries tell of it (googleapis/python-storage#26); they leave it to
    their callers.
    """
    url = str(getattr(getattr(error, "response", None), "url", ""))
    return getattr(error, "code", None) in (404, 410) and "upload_id=" in url


def reason_of(error: BaseException) -> str:
    """Google's own word for it: ``rateLimitExceeded``."""
    for one in getattr(error, "errors", None) or ():
        if isinstance(one, dict) and one.get("reason"):
            return str(one["reason"])
    return ""


def translated(error: Exception, what: str) -> HauserpyError:
    """One of our errors for one of Google's; ours stay as they are, a bug is raised as it is."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    if isinstance(error, HauserpyError):
        return error
    told = f"{what}: {_first_line(error)}."
    reason = reason_of(error)
    if reason in QUOTA_REASONS:
        return DestinationUnavailable(told, FOR_QUOTA)
    if is_passing(error):
        return DestinationUnavailable(told, _ON_GOOGLE)
    if isinstance(error, api.Forbidden | api.Unauthorized):
        return AccessDenied(told, "Grant the role that the README names, or use other credentials.")
    if isinstance(error, auth.GoogleAuthError):
        return AccessDenied(
            told, "Check CredentialsFile, Impersonate, or the application default credentials."
        )
    if isinstance(error, api.NotFound):
        return DestinationRefused(told, "Check Project, Dataset, Location and the tables' names.")
    if isinstance(error, api.GoogleAPICallError):
        return DestinationRefused(told, "See the message; `hauserpy check` tries each step alone.")
    if isinstance(error, OSError) and error.filename:
        return disk.explain(error, what, setting="TmpDir")
    if isinstance(error, OSError):
        return DestinationUnavailable(told, _ON_GOOGLE)
    raise error


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "message", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".")
