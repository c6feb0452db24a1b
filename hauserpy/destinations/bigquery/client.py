"""The connection to BigQuery: Google's client, made when it is first needed, and its location."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hauserpy.config import Settings
from hauserpy.destinations import gcp
from hauserpy.errors import DestinationRefused

T = TypeVar("T")


class Connection:
    """Google's client, and how requests are made with it (`hauserpy.destinations.gcp.Calls`).

    The client's own retrying is switched off everywhere: it sleeps by a clock of its own, and with
    job ids of our own it must not repeat a job (Python client, "Client.query": ``job_retry``).
    """

    def __init__(self, settings: Settings, *, sleep: Callable[[float], None]) -> None:
        self.settings = settings
        self.calls = gcp.Calls(sleep)
        self._client: Any = None
        self._location: str | None = None

    @property
    def project(self) -> str:
        return self.settings.bigquery.project

    @property
    def dataset(self) -> str:
        """``project.dataset``"""
        return f"{self.project}.{self.settings.bigquery.dataset}"

    @property
    def client(self) -> Any:
        """A `google.cloud.bigquery.Client`. Its annotations deny that ``retry`` may be None, which
        its documentation allows, so it goes untyped."""
        self.open()
        return self._client

    def open(self) -> None:
        """Make the client, and with it the credentials; raises AccessDenied or ConfigError."""
        if self._client is None:
            from google.cloud import bigquery

            bq = self.settings.bigquery
            self._client = bigquery.Client(
                project=bq.project,
                credentials=self.credentials(bq.endpoint),
                client_options={"api_endpoint": bq.endpoint} if bq.endpoint else None,
            )

    def credentials(self, endpoint: str | None) -> Any:
        """Those for a Google server, BigQuery's own or another at ``endpoint``."""
        bq = self.settings.bigquery
        return gcp.credentials(endpoint, file=bq.credentials_file, impersonate=bq.impersonate)

    @property
    def location(self) -> str:
        """Where the dataset is: jobs run there, and outside of the US and the EU are only found
        with it (page "Dataset locations").

        Raises DestinationRefused when there is no dataset, or when ``Location`` says otherwise.
        """
        if self._location is None:
            found = self.call(
                f"dataset {self.dataset} cannot be read",
                lambda: self.client.get_dataset(
                    self.dataset, retry=None, timeout=gcp.TIMEOUT_SECONDS
                ),
            )
            wanted = self.settings.bigquery.location
            if wanted and wanted.upper() != str(found.location).upper():
                raise DestinationRefused(
                    f"dataset {self.dataset} is in {found.location}, and Location says {wanted}.",
                    "Take Location out of [bigquery], or correct it.",
                )
            self._location = str(found.location)
        return self._location

    def call(self, what: str, request: Callable[[], T]) -> T:
        return self.calls(what, request)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
