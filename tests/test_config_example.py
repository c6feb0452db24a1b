"""The example and what `config show` tells: complete, and true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hauserpy.config import MASK, Settings, describe, example_text, load
from hauserpy.config.keys import KEYS, Key
from hauserpy.config.kinds import UNSET

COMMENTED = re.compile(r"^#(?=[A-Za-z0-9]+ = )", re.MULTILINE)
LIVE = [key for key in KEYS if key.attribute and not key.instead]


@pytest.fixture(scope="module")
def document() -> dict[str, object]:
    """The example with every key switched on."""
    return tomllib.loads(COMMENTED.sub("", example_text()))


def test_the_example_is_the_file_at_the_top_of_the_repository() -> None:
    top = Path(__file__).parents[1] / "config.example.toml"
    assert example_text() == top.read_text(encoding="utf-8")


def test_the_example_loads_as_it_is_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(example_text())
    settings = load(path, {})
    assert settings == Settings()
    assert settings.warnings == ()
    settings.require_destination()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.full)
def test_every_key_is_in_the_example(key: Key, document: dict[str, object]) -> None:
    if key in LIVE or key.name == "SaveAsJson":
        table = document[key.section] if key.section else document
        assert isinstance(table, dict)
        assert key.name in table
    else:
        assert re.search(rf"^#   .*\b{key.name}\b", example_text(), re.MULTILINE)


@pytest.mark.parametrize("key", LIVE, ids=lambda key: key.full)
def test_the_defaults_in_the_example_are_the_real_ones(
    key: Key, document: dict[str, object]
) -> None:
    table = document[key.section] if key.section else document
    assert isinstance(table, dict)
    value = key.kind.read(table[key.name])
    assert value is UNSET or value == key.of(Settings())


def test_the_example_has_no_key_that_is_unknown(
    tmp_path: Path, document: dict[str, object]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED.sub("", example_text()))
    settings = load(path, {})
    # Switched on, SegmentId and its like are a sign of hauser 1.x; ExportApi is stated, though.
    assert settings == Settings()
    known = {key.full for key in KEYS}
    for name, value in document.items():
        inner = value if isinstance(value, dict) else {}
        assert {f"{name}.{one}" for one in inner} <= known
        assert inner or name in known


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.full)
def test_every_key_says_what_it_takes(key: Key) -> None:
    assert key.kind.allowed
    assert key.doc.endswith(".")
    assert len(key.doc) <= 70


@pytest.mark.parametrize("section", ["redshift", "bigquery"])
def test_the_sync_table_is_said_to_be_of_one_export_table(section: str) -> None:
    (key,) = [key for key in KEYS if key.full == f"{section}.SyncTable"]
    assert "one ExportTable" in key.doc
    part = example_text().split(f"[{section}]")[1].split("\n[")[0]
    (comment,) = [p for p in part.split("\n\n") if "#SyncTable" in p]
    assert "one ExportTable" in comment and "one SegmentId" in comment


def test_every_setting_has_its_key() -> None:
    own = {"path", "origins", "notes", "warnings", "deprecated", "api_is_default"}
    sections = {"local", "s3", "redshift", "gcs", "bigquery"}
    expected = set(Settings.__dataclass_fields__) - own - sections
    assert {key.attribute for key in KEYS if not key.section} - {""} == expected
    for section in sections:
        fields = set(getattr(Settings(), section).__dataclass_fields__)
        assert {k.attribute for k in KEYS if k.section == section} - {""} == fields


def test_show_tells_each_value_and_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.touch(mode=0o600)
    path.write_text(
        'Warehouse = "redshift"\nExportDelay = "48h"\nStartTime = 2026-01-02T00:00:00+02:00\n'
        'AdditionalHttpHeader = [{Key = "X-A", Value = "hunter2"}]\n'
        '[redshift]\nPassword = "hunter2"\nHost = "h"\n'
    )
    settings = load(path, {"FULLSTORY_API_TOKEN": "hunter2", "HAUSERPY_REDSHIFT__HOST": "other"})
    rows = {row.key: (row.value, row.origin) for row in describe(settings)}
    assert list(rows) == [key.full for key in LIVE]
    assert rows["FsApiToken"] == (f'"{MASK}"', "environment FULLSTORY_API_TOKEN")
    assert rows["redshift.Password"] == (f'"{MASK}"', f"file {path}")
    assert rows["redshift.Credentials"] == ('""', "default")
    assert rows["AdditionalHttpHeader"] == (
        f'[{{ Key = "X-A", Value = "{MASK}" }}]',
        f"file {path}",
    )
    assert rows["Provider"] == ('"aws"', f"file {path} (Warehouse)")
    assert rows["ExportApi"] == ('"segments"', "inferred")
    assert rows["ApiURL"] == ('"https://api.fullstory.com"', "default")
    assert rows["ExportDelay"] == ('"48h"', f"file {path}")
    assert rows["StartTime"] == ("2026-01-01T22:00:00Z", f"file {path}")
    assert rows["redshift.Host"] == ('"other"', "environment HAUSERPY_REDSHIFT__HOST")
    assert rows["Backoff"] == ('"30s"', "default")
    assert "hunter2" not in str(rows)


@pytest.mark.parametrize("key", [k for k in LIVE if not k.kind.secret], ids=lambda key: key.full)
def test_what_show_writes_could_be_pasted_into_a_file(key: Key) -> None:
    shown = next(row.value for row in describe(Settings()) if row.key == key.full)
    value = key.kind.read(tomllib.loads(f"x = {shown}")["x"])
    assert value is UNSET or value == key.of(Settings())
