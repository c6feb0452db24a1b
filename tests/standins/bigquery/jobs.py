"""Jobs: each has an id that is good once, runs in a thread of its own, and outlives its client."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.standins.bigquery.errors import Refused, exists, not_found
from tests.standins.bigquery.script import Outcome
from tests.standins.bigquery.types import to_cell

Work = Callable[["Job"], tuple[dict[str, Any], Outcome | None]]
"""Runs the job; returns what goes into its statistics, and a query's rows."""


class Job:
    def __init__(self, project: str, id: str, location: str, configuration: dict[str, Any]) -> None:
        self.project = project
        self.id = id
        self.location = location
        self.configuration = configuration
        self.created = time.time()
        self.statistics: dict[str, Any] = {}
        self.outcome: Outcome | None = None
        self.error: Refused | None = None
        self.done = threading.Event()
        self.stop = threading.Event()
        self.as_begun = self.describe()
        """What the request that began it is answered: never that it is done, however quick."""

    def describe(self) -> dict[str, Any]:
        status: dict[str, Any] = {"state": "DONE" if self.done.is_set() else "RUNNING"}
        if self.done.is_set() and self.error is not None:
            status["errorResult"] = self.error.as_job_error()
            status["errors"] = self.error.as_job_errors()
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": self.reference,
            "configuration": self.configuration,
            "status": status,
            "statistics": {"creationTime": str(int(self.created * 1000)), **self.statistics},
        }

    @property
    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def results(self, *, wait: float, start: int, most: int | None) -> dict[str, Any]:
        """``jobs.getQueryResults``: rows once it is done; raises the job's own error."""
        answer: dict[str, Any] = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": self.reference,
            "jobComplete": self.done.wait(wait),
        }
        if not answer["jobComplete"]:
            return answer
        if self.error is not None:
            raise self.error
        outcome = self.outcome or Outcome()
        rows = outcome.rows[start : None if most is None else start + most]
        answer["schema"] = {"fields": outcome.fields}
        answer["rows"] = [{"f": [{"v": to_cell(v)} for v in row]} for row in rows]
        answer["totalRows"] = str(len(outcome.rows))
        if outcome.affected is not None:
            answer["numDmlAffectedRows"] = str(outcome.affected)
        if start + len(rows) < len(outcome.rows):
            answer["pageToken"] = str(start + len(rows))
        return answer


class Jobs:
    """All jobs ever. Ids are never forgotten: one used twice is refused with 409, whatever came of
    the first (page "Run a job programmatically")."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._threads: list[threading.Thread] = []

    def start(self, job: Job, work: Work) -> Job:
        with self._guard:
            if (job.project, job.id) in self._jobs:
                raise exists("Job", f"{job.project}:{job.location}.{job.id}")
            self._jobs[job.project, job.id] = job
            thread = threading.Thread(target=_run, args=(job, work), daemon=True)
            self._threads.append(thread)
        thread.start()
        return job

    def get(self, project: str, id: str, location: str | None) -> Job:
        """Outside of the US and the EU a job is only found with its location."""
        with self._guard:
            found = self._jobs.get((project, id))
        if found is None:
            raise not_found("Job", f"{project}:{id}")
        places = (location.upper(),) if location else ("US", "EU")
        if found.location.upper() not in places:
            raise not_found("Job", f"{project}:{id}")
        return found

    @property
    def all(self) -> list[Job]:
        with self._guard:
            return list(self._jobs.values())

    def join(self) -> None:
        """Wait until everything that was started has ended."""
        with self._guard:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()


def _run(job: Job, work: Work) -> None:
    try:
        job.statistics, job.outcome = work(job)
    except Refused as refusal:
        job.error = refusal
    except Exception as error:
        job.error = Refused("internalError", f"the stand-in failed: {error!r}")
    finally:
        job.done.set()


def new_id() -> str:
    return str(uuid.uuid4())
