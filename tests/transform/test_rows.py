"""Which value goes where, rule by rule; and the fast way never differs from the careful one."""

from __future__ import annotations

import copy
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.records import Records, parse
from hauserpy.decode.split import Batch
from hauserpy.fields import catalogue, table_columns
from hauserpy.layout import CustomVarsKind, Layout, TimeStyle
from hauserpy.model import ChangeKind, Clip, Window
from hauserpy.transform import Rows, TooDeep, Transformer
from tests.bundles import COLUMNS, FILE_COLUMNS, RECORDS, WINDOW, by_row, spell

FILES = Layout(FILE_COLUMNS)
LAYOUTS = (
    FILES,
    Layout(COLUMNS, time_style=TimeStyle.SQL, null="\0"),
    Layout(table_columns(catalogue(), max_bytes=24), null="\0"),
    Layout(COLUMNS, custom_vars=CustomVarsKind.TYPED, custom_value_bytes=10),
    Layout(table_columns(catalogue(mobile=True))),
)


def parsed(*records: str) -> Records:
    return parse(Batch(",".join(records).encode(), 0, True), most_bytes=1 << 24)


def rows(*records: str, layout: Layout = FILES) -> Rows:
    return Transformer(layout, WINDOW).rows(parsed(*records))


def row(record: str, layout: Layout = FILES) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """The one row by column, NULLs left out, and the changes."""
    made = rows(record, layout=layout)
    names = (c.name for c in layout.columns)
    values = dict(zip(names, by_row(made)[0], strict=True))
    return {k: v for k, v in values.items() if v is not None}, made.counts.changes.to_json()


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ("{}", {"CustomVars": "{}"}),
        ('{"indvid":1}', {"IndvId": 1, "CustomVars": "{}"}),
        (
            '{"INDVID":1,"IndvId":2,"indvid":3}',
            {"IndvId": 2, "CustomVars": '{"INDVID":1,"indvid":3}'},
        ),
        ('{"INDVID":1,"indvid":3}', {"IndvId": 1, "CustomVars": '{"indvid":3}'}),
        ('{"PageAgent":"a"}', {"PageUserAgent": "a", "CustomVars": "{}"}),
        ('{"pageagent":"a"}', {"PageUserAgent": "a", "CustomVars": "{}"}),
        (
            '{"PageAgent":"a","pageuseragent":"b"}',
            {"PageUserAgent": "b", "CustomVars": '{"PageAgent":"a"}'},
        ),
        (
            '{"pageagent":"a","PageAgent":"b"}',
            {"PageUserAgent": "b", "CustomVars": '{"pageagent":"a"}'},
        ),
        (
            '{"CustomVars":{"a":1},"BundleStartTime":"x","AppName":"y"}',
            {"CustomVars": '{"CustomVars":{"a":1},"BundleStartTime":"x","AppName":"y"}'},
        ),
        ('{"b":null,"a":[1,{"z":2,"y":[]}]}', {"CustomVars": '{"b":null,"a":[1,{"z":2,"y":[]}]}'}),
        ('{"a":1,"b":2,"a":3}', {"CustomVars": '{"a":3,"b":2}'}),
        ('{"":1}', {"CustomVars": '{"":1}'}),
        (
            '{"a":1E5,"b":5.0,"c":1e400,"d":-0.0,"e":123456789012345678901234567890}',
            {"CustomVars": '{"a":100000.0,"b":5.0,"c":1e400,"d":-0.0,'
                           '"e":123456789012345678901234567890}'},
        ),
        ('{"IndvId":5.0,"UserId":1E5}', {"IndvId": 5, "UserId": 100000, "CustomVars": "{}"}),
        ('{"IndvId":"-007"}', {"IndvId": -7, "CustomVars": "{}"}),
        ('{"IndvId":9007199254740993}', {"IndvId": 9007199254740993, "CustomVars": "{}"}),
        ('{"IndvId":null,"UserId":"","EventStart":""}', {"CustomVars": "{}"}),
        (
            '{"EventType":"","PageUrl":null}',
            {"EventType": "", "CustomVars": "{}"},
        ),
        (
            '{"EventType":12,"PageUrl":true,"PageName":[1, "a"],"PageIp":{"a": 1.50}}',
            {"EventType": "12", "PageUrl": "true", "PageName": '[1,"a"]', "PageIp": '{"a":1.5}',
             "CustomVars": "{}"},
        ),
        (
            '{"EventCumulativeLayoutShift":"1.5e-3"}',
            {"EventCumulativeLayoutShift": 0.0015, "CustomVars": "{}"},
        ),
        ('{"EventCumulativeLayoutShift":3}', {"EventCumulativeLayoutShift": 3.0, "CustomVars": "{}"}),
    ],
)  # fmt: skip
def test_where_values_go(record: str, wanted: dict[str, Any]) -> None:
    assert row(record) == (wanted, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("IndvId", '"x"'), ("IndvId", "true"), ("indvid", "1.5"), ("IndvId", "9223372036854775808"),
        ("IndvId", "-9223372036854775809"), ("IndvId", "1e400"), ("IndvId", '"9223372036854775808"'),
        ("IndvId", '"+1"'), ("IndvId", '" 1"'), ("IndvId", '"1.0"'), ("IndvId", '"-"'), ("IndvId", "[]"),
        ("IndvId", '{"a":1}'), ("IndvId", '"٣"'), ("IndvId", "9.3e18"),
        ("PageNumEvents", "2147483648"), ("PageNumEvents", "-2147483649"), ("PageNumEvents", '"2147483648"'),
        ("EventCumulativeLayoutShift", '"NaN"'), ("EventCumulativeLayoutShift", '".5"'),
        ("EventCumulativeLayoutShift", '"01"'), ("EventCumulativeLayoutShift", "1e400"),
        ("EventCumulativeLayoutShift", '"1e400"'), ("EventCumulativeLayoutShift", "false"),
        ("EventStart", '"2026-11-22"'), ("eventstart", '"0001-01-01T00:00:00Z"'), ("EventStart", "1606000000"),
        ("EventStart", '"2026-02-30T00:00:00Z"'), ("EventStart", "{}"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_null_and_kept_under_its_own_key(key: str, value: str) -> None:
    name = next(c.name for c in FILE_COLUMNS if c.name.lower() == key.lower())
    spelled = "9.3e+18" if value == "9.3e18" else value
    wanted = f'{{"a":1,"{key}":{spelled},"z":2}}'
    found, changes = row(f'{{"a":1,"{key}":{value},"z":2}}')
    assert found == {"CustomVars": wanted}
    assert changes == {"unfit": {name: 1}}


@pytest.mark.parametrize("keys", ["surrogates", "nuls"])
def test_very_many_keys_that_become_equal_stay_apart_and_short(keys: str) -> None:
    """Each of 4,000 once got one character more than the one before: 20 MB of them, in seconds."""
    if keys == "surrogates":
        names = [f"\\ud8{n // 256:02x}\\ud8{n % 256:02x}" for n in range(4000)]
    else:
        bits = [f"{n:012b}" for n in range(4000)]
        names = [
            "".join(
                f"{c}\\u0000" if b == "1" else c for c, b in zip("abcdefghijkl", one, strict=True)
            )
            for one in bits
        ]
    text = ",".join(f'"{name}":{n}' for n, name in enumerate(names))
    found, _ = row(f"{{{text}}}")
    made = json.loads(found["CustomVars"])
    assert list(made.values()) == list(range(4000))
    assert max(map(len, made)) < 20


def test_text_is_cleaned_and_counted() -> None:
    found, changes = row(
        r'{"PageUrl":"a\u0000b\u0000","EventType":"\ud83d!","x\u0000":"\u0000\ude00","x":"\r\n\u2028",'
        r'"IndvId":"1\u0000","PageName":"\ud83d\ude00"}'
    )
    assert found == {
        "PageUrl": "ab",
        "EventType": "\ufffd!",
        "IndvId": 1,
        "PageName": "😀",
        "CustomVars": '{"x\ufffd":"\ufffd","x":"\\r\\n\u2028"}',
    }
    assert changes == {
        "nul_removed": {"PageUrl": 1, "IndvId": 1, "CustomVars": 2},
        "surrogate_replaced": {"EventType": 1, "CustomVars": 1},
    }


def test_what_is_cleaned_in_a_value_that_does_not_fit_is_counted_once() -> None:
    found, changes = row(r'{"IndvId":"x\u0000"}')
    assert found == {"CustomVars": '{"IndvId":"x"}'}
    assert changes == {"nul_removed": {"CustomVars": 1}, "unfit": {"IndvId": 1}}


def test_a_cut_time_is_counted() -> None:
    found, changes = row('{"EventStart":"2026-11-22T00:00:00.1234567Z"}')
    assert found == {"EventStart": "2026-11-22T00:00:00.123456Z", "CustomVars": "{}"}
    assert changes == {"time_cut": {"EventStart": 1}}


@pytest.mark.parametrize("most", range(12))
def test_text_is_cut_on_a_character_boundary(most: int) -> None:
    layout = Layout(table_columns(catalogue(), max_bytes=most))
    found, changes = row('{"PageUrl":"aé日😀!"}', layout)
    assert found["PageUrl"] == ["", "a", "a", "aé", "aé", "aé", "aé日", "aé日", "aé日", "aé日",
                                "aé日😀", "aé日😀!"][most]  # fmt: skip
    assert changes.get("text_cut", {}) == ({} if most == 11 else {"PageUrl": 1})


def plain_and_careful(records: list[dict[str, Any]], layout: Layout) -> tuple[Rows, Rows]:
    transformer = Transformer(layout, WINDOW)
    fast = transformer.rows(Records(copy.deepcopy(records), plain=True))
    again = transformer.rows(Records(copy.deepcopy(records), plain=True))
    assert fast == again
    return fast, Transformer(layout, WINDOW).rows(Records(records, plain=False))


def assert_same(one: Rows, other: Rows) -> None:
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0.
    assert repr(by_row(one)) == repr(by_row(other))
    assert one.counts.changes == other.counts.changes
    assert (one.counts.first_event, one.counts.last_event) == (
        other.counts.first_event,
        other.counts.last_event,
    )


@given(
    st.lists(RECORDS, min_size=1, max_size=8),
    st.sampled_from(LAYOUTS),
    st.randoms(use_true_random=False),
)
def test_the_fast_way_gives_what_the_careful_one_gives(
    trees: list[Any], layout: Layout, chance: random.Random
) -> None:
    text = ",".join(spell(tree, chance) for tree in trees)
    records = parsed(text)
    if records.plain:
        fast, careful = plain_and_careful(records.values, layout)
        assert_same(fast, careful)
    # A batch may owe its plainness to the other records in it.
    for tree in trees:
        alone = parsed(spell(tree, chance))
        if alone.plain:
            fast, careful = plain_and_careful(alone.values, layout)
            assert_same(fast, careful)


@pytest.mark.parametrize("layout", LAYOUTS[1:4:2])
def test_thousands_of_shapes_change_nothing(layout: Layout) -> None:
    chance = random.Random(5)
    values: list[Any] = [
        "x",
        "",
        7,
        2.5,
        None,
        True,
        ["a"],
        {"b": 1},
        "2026-11-22T01:02:03.5Z",
        "9",
    ]
    names = [c.field for c in FILE_COLUMNS]
    records = [
        {name: chance.choice(values) for name in (*chance.sample(names, 3), f"evt_{n % 2000}_str")}
        for n in range(4000)
    ]
    fast, careful = plain_and_careful(records, layout)
    assert_same(fast, careful)


def test_types_of_equal_values_are_told_apart() -> None:
    """1, 1.0 and True are one key of a dict; their columns differ."""
    records = [{"PageNumEvents": v, "EventType": v} for v in (1, True, 1.0, 0, False, 0.0, -0.0)]
    fast, careful = plain_and_careful(records, FILES)
    assert_same(fast, careful)
    at = [c.name for c in FILE_COLUMNS].index("EventType")
    assert [r[at] for r in by_row(fast)] == ["1", "true", "1.0", "0", "false", "0.0", "-0.0"]


@pytest.mark.parametrize("key", ["custom", "EventType", "IndvId", "EventStart"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("kind", [list, dict])
def test_values_are_256_deep_at_most(key: str, layout: Layout, plain: bool, kind: type) -> None:
    def record(depth: int) -> dict[str, Any]:
        value: Any = kind()
        for _ in range(depth - 2):
            value = [value] if kind is list else {"a": value}
        return {key: value}

    made = Transformer(layout, WINDOW).rows(Records([record(256)], plain))
    assert made.count == 1
    for depth in (257, 400) if not plain else (257, 400, 900):
        with pytest.raises(TooDeep):
            Transformer(layout, WINDOW).rows(Records([record(depth)], plain))


HOUR = timedelta(hours=1)
EARLY = Window(WINDOW.start, WINDOW.start + HOUR)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("strays", [True, False])
def test_clipping_keeps_the_window_and_counts_the_rest(plain: bool, strays: bool) -> None:
    def record(start: str | None, n: int) -> dict[str, Any]:
        return {"EventStart": start, "n": n, "IndvId": "x"}

    records = [
        record("2026-11-22T00:00:00Z", 0),  # the first instant is in
        record("2026-11-22T00:59:59.999999Z", 1),
        record("2026-11-22T01:00:00Z", 2),  # the last is out
        record("2026-11-22T02:00:00+02:00", 3),
        record("2026-11-21T23:59:59Z", 4),  # outside of the bundle: a stray
        record("2026-11-23T00:00:00Z", 5),
        record(None, 6),
        record("yesterday", 7),
        record("2026-11-22T23:59:59Z", 8),
    ]
    loaded = (Window(EARLY.stop, WINDOW.stop),)
    clip = Clip(EARLY, WINDOW, strays, loaded)
    made = Transformer(FILES, WINDOW, clip).rows(Records(records, plain))
    wanted = [0, 1, 3, 4, 5, 6, 7] if strays else [0, 1, 3]
    unclipped = Transformer(FILES, WINDOW).rows(Records(records, plain))
    assert by_row(made) == [by_row(unclipped)[n] for n in wanted]
    assert made.counts.changes[ChangeKind.CLIPPED, "EventStart"] == 2, (
        "strays are no part of a window"
    )
    elsewhere = Transformer(FILES, WINDOW, Clip(EARLY, WINDOW, strays, ()))
    others = elsewhere.rows(Records(records, plain))
    assert by_row(others) == by_row(made)
    assert (ChangeKind.CLIPPED, "EventStart") not in others.counts.changes, (
        "they come with other parts"
    )
    assert made.counts.changes[ChangeKind.UNFIT, "IndvId"] == len(wanted)
    assert made.counts.changes.get((ChangeKind.UNFIT, "EventStart"), 0) == (1 if strays else 0)
    last = datetime(2026, 11, 23, tzinfo=UTC) if strays else EARLY.stop - timedelta(microseconds=1)
    assert made.counts.last_event == last


def test_no_rows_have_no_span() -> None:
    clip = Clip(EARLY, WINDOW, strays=False, loaded=())
    made = Transformer(FILES, WINDOW, clip).rows(Records([{}], plain=True))
    assert (made.count, dict(made.counts.changes), made.counts.first_event, made.counts.last_event) == (
        0, {}, None, None,
    )  # fmt: skip
