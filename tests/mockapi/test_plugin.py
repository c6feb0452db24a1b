"""The pytest plugin that ships with the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mockapi.client import get, listing


def test_the_fixture_is_a_running_mock(fullstory_api):
    assert len(listing(fullstory_api)) == 3
    assert len(get(fullstory_api).records) == 200


@pytest.mark.parametrize(
    "fullstory_api", [{"bundles": 1, "events": 2, "faults": ["list:500"]}], indirect=True
)
def test_the_fixture_takes_arguments(fullstory_api):
    assert len(get(fullstory_api).records) == 2
    assert [str(f) for f in fullstory_api.faults.pending()] == ["list:500:1"]


def test_each_test_has_a_mock_of_its_own(fullstory_api):
    assert fullstory_api.requests == []


def test_the_plugin_costs_nothing_until_it_is_used():
    code = (
        "import sys, hauserpy.mockapi.plugin\n"
        "heavy = {'http.server', 'orjson', 'isal', 'click', 'requests', 'hauserpy.mockapi.api',"
        " 'hauserpy.model'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
