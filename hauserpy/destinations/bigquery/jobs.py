"""Jobs with ids of our own: begun once however often the answer is lost, and waited for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hauserpy.destinations import gcp
from hauserpy.destinations.bigquery.client import Connection
from hauserpy.destinations.bigquery.script import Parameter
from hauserpy.errors import DestinationUnavailable

LONGEST = timedelta(hours=7)
"""A query may run for six hours, a load job as well (page "Quotas and limits")."""

_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 5.0

_CONFLICT = re.compile(
    r"aborted due to concurrent update|could not serialize access|concurrent (update|transaction)"
    r"|too many DML statements outstanding",
    re.IGNORECASE,
)
"""The error strings of the page "Troubleshoot query issues", under concurrent DML."""


class JobFailed(Exception):
    """A job ended with an error: nothing of it is committed. ``errors`` are its own words."""

    def __init__(self, job_id: str, reason: str, errors: Iterable[str]) -> None:
        self.job_id = job_id
        self.reason = reason
        self.errors = tuple(dict.fromkeys(errors)) or ("no reason given",)
        super().__init__(self.errors[0])

    @property
    def conflict(self) -> bool:
        """Whether another transaction changed the same table; this one may be tried again."""
        return any(_CONFLICT.search(e) for e in self.errors)

    @property
    def passing(self) -> bool:
        """Whether the same may go well in a while."""
        return self.conflict or self.reason in gcp.PASSING_REASONS

    @property
    def quota(self) -> bool:
        """Whether something is used up, which comes back."""
        return self.reason in gcp.QUOTA_REASONS

    def says(self, text: str) -> bool:
        return any(text in e for e in self.errors)


class OutcomeUnknown(DestinationUnavailable):
    """What became of a job cannot be learnt: it may still run on the server."""


class Jobs:
    """Begins jobs and waits for their ends.

    A job id is good once; a second use is answered with 409 (page "Running jobs
    programmatically"). So an id is made before the request, and whatever is unclear after it is
    settled by asking for the job of that id: when it is there it is ours.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], datetime],
        wait: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._wait = wait

    def query(
        self,
        job_id: str,
        text: str,
        parameters: Iterable[Parameter] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Run a statement or script to its end; raises JobFailed when it ends with an error.

        Raises OutcomeUnknown when its end cannot be learnt; the job may then still run.
        """
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            use_query_cache=False,
            labels=dict(labels or {}),
            query_parameters=[api_parameter(p) for p in parameters],
        )
        client, location = self._connection.client, self._connection.location
        try:
            job = self.begin(
                job_id,
                lambda: client.query(
                    text,
                    job_config=config,
                    job_id=job_id,
                    location=location,
                    retry=None,
                    job_retry=None,
                    timeout=gcp.TIMEOUT_SECONDS,
                ),
            )
            self.wait(job)
        except DestinationUnavailable as error:
            if error.__cause__ is not None and not gcp.is_passing(error.__cause__):
                # Refused for certain, as for a quota.
                raise
            raise OutcomeUnknown(
                error.reason,
                "Run again: if the job has gone well meanwhile, that is seen in the ledger.",
            ) from error

    def begin(self, job_id: str, request: Callable[[], Any]) -> Any:
        """The job of that id, begun by ``request`` once, though it may be called several times."""
        from google.api_core.exceptions import Conflict

        def attempt() -> Any:
            try:
                return request()
            except Conflict:
                # Ours: of an attempt whose answer was lost.
                return self._find(job_id, certain=True)
            except Exception as error:
                if not gcp.is_passing(error):
                    raise
                found = self._find(job_id, certain=False)
                if found is None:
                    raise
                return found

        return self._connection.call(f"job {job_id} cannot be begun", attempt)

    def wait(self, job: Any) -> Any:
        """The job as it ended; raises JobFailed when it ended with an error."""
        deadline = self._clock() + LONGEST
        pause = _FIRST_WAIT_SECONDS
        while job.state != "DONE":
            if self._clock() > deadline:
                raise DestinationUnavailable(
                    f"job {job.job_id} has not ended after {LONGEST}.",
                    "Look at it in the Google console, then run again: what it loads is loaded once.",
                )
            self._wait(pause)
            pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
            job = self._find(job.job_id, certain=True)
        if job.error_result:
            told = [job.error_result, *(job.errors or [])]
            raise JobFailed(
                job.job_id,
                str(job.error_result.get("reason", "")),
                [str(e.get("message", "")) for e in told if e.get("message")],
            )
        return job

    def _find(self, job_id: str, *, certain: bool) -> Any:
        """The job of that id; None when there is none, unless it is ``certain`` that there is one:
        then a 404 passes, as it does now and then after a 409."""
        from google.api_core.exceptions import NotFound, ServiceUnavailable

        client, location = self._connection.client, self._connection.location

        def look() -> Any:
            try:
                return client.get_job(
                    job_id, location=location, retry=None, timeout=gcp.TIMEOUT_SECONDS
                )
            except NotFound as error:
                if not certain:
                    return None
                raise ServiceUnavailable(f"job {job_id} is not found yet") from error  # type: ignore[no-untyped-call]

        return self._connection.call(f"the state of job {job_id} cannot be learnt", look)


def label(text: str) -> str:
    """``text`` as the value of a label: lower case, digits, ``_`` and ``-``, at most 63 characters
    (page "Adding labels to resources")."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def labels(bundle: str = "") -> dict[str, str]:
    """Of every job that costs something, so that costs can be found by them."""
    found = {"tool": "hauserpy"}
    if bundle:
        found["bundle"] = label(bundle)
    return found


def api_parameter(one: Parameter) -> Any:
    """Google's own class for a query parameter."""
    from google.cloud import bigquery

    if one.array:
        return bigquery.ArrayQueryParameter(one.name, one.type, one.value)
    return bigquery.ScalarQueryParameter(one.name, one.type, one.value)
