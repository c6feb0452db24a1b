"""Records that are cut in two come out as if they had been parsed whole, to the byte."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.cut import Cut, learned
from hauserpy.decode.records import Unproved, parse
from hauserpy.decode.scenes import cut_apart
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle
from hauserpy.fields import catalogue, table_columns
from hauserpy.model import (
    Compression,
    CustomVarsKind,
    Layout,
    StageFormat,
    TimeStyle,
)
from hauserpy.pipeline.convert import Converted, Converter, Job
from hauserpy.transform import fields_of
from tests.bundles import COLUMNS, CUSTOM_KEYS, FILE_COLUMNS, KNOWN, VALUES, WINDOW, spell

MOST = 1 << 20
FIELDS = frozenset(fields_of(COLUMNS))
LAYOUTS = {
    "csv": Layout(FILE_COLUMNS),
    "csv.gz": Layout(FILE_COLUMNS, compression=Compression.GZIP),
    "jsonl": Layout(FILE_COLUMNS, format=StageFormat.JSONL, custom_vars=CustomVarsKind.OBJECT),
    "jsonl with text": Layout(FILE_COLUMNS, format=StageFormat.JSONL, int64_as_text=True),
    "redshift": Layout(
        table_columns(catalogue(), max_bytes=40), null="\0", time_style=TimeStyle.SQL
    ),
    "super": Layout(COLUMNS, custom_vars=CustomVarsKind.TYPED, custom_value_bytes=20),
    "parquet": Layout(FILE_COLUMNS, format=StageFormat.PARQUET),
    "raw": Layout(FILE_COLUMNS, format=StageFormat.RAW),
}

Members = list[tuple[str, str]]
"""Keys and the JSON texts of their values."""


@dataclass
class Told:
    """One record, in the order in which an export tells it."""

    opening: Members
    event: Members
    scene: Members
    rest: Members

    def text(self) -> str:
        members = [*self.opening, *self.event, *self.scene, *self.rest]
        return f"{{{','.join(f'{json.dumps(key)}:{value}' for key, value in members)}}}"


def told(number: int, *, middle: bool = False) -> Told:
    """Five pages' events in turn; where the scene is in the ``middle``, the event goes on behind."""
    page = number % 5
    scene = [
        ("PageStart", '"2026-11-22T04:05:06.500Z"'),
        ("PageUrl", json.dumps(f"https://shop.example/{page}?" + "q" * 150)),
        ("PageAgent", r'"Mozilla/5.0 (\"x\", y)"'),
        ("PageDuration", f"{page * 10}"),
    ]
    event = [
        ("EventStart", f'"2026-11-22T04:05:{number % 60:02}.{number % 1000:03}Z"'),
        ("EventType", '"click"'),
    ]
    if number % 3 == 0:
        event += [("EventTargetText", r'"say \"hi\",\r\n you"')]
    price = [("evt_price_real", f"{number}.50")] if number % 3 == 0 else []
    return Told(
        opening=[("IndvId", f"{2**53 + page}"), ("PageId", f"{page}")],
        event=event if middle else event + price,
        scene=scene if middle else [*scene, ("page_seats_int", f"{page}")],
        rest=[("PageNumInfos", f"{number}"), *price] if middle else [],
    )


def batch_of(records: Iterable[str], separator: str = ",\n") -> Batch:
    return Batch(separator.join(records).encode(), 7, last=False, separator=separator.encode())


def cut_of(*, middle: bool, separator: str = ",\n") -> Cut:
    batch = batch_of((told(n, middle=middle).text() for n in range(60)), separator)
    cut = learned(batch, parse(batch, most_bytes=MOST).values, FIELDS)
    assert cut is not None
    return cut


CUTS = {
    (middle, separator): cut_of(middle=middle, separator=separator)
    for middle in (False, True)
    for separator in (",", ",\n", " ,\t")
}


def test_where_records_are_cut() -> None:
    at_end, in_the_middle = CUTS[False, ","], CUTS[True, ","]
    assert (at_end.event, at_end.scene, at_end.rest) == (b',"EventStart":', b',"PageStart":', b"")
    assert at_end.scene_keys == ("IndvId", "PageId", "PageStart")
    assert at_end.event_fields == {"EventStart", "EventType", "EventTargetText"}
    assert (in_the_middle.event, in_the_middle.scene) == (at_end.event, at_end.scene)
    assert in_the_middle.rest == b',"PageNumInfos":'


