"""The BigQuery stand-in as pytest fixtures: one server a session, a dataset a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.standins.bigquery import BigQueryStandIn

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bigquery_server() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn() as server:
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
