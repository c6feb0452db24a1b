"""What `hauserpy check` tells about the export API: reached or not, once, and with what remedy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hauserpy.config import ExportApi, Secret
from hauserpy.export.checks import checks
from hauserpy.mockapi import MockApi
from tests.destinations.answering import answering
from tests.export.conftest import TOKEN, FakeTime, settings_for


def told(api: MockApi, generation: ExportApi, time: FakeTime, **changes: object) -> dict[str, bool]:
    url = api.url if generation is ExportApi.BUNDLES else api.segments_url
    settings = settings_for(url, generation, **changes)
    return {check.name: check.ok for check in checks(settings, time.timing)}


@pytest.mark.parametrize("generation", list(ExportApi))
def test_an_api_that_answers_is_well_and_nothing_is_exported(
    time: FakeTime, generation: ExportApi
) -> None:
    with MockApi(token=TOKEN, bundles=1, events=1, clock=lambda: time.now) as api:
        assert told(api, generation, time) == {"API": True, "token": True, "clock": True}
        assert len(api.requests) == 1
        assert api.operations == []


@pytest.mark.parametrize("generation", list(ExportApi))
def test_a_wrong_token_and_a_server_in_trouble_are_told_after_one_try(
    time: FakeTime, generation: ExportApi
) -> None:
    with MockApi(token=TOKEN, bundles=1, events=1, clock=lambda: time.now) as api:
        refused = told(api, generation, time, fs_api_token=Secret("another"))
        assert refused == {"API": True, "token": False, "clock": True}
        assert len(api.requests) == 1
    assert told(api, generation, time) == {"API": False}
    with MockApi(token=TOKEN, bundles=1, faults=["500:*"], clock=lambda: time.now) as api:
        assert told(api, generation, time) == {"API": False}
        assert len(api.requests) == 1
    assert time.slept == []


@pytest.mark.parametrize("generation", list(ExportApi))
@pytest.mark.parametrize("status", [200, 404])
def test_a_web_server_is_not_the_api(time: FakeTime, generation: ExportApi, status: int) -> None:
    with answering(status, "<html>Sign in", Content_Type="text/html") as url:
        (check,) = checks(settings_for(url, generation), time.timing)
    assert (check.name, check.ok) == ("API", False)
    assert "ApiURL" in check.remedy


def test_a_clock_that_is_off_is_told(time: FakeTime) -> None:
    late = timedelta(hours=2)
    with MockApi(token=TOKEN, bundles=1, events=1, clock=lambda: time.now - late) as api:
        assert told(api, ExportApi.BUNDLES, time) == {"API": True, "token": True, "clock": False}