def outcome(layout: Layout, batch: Batch, cut: Cut | None) -> Converted | tuple[type, str]:
    converter = Converter(Job(layout, WINDOW, None, MOST))
    converter.reader.cut = cut
    try:
        return converter.convert(batch)
    except (CorruptBundle, Unproved) as error:
        return type(error), str(error)


def assert_cut_or_whole_is_the_same(batch: Batch, cut: Cut, layout: Layout) -> None:
    assert outcome(layout, batch, cut) == outcome(layout, batch, None)


_INTRUDERS = [
    ("PageUrl", '"once more"'), ("pageurl", '"in another case"'), ("EventType", "7"), ("eventstart", "null"),
    ("PageStart", '"2026-11-22T04:05:06.500Z"'), ("PageUserAgent", '"both"'), ("PageAgent", '"again"'),
    ("page_seats_int", "9"), ("user_x_str", r'"\u0000"'), ("user_x_str", r'"\ud83d"'), ("evt_x_int", "1" * 25),
    ("IndvId", "9223372036854775808"), ("IndvId", "5.0"), ("PageDuration", '"12"'), ("PageNumInfos", "true"),
    ("evt_nested", '{"a":1,"PageStart":2,"b":[{"x":1},{"y":2}]}'), ("evt_list", '[{"a":1},{"EventStart":2}]'),
    ("evt_text_str", r'"},{\"EventStart\":1,\"PageStart\":2"'), ("evt_long_str", json.dumps("é" * 30)),
    ("PageUrl", json.dumps("日本" * 30)), ("evt_deep", "[" * 255 + "]" * 255), ("evt_e_real", "1e400"),
    ("evt_spaced", '{ "a" : [ 1 ,\n{ } ] }'), ("PageClusterId", "4"), ("BundleStartTime", "1"), ("", "0"),
]  # fmt: skip
_INTRUDING = st.sampled_from(_INTRUDERS) | (KNOWN | st.tuples(CUSTOM_KEYS, VALUES)).map(
    lambda pair: (pair[0], spell(pair[1], random.Random(1)))
)
_BROKEN = (
    "", "{}", "7", "null", "{", "}", '{"a":"', '{"EventStart":1,"PageStart":{"a":1}', "[1]", '"PageStart":1}',
    '{"IndvId":1,"PageId":2,"EventStart":3,"PageStart":[{"a":1', '4}],"PageNumInfos":1},{"x":2}',
    '{"IndvId":1,"PageId":2,"EventStart":3},{"x":1,"PageStart":2}',
    '{"IndvId":1,"PageId":2,"EventStart":"x","PageStart":2,"PageNumInfos":1}',
)  # fmt: skip


@st.composite
def batches(draw: st.DrawFn) -> tuple[Batch, Cut]:
    """Events of pages, some with something that does not belong where it stands, or broken."""
    middle, separator = draw(st.sampled_from(sorted(CUTS)))
    records = [told(number, middle=middle) for number in range(draw(st.integers(1, 12)))]
    for _ in range(draw(st.integers(0, 3))):
        record = draw(st.sampled_from(records))
        part = draw(st.sampled_from((record.opening, record.event, record.scene, record.rest)))
        part.insert(draw(st.integers(0, len(part))), draw(_INTRUDING))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1)))):
        record = draw(st.sampled_from(records))
        part = draw(st.sampled_from((record.opening, record.event, record.scene, record.rest)))
        del part[: draw(st.integers(1, 2))]
    if draw(st.booleans()):
        # A nested value that begins in one part and ends in another, or that never ends.
        record = draw(st.sampled_from(records))
        parts = (record.opening, record.event, record.scene, record.rest)
        first, second = sorted(draw(st.tuples(st.integers(0, 3), st.integers(0, 3))))
        parts[first].append((draw(st.sampled_from(("PageId", "evt_x"))), '{"a":1'))
        parts[second].append(("b", draw(st.sampled_from(("2}", "2}", "[2]}", "2}}", "2")))))
    texts = [record.text() for record in records]
    if draw(st.sampled_from((False, False, False, True))):
        texts[draw(st.integers(0, len(texts) - 1))] = draw(st.sampled_from(_BROKEN))
    return batch_of(texts, separator), CUTS[middle, separator]


@pytest.mark.parametrize("name", LAYOUTS)
@given(drawn=batches())
def test_whatever_the_records_are(name: str, drawn: tuple[Batch, Cut]) -> None:
    assert_cut_or_whole_is_the_same(*drawn, LAYOUTS[name])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("intruder", _INTRUDERS, ids=lambda pair: f"{pair[0]}={pair[1][:20]}")
