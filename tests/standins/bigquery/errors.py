"""What the stand-in refuses, in the two shapes in which Google says so: of a request, of a job.

Reasons and statuses are those of BigQuery's page "Error messages".
"""

from __future__ import annotations

from typing import Any

STATUS_OF = {
    "accessDenied": 403,
    "backendError": 500,
    "conditionNotMet": 412,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "jobRateLimitExceeded": 403,
    "notFound": 404,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "required": 400,
    "resourcesExceeded": 400,
    "stopped": 200,
}


class Refused(Exception):
    """One reason for which a request or a job comes to nothing; ``details`` are a load's rows."""

    def __init__(
        self, reason: str, message: str, *, status: int | None = None, details: tuple[str, ...] = ()
    ) -> None:
        self.reason = reason
        self.message = message
        self.status = STATUS_OF.get(reason, 400) if status is None else status
        self.details = details
        super().__init__(message)

    def as_answer(self) -> dict[str, Any]:
        """The body of an HTTP answer."""
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [one]}}

    def as_job_error(self) -> dict[str, Any]:
        """``status.errorResult`` of a job."""
        return {"reason": self.reason, "message": self.message}

    def as_job_errors(self) -> list[dict[str, Any]]:
        """``status.errors`` of a job: the error itself, then what it is about."""
        return [self.as_job_error(), *({"reason": self.reason, "message": d} for d in self.details)]


def not_found(what: str, name: str) -> Refused:
    return Refused("notFound", f"Not found: {what} {name}")


def exists(what: str, name: str) -> Refused:
    return Refused("duplicate", f"Already Exists: {what} {name}")


def denied(permission: str, what: str) -> Refused:
    return Refused(
        "accessDenied",
        f"Access Denied: {what}: Permission {permission} denied on {what[0].lower() + what[1:]}"
        " (or it may not exist).",
    )
