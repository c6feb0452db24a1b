"""The BigQuery stand-in as pytest fixtures: one server a session, a dataset a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.standins.bigquery import BigQueryStandIn

NOW = datetime(2026, 11, 23, 12, 30, 15, 250000, tzinfo=UTC)
"""What the server's clock says, which is what the destinations' clocks say in tests."""

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bigquery_server() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn(clock=NOW.timestamp) as server:
        yield server


@pytest.fixture
def bigquery(bigquery_server: BigQueryStandIn) -> Iterator[BigQueryStandIn]:
    """The server, without the faults of the test before."""
    yield bigquery_server
    bigquery_server.reset()


@pytest.fixture
def dataset(bigquery: BigQueryStandIn) -> str:
    """A dataset of this test's own."""
    return bigquery.dataset(f"d{next(_numbers)}")
