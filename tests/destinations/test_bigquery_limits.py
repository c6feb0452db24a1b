"""Columns of STRING(n) in a table that somebody else made: what is longer is cut, and counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hauserpy.entries import EntryKind
from hauserpy.model import ChangeKind
from tests.destinations.bigquery_world import World, events, window


def limited(bq: World, **lengths: int) -> None:
    fields: list[dict[str, Any]] = [{"name": "EventStart", "type": "TIMESTAMP"}]
    fields += [{"name": n, "type": "STRING", "maxLength": str(v)} for n, v in lengths.items()]
    bq.server.create_table(bq.dataset, "fs_export", schema={"fields": fields})


def loaded(bq: World, **given: str) -> tuple[tuple[str, str], dict[tuple[ChangeKind, str], int]]:
    """EventTargetText and CustomVars of one event, and what was altered of it."""
    destination, layout = bq.ready()
    stored = bq.load(destination, layout, 0, [{**events(0, 1)[0], "user_plan_str": "x", **given}])
    ((text, custom),) = bq.sql("SELECT EventTargetText, CustomVars FROM fs_export")
    return (text, custom), stored.changes


def test_a_longer_text_is_cut_and_counted(bq: World) -> None:
    limited(bq, EventTargetText=5)
    (text, _), changes = loaded(bq, EventTargetText="a longer text")
    assert text == "a lon" and changes == {(ChangeKind.TEXT_CUT, "EventTargetText"): 1}


@pytest.mark.parametrize("character", ["ä", "語", "🙂"])
def test_a_text_that_fits_is_whole_in_any_script(bq: World, character: str) -> None:
    """n counts characters, whatever their bytes."""
    limited(bq, EventTargetText=5)
    (text, _), changes = loaded(bq, EventTargetText=character * 5)
    assert text == character * 5 and changes == {}


def test_custom_variables_that_fit_are_whole_in_any_script(bq: World) -> None:
    name = "語🙂" * 20
    custom = {"user_plan_str": "x", "user_name_str": name}
    limited(bq, EventTargetText=5, CustomVars=len(json.dumps(custom, ensure_ascii=False)))
    (_, found), changes = loaded(bq, EventTargetText="x", user_name_str=name)
    assert json.loads(found) == custom and changes == {}


def test_longer_custom_variables_are_cut_to_the_character(bq: World) -> None:
    custom = {"user_plan_str": "x", "user_name_str": "語🙂" * 20}
    most = len(json.dumps(custom, ensure_ascii=False, separators=(",", ":"))) - 1
    limited(bq, EventTargetText=5, CustomVars=most)
    (_, found), changes = loaded(bq, EventTargetText="x", user_name_str="語🙂" * 20)
    assert json.loads(found) == {**custom, "user_name_str": ("語🙂" * 20)[:-1]}
    assert changes == {(ChangeKind.CUSTOM_VARS_CUT, "CustomVars"): 1}


@pytest.mark.parametrize("character", ["ä", "語", "🙂"])
def test_a_longer_text_of_any_script_is_cut_to_the_character(bq: World, character: str) -> None:
    limited(bq, EventTargetText=5)
    (text, _), changes = loaded(bq, EventTargetText=character * 6)
    assert text == character * 5
    assert changes == {(ChangeKind.TEXT_CUT, "EventTargetText"): 1}


@pytest.mark.parametrize("length", [2, 3, 30, 60])
def test_longer_custom_variables_stay_valid_json(bq: World, length: int) -> None:
    limited(bq, EventTargetText=5, CustomVars=length)
    (_, custom), changes = loaded(bq, EventTargetText="x", user_name_str="語🙂" * 40)
    assert len(custom) <= length and isinstance(json.loads(custom), dict)
    assert changes[ChangeKind.CUSTOM_VARS_CUT, "CustomVars"] >= 1


def test_the_limit_stays_when_columns_are_added_and_when_a_window_is_replaced(bq: World) -> None:
    limited(bq, EventTargetText=5)
    loaded(bq, EventTargetText="a longer text")
    destination, layout = bq.ready()
    bq.load(destination, layout, 0, events(0, 1, tag="beyond"), kind=EntryKind.BACKFILL)
    assert bq.texts() == ["0/0be"]
    fields = bq.server.table(bq.dataset, "fs_export")["schema"]["fields"]
    assert {f["name"]: f.get("maxLength") for f in fields}["EventTargetText"] == "5"
    assert [e.window for e in bq.ledger().entries] == [window(0)]