@pytest.mark.parametrize("part", ["opening", "event", "scene", "rest"])
def test_one_that_does_not_belong(name: str, intruder: tuple[str, str], part: str) -> None:
    for middle in (False, True):
        records = [told(number, middle=middle) for number in range(8)]
        getattr(records[6], part).append(intruder)
        batch = batch_of(record.text() for record in records)
        assert_cut_or_whole_is_the_same(batch, CUTS[middle, ",\n"], LAYOUTS[name])


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_many_batches_with_what_was_learned_from_the_first(name: str, middle: bool) -> None:
    """The fields of an event that the first batch did not show are dealt anew."""
    by_cut, whole = (Converter(Job(LAYOUTS[name], WINDOW, None, MOST)) for _ in range(2))
    whole.reader.patience = 0
    for first in range(0, 600, 60):
        records = [told(number, middle=middle) for number in range(first, first + 60)]
        for number, record in enumerate(records):
            if first and number % 4 == 0:
                record.event.append(("ReqStatus", f"{number}"))
        batch = batch_of(record.text() for record in records)
        assert by_cut.convert(batch) == whole.convert(batch)
    # In the columns of the other two no row fits without care.
    assert (by_cut.reader.cut is not None) == (name not in {"redshift", "super"})
    assert whole.reader.cut is None


def test_usual_events_are_cut() -> None:
    for (middle, separator), cut in CUTS.items():
        batch = batch_of((told(n, middle=middle).text() for n in range(60)), separator)
        scenes = cut_apart(batch, cut, most_bytes=MOST)
        assert scenes is not None
        assert (len(scenes.events.values), len(scenes.scenes.values), scenes.uncut) == (60, 5, {})
        records = parse(batch, most_bytes=MOST).values
        assert [list(scenes.whole(n).items()) for n in range(60)] == [
            list(r.items()) for r in records
        ]


@pytest.mark.parametrize("broken", _BROKEN)
def test_what_is_no_record_is_not_cut(broken: str) -> None:
    for (middle, separator), cut in CUTS.items():
        texts = [told(n, middle=middle).text() for n in range(20)]
        for at in (0, 10, 20):
            batch = batch_of([*texts[:at], broken, *texts[at:]], separator)
            scenes = cut_apart(batch, cut, most_bytes=MOST)
            if scenes is not None:
                records = json.loads(b"[%b]" % batch.text)
                assert [scenes.whole(n) for n in range(len(records))] == records
                assert len(scenes.which) == len(records)


def test_a_border_inside_a_value_is_made_good_by_no_other() -> None:
    """Pieces that are wrong each for itself, and right in number and as one text."""
    records = [told(n) for n in range(20)]
    one, two, three = records[3], records[4], records[5]
    one.event.append(("evt_a", '[{"b":1'))
    two.opening[:0] = [("c", "1}]"), ("d", "2")]
    three.event.append(("x", '1}, {"y":2'))
    batch = batch_of(record.text() for record in records)
    assert cut_apart(batch, CUTS[False, ",\n"], most_bytes=MOST) is None


