"""The catalogue's orders."""

from __future__ import annotations

import pytest

from hauserpy.fields import as_exported, catalogue, table_columns


@pytest.mark.parametrize("mobile", [False, True])
def test_as_exported_every_column_has_its_place(mobile: bool) -> None:
    """Whatever order they come in: first who and when, last what is said of nobody by name."""
    columns = table_columns(catalogue(mobile))
    found = as_exported(columns)
    assert sorted(c.name for c in found) == sorted(c.name for c in columns)
    assert found == as_exported(reversed(columns))
    names = [c.field for c in found]
    assert names[:6] == ["IndvId", "UserId", "SessionId", "PageId", "EventStart", "EventType"]
    assert names[-2:] == ["CustomVars", "BundleStartTime"]
    assert [n[:4] for n in names[-6:-2]] == ["User"] * 4
