"""The pytest plugin: the fixture ``fullstory_api``, a mock API of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hauserpy.mockapi.api import MockApi


@pytest.fixture
def fullstory_api(request: pytest.FixtureRequest) -> Iterator[MockApi]:
    """A running `hauserpy.mockapi.MockApi`: three synthetic bundles of 200 events.

    Other arguments by indirect parametrisation::

        @pytest.mark.parametrize("fullstory_api", [{"bundles": 1, "faults": ["500:2"]}],
                                 indirect=True)
    """
    from hauserpy.mockapi.api import MockApi

    with MockApi(**getattr(request, "param", {})) as api:
        yield api
