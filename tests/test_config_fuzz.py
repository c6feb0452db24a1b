"""Whatever a file or a variable holds, the answer is settings or a ConfigError, never a crash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauserpy.config import load
from hauserpy.config.keys import KEYS, Key
from hauserpy.config.layers import read_environment, read_value
from hauserpy.errors import ConfigError

HOSTILE = st.sampled_from(
    ["", " ", "\0", "~nobody-here/x", "~", "0", "-0s", "inf", "nan", "1e999", "٣", "\udcff", "{}",
     "[" * 2000, "1" * 5000, "null", "[null]", '[{"Key": 1}]', "https://[", "https://\u2100/",
     "http://localhost:x", "http://h:-1", "https://a@b@c", "9999-12-31T23:59:59-23:59",
     "0001-01-01T00:00:00+23:59", "2026-01-01T24:00:00Z", "..", "/", "a" * 3000, "<x>", "all"]
)  # fmt: skip
SCALARS = (
    st.text()
    | HOSTILE
    | st.integers()
    | st.just(2**300)
    | st.booleans()
    | st.floats()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["Key", "value"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXTS = st.text(st.characters(exclude_characters="\0")) | HOSTILE.filter(lambda t: "\0" not in t)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.full)
@settings(deadline=None, max_examples=60)
@given(value=VALUES)
def test_any_value_in_a_file_is_read_or_refused(key: Key, value: Any) -> None:
    try:
        read_value(key, value, "file x", 0)
    except ConfigError as error:
        assert key.full in error.reason
        assert len(error.reason) < 1000
        assert "\n" not in error.reason
        error.reason.encode()


@settings(deadline=None, max_examples=300)
@given(
    environ=st.dictionaries(
        st.sampled_from([key.variable for key in KEYS])
        | st.text(st.characters(exclude_characters="=\0")).map(lambda t: f"HAUSERPY_{t}"),
        TEXTS,
        max_size=4,
    )
)
def test_any_environment_is_read_or_refused(environ: Mapping[str, str]) -> None:
    try:
        read_environment(environ)
    except ConfigError as error:
        assert any(name in error.reason for name in environ)


@settings(deadline=None, max_examples=300)
@given(raw=st.binary() | st.text().map(str.encode))
def test_any_bytes_as_a_file_are_read_or_refused(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(raw)
    try:
        load(path, {})
    except ConfigError as error:
        assert str(path) in str(error)


def test_not_a_number_is_refused_and_shown() -> None:
    key = next(key for key in KEYS if key.name == "Workers")
    with pytest.raises(ConfigError, match="Workers = nan"):
        read_value(key, math.nan, "file x", 0)