_TORN = {
    "from the event to its rest": (
        True, ('{"IndvId":1,"PageId":1,"EventStart":null,"evt_x":{"a":1,"PageStart":"2026-11-22T01:00:00.000Z",'
         '"PageUrl":"nested","PageNumInfos":7}}')),
    "from the opening to the scene": (
        False, ('{"IndvId":1,"PageId":{"a":1,"EventStart":null,"EventType":"nested","PageStart":3},'
         '"PageStart":"2026-11-22T01:00:00.000Z"}')),
    "across each other": (
        True, ('{"IndvId":1,"PageId":{"a":1,"EventStart":null,"x":[{"b":1,"PageStart":2},"PageStart":2,'
         '"PageNumInfos":5}]}')),
    "in an opening with a text": (
        False, ('{"IndvId":1,"PageId":{"a":1,"EventStart":null,"x":[{"b":1},"PageStart":2}]}')),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("torn", _TORN)
def test_what_is_nested_is_never_torn(name: str, torn: str) -> None:
    """Cut where a nested value goes on, each two parts that are put together are an object."""
    middle, record = _TORN[torn]
    texts = [told(n, middle=middle).text() for n in range(20)]
    batch = batch_of([*texts, record, *texts])
    cut = CUTS[middle, ",\n"]
    assert cut_apart(batch, cut, most_bytes=MOST) is None
    assert_cut_or_whole_is_the_same(batch, cut, LAYOUTS[name])


@pytest.mark.parametrize("space", ["", " "])
def test_a_record_that_begins_with_a_comma_is_none(space: str) -> None:
    texts = []
    for n in range(60):
        one = told(n)
        one.opening, one.event = [], [*one.event, *one.opening]
        texts.append(one.text())
    whole = batch_of(texts)
    cut = learned(whole, parse(whole, most_bytes=MOST).values, FIELDS)
    assert cut is not None and not cut.event and not cut.rest
    assert cut_apart(whole, cut, most_bytes=MOST) is not None
    record = f"{{{space}{cut.scene.decode()}1}}"
    assert cut_apart(batch_of([*texts, record, *texts]), cut, most_bytes=MOST) is None


@pytest.mark.parametrize("depth", [253, 254, 255, 256, 257, 1000])
@pytest.mark.parametrize("name", LAYOUTS)
def test_deep_values_in_what_is_learned_from(name: str, depth: int) -> None:
    records = [told(n) for n in range(60)]
    records[7].event.append(("evt_deep_strs", "[" * depth + "]" * depth))
    batch = batch_of(record.text() for record in records)
    learning = Converter(Job(LAYOUTS[name], WINDOW, None, MOST))
    try:
        found: object = learning.convert(batch)
    except CorruptBundle as error:
        found = type(error), str(error)
    assert found == outcome(LAYOUTS[name], batch, None)
    assert isinstance(found, Converted) == (depth < 256)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("key", ["EventType", "EventCustomName", "evt_x_strs"])
def test_a_deep_value_that_another_replaces_is_none(name: str, key: str) -> None:
    records = [told(n) for n in range(20)]
    records[7].event.append((key, "[" * 256 + "]" * 256))
    records[7].scene.append((key, '"x"'))
    batch = batch_of(record.text() for record in records)
    assert_cut_or_whole_is_the_same(batch, CUTS[False, ",\n"], LAYOUTS[name])
    assert isinstance(outcome(LAYOUTS[name], batch, CUTS[False, ",\n"]), Converted)


def test_nothing_is_learned_where_nothing_repeats() -> None:
    alone = [told(n) for n in range(60)]
    for n, record in enumerate(alone):
        record.opening = [("IndvId", f"{n}"), ("PageId", f"{n}")]
    restless = [told(n) for n in range(60)]
    for n, record in enumerate(restless):
        record.scene[1] = ("PageUrl", f'"{n}"')
    bare = [told(n) for n in range(60)]
    for record in bare:
        record.scene = record.scene[:1]
    disordered = [told(n) for n in range(60)]
    for n, record in enumerate(disordered):
        random.Random(n).shuffle(record.scene)
    for records in (alone, restless, bare, disordered, []):
        batch = batch_of(record.text() for record in records)
        parsed = parse(batch, most_bytes=MOST).values if records else []
        assert learned(batch, parsed, FIELDS) is None
    last = batch_of(told(n).text() for n in range(60))
    last = replace(last, separator=b"\n", last=True)
    assert learned(last, parse(last, most_bytes=MOST).values, FIELDS) is None


def test_a_cut_that_does_not_fit_is_learned_anew() -> None:
    converter = Converter(Job(LAYOUTS["csv"], WINDOW, None, MOST))
    converter.reader.cut = CUTS[True, ",\n"]
    converter.convert(batch_of(told(n).text() for n in range(60)))
    assert converter.reader.cut == CUTS[False, ",\n"]


def test_the_next_bundle_is_cut_from_its_first_batch_on() -> None:
    job = Job(LAYOUTS["csv"], WINDOW, None, MOST)
    one = Converter(job)
    one.convert(batch_of(told(n).text() for n in range(60)))
    assert Converter(job, one).reader.cut == CUTS[False, ",\n"]
    fewer = replace(job, layout=Layout(FILE_COLUMNS[:5]))
    assert Converter(fewer, one).reader.cut is None


def test_what_never_pays_is_given_up() -> None:
    converter = Converter(Job(LAYOUTS["redshift"], WINDOW, None, MOST))
    for first in range(0, 600, 60):
        # Every PageUrl must be cut to its column, so that every row needs care.
        converter.convert(batch_of(told(n).text() for n in range(first, first + 60)))
    assert (converter.reader.cut, converter.reader.patience) == (None, 0)
    converter = Converter(Job(LAYOUTS["csv"], WINDOW, None, MOST))
    for _ in range(10):
        converter.convert(batch_of('{"EventStart":null}' for _ in range(60)))
    assert (converter.reader.cut, converter.reader.patience) == (None, 0)
