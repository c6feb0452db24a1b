"""Records that are copied by their form come out as if they had been parsed, to the byte."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from hauserpy.decode.form import Form, Slot, learned
from hauserpy.decode.records import Unproved, parse
from hauserpy.decode.split import Batch
from hauserpy.errors import CorruptBundle
from hauserpy.fields import as_exported, catalogue, table_columns
from hauserpy.layout import Compression, CustomVarsKind, FieldType, Layout, StageFormat, TimeStyle
from hauserpy.model import Clip
from hauserpy.pipeline.convert import Converted, Converter, Job
from hauserpy.pipeline.copier import Copied, Copier
from hauserpy.pipeline.plan import planned
from hauserpy.staging import encoder_for
from hauserpy.staging.copies import NUMBERS
from hauserpy.transform import fields_of
from tests.bundles import COLUMNS, CUSTOM_KEYS, FILE_COLUMNS, KNOWN, VALUES, WINDOW, spell

MOST = 1 << 20
FIELDS = frozenset(fields_of(COLUMNS))
FIELD_TYPES = {column.field: column.type for column in COLUMNS}
LAYOUTS = {
    "csv": Layout(FILE_COLUMNS),
    "csv.gz": Layout(FILE_COLUMNS, compression=Compression.GZIP),
    "jsonl": Layout(
        as_exported(FILE_COLUMNS), format=StageFormat.JSONL, custom_vars=CustomVarsKind.OBJECT
    ),
    "jsonl with text": Layout(FILE_COLUMNS, format=StageFormat.JSONL, int64_as_text=True),
    "redshift": Layout(
        table_columns(catalogue(), max_bytes=40), null="\0", time_style=TimeStyle.SQL
    ),
    "super": Layout(COLUMNS, custom_vars=CustomVarsKind.TYPED, custom_value_bytes=20),
    "bigquery": Layout(
        tuple(
            replace(c, name=c.name.lower(), max_bytes=250 if c.type is FieldType.STRING else None)
            for c in reversed(COLUMNS)
        ),
        format=StageFormat.JSONL,
        custom_vars=CustomVarsKind.TYPED,
        in_characters=True,
        int64_as_text=True,
    ),
    "parquet": Layout(FILE_COLUMNS, format=StageFormat.PARQUET),
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
        ("PageBrowser", '"Über"'),
        ("PageDevice", r'"Desk\u0074op \\ \/"'),
        ("PageDuration", f"{page * 10}"),
    ]
    event = [
        ("EventStart", f'"2026-11-22T04:05:{number % 60:02}.{number % 1000:03}Z"'),
        ("EventType", '"click"'),
    ]
    if number % 4 == 0:
        event += [("EventSubType", '"hover"')]
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


def form_of(records: Iterable[Told], separator: str = ",\n") -> Form | None:
    batch = batch_of((record.text() for record in records), separator)
    return learned(parse(batch, most_bytes=MOST).values, separator.encode(), FIELDS)


def some_form(*, middle: bool, alone: bool, separator: str) -> Form:
    records = [told(n, middle=middle) for n in range(60)]
    if alone:
        for n, record in enumerate(records):
            record.opening = [("IndvId", f"{n}"), ("PageId", f"{n}")]
    found = form_of(records, separator)
    assert found is not None and bool(found.body) != alone
    return found


FORMS = {
    (middle, alone, separator): some_form(middle=middle, alone=alone, separator=separator)
    for middle in (False, True)
    for alone in (False, True)
    for separator in (",", ",\n", " ,\t")
}
USUAL = FORMS[False, False, ",\n"]


def fields_in(slots: Iterable[Slot]) -> list[str]:
    return [slot.field for slot in slots]


def test_the_form_of_records() -> None:
    at_end, in_the_middle, alone = USUAL, FORMS[True, False, ","], FORMS[False, True, ","]
    event = ["EventStart", "EventType", "EventSubType", "EventTargetText"]
    scene = ["PageStart", "PageUrl", "PageAgent", "PageBrowser", "PageDevice", "PageDuration"]
    assert fields_in(at_end.opening) == ["IndvId", "PageId"]
    assert fields_in(at_end.event) == [*event, ""]
    assert (fields_in(at_end.body), at_end.rest) == ([*scene, ""], ())
    assert (fields_in(in_the_middle.event), fields_in(in_the_middle.body)) == (event, scene)
    assert fields_in(in_the_middle.rest) == ["PageNumInfos", ""]
    assert fields_in(alone.event) == ["IndvId", "PageId", *event, "", *scene, ""]
    always, seldom = at_end.event[0], at_end.event[3]
    assert (always.always, always.joined, always.plain) == (True, False, True)
    assert (seldom.always, seldom.joined, seldom.plain) == (False, False, False)
    assert at_end.event[1].joined


def test_what_comes_now_before_and_now_behind_another_has_several_slots() -> None:
    records = [told(n) for n in range(60)]
    for record in records[::4]:
        record.event.insert(1, ("EventModDead", "1"))
    for record in records[1::4]:
        record.event.append(("EventModDead", "1"))
    form = form_of(records)
    assert form is not None
    event = fields_in(form.event)
    assert [event.count(key) for key in ("EventStart", "EventType", "EventTargetText")] == [1, 1, 1]
    batch = batch_of(record.text() for record in records)
    found = copied(batch, form)
    assert found is not None and not found.left
    records[0].event.append(("EventModDead", "2"))
    assert_copied_or_parsed_is_the_same(batch_of(r.text() for r in records), form, LAYOUTS["csv"])


@lru_cache(maxsize=128)
def _converter_of(layout: Layout, form: Form | None) -> tuple[Converter, Form | None]:
    return Converter(Job(layout, WINDOW, None, MOST)), form


def converter_of(layout: Layout, form: Form | None) -> Converter:
    """One that has learned the form and nothing else. What it has copied before makes no difference,
    and planning takes as long as copying many batches."""
    made, planned_for = _converter_of(layout, form)
    made.reader._form = planned_for
    made.reader._patience = 4 if form is not None else 0
    made.reader._sample = None
    return made


def outcome(layout: Layout, batch: Batch, form: Form | None) -> Converted | tuple[type, str]:
    try:
        return converter_of(layout, form).convert(batch)
    except (CorruptBundle, Unproved) as error:
        return type(error), str(error)


def assert_copied_or_parsed_is_the_same(batch: Batch, form: Form, layout: Layout) -> None:
    assert outcome(layout, batch, form) == outcome(layout, batch, None)


def copied(batch: Batch, form: Form, layout: Layout = LAYOUTS["csv"]) -> Copied | None:
    return Copier(form, layout, WINDOW, encoder_for(layout)).copied(batch)


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
def batches(draw: st.DrawFn) -> tuple[Batch, Form]:
    """Events of pages, some with something that does not belong where it stands, or broken."""
    middle, alone, separator = draw(st.sampled_from(sorted(FORMS)))
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
    return batch_of(texts, separator), FORMS[middle, alone, separator]


@pytest.mark.parametrize("name", LAYOUTS)
@given(drawn=batches())
def test_whatever_the_records_are(name: str, drawn: tuple[Batch, Form]) -> None:
    assert_copied_or_parsed_is_the_same(*drawn, LAYOUTS[name])


@pytest.mark.parametrize("intruder", _INTRUDERS, ids=lambda pair: f"{pair[0]}={pair[1][:20]}")
@pytest.mark.parametrize("part", ["opening", "event", "scene", "rest"])
def test_one_that_does_not_belong(intruder: tuple[str, str], part: str) -> None:
    for middle in (False, True):
        records = [told(number, middle=middle) for number in range(8)]
        getattr(records[6], part).append(intruder)
        batch = batch_of(record.text() for record in records)
        for name, layout in LAYOUTS.items():
            wanted = outcome(layout, batch, None)
            for alone in (False, True):
                assert outcome(layout, batch, FORMS[middle, alone, ",\n"]) == wanted, name


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_many_batches_with_what_was_learned_from_the_first(name: str, middle: bool) -> None:
    """A field that the first batch did not show is learned with another form."""
    by_form, whole = (Converter(Job(LAYOUTS[name], WINDOW, None, MOST)) for _ in range(2))
    whole.reader._patience = 0
    for first in range(0, 600, 60):
        records = [told(number, middle=middle) for number in range(first, first + 60)]
        for number, record in enumerate(records):
            if first and number % 3 == 0:
                record.event.append(("ReqStatus", f"{number}"))
        batch = batch_of(record.text() for record in records)
        assert by_form.convert(batch) == whole.convert(batch)
    # In the columns of the other two no row fits without care.
    form = by_form.reader.form
    assert (form is not None) == (name not in {"redshift", "super"})
    assert form is None or "ReqStatus" in fields_in(form.event)
    assert whole.reader.form is None


@pytest.mark.parametrize("separator", [",", ",\n", " ,\t"])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("middle", [False, True])
def test_usual_events_are_copied(middle: bool, alone: bool, separator: str) -> None:
    batch = batch_of((told(n, middle=middle).text() for n in range(60)), separator)
    found = copied(batch, FORMS[middle, alone, separator])
    assert found is not None
    assert (len(found.lines), found.left) == (60, {})


@pytest.mark.parametrize("broken", _BROKEN)
def test_what_is_no_record_is_not_copied(broken: str) -> None:
    for (middle, _, separator), form in FORMS.items():
        texts = [told(n, middle=middle).text() for n in range(20)]
        for at in (0, 10, 20):
            batch = batch_of([*texts[:at], broken, *texts[at:]], separator)
            assert_copied_or_parsed_is_the_same(batch, form, LAYOUTS["csv"])


def test_a_border_inside_a_value_is_made_good_by_no_other() -> None:
    """Pieces that are wrong each for itself, and right in number and as one text."""
    records = [told(n) for n in range(20)]
    one, two, three = records[3], records[4], records[5]
    one.event.append(("evt_a", '[{"b":1'))
    two.opening[:0] = [("c", "1}]"), ("d", "2")]
    three.event.append(("x", '1}, {"y":2'))
    batch = batch_of(record.text() for record in records)
    assert_copied_or_parsed_is_the_same(batch, USUAL, LAYOUTS["csv"])


@pytest.mark.parametrize("middle", [False, True])
def test_records_that_cannot_be_cut_take_no_part_in_a_scene(middle: bool) -> None:
    """A scene may be long, and there may be a thousand of them."""
    records = [told(n, middle=middle) for n in range(9)]
    url = json.dumps("x" * 10_000)
    records[0].scene = [(k, url if k == "PageUrl" else v) for k, v in records[0].scene]
    texts = [records[0].text(), "{}", *(record.text() for record in records[1:]), "{}"]
    found = copied(batch_of(texts), FORMS[middle, False, ",\n"])
    assert found is not None and found.left == {1: b"", 10: b""}
    assert len(found.lines[0]) > 10_000
    assert max(len(found.lines[n]) for n in found.left) < 200


def test_rows_of_nothing() -> None:
    """No destination has a layout without CustomVars, which are never nothing."""
    columns = tuple(c for c in FILE_COLUMNS if c.type is not FieldType.CUSTOM_VARS)
    layout = Layout(columns, format=StageFormat.JSONL)
    found = outcome(layout, batch_of(["{}", '{"x":1}']), None)
    assert isinstance(found, Converted) and found.data == b"{}\n{}\n"
    texts = [told(n).text() for n in range(9)]
    form = learned(
        [orjson.loads(told(n).text()) for n in range(60)], b",\n", frozenset(fields_of(columns))
    )
    assert form is not None
    for batch in (batch_of(["{}", *texts]), batch_of([*texts, "{}", "{}"])):
        assert_copied_or_parsed_is_the_same(batch, form, layout)


_PARTS = ("opening", "event", "scene", "rest")


@pytest.mark.parametrize("into", _PARTS)
@pytest.mark.parametrize("torn", ["event", "scene", "rest", "event scene", "event scene rest"])
def test_parts_that_stand_inside_of_a_value(torn: str, into: str) -> None:
    """They belong to that value, also where what is left has the look of a record without them."""
    for middle, outside, followed in itertools.product((False, True), repeat=3):
        records = [told(n, middle=middle) for n in range(9)]
        one = records[5]
        inside: Members = [("a", "1")]
        for part in torn.split():
            inside += getattr(one, part)
            if not outside:
                setattr(one, part, [])
        if followed:
            inside += [("PageStart", "4"), ("PageNumInfos", "5")]
        members = ",".join(f"{json.dumps(key)}:{value}" for key, value in inside)
        getattr(one, into).append(("x", f"{{{members}}}"))
        batch = batch_of(record.text() for record in records)
        for name in ("csv", "jsonl", "redshift"):
            wanted = outcome(LAYOUTS[name], batch, None)
            assert isinstance(wanted, Converted)
            for alone in (False, True):
                found = outcome(LAYOUTS[name], batch, FORMS[middle, alone, ",\n"])
                assert found == wanted, (name, middle, outside, followed, alone)


_BREAKS = {
    "inside a record": ('{"IndvId":1,\n"PageId":1,"EventStart":null}', 1),
    "inside a record, like a border": ('{"IndvId":1,"a":[{"b":1},\n{"c":2}],"EventStart":null}', 1),
    "inside two, one of which is two": ('{"IndvId":1,\n"a":2},{"IndvId":3},\n{"b":[1,\n2]}', 3),
    "before a record": ('\n\n{"IndvId":1}', 1),
    "behind a record": ('{"IndvId":1}\n', 1),
    "two where one should be": ('{"IndvId":1},{"IndvId":2}', 2),
    "in a text": ('{"IndvId":1,"EventType":"a\nb"}', 0),
    "between texts": ('{"IndvId":1,"EventType":"a},\n{"}', 0),
}  # fmt: skip


@pytest.mark.parametrize("where", _BREAKS)
def test_line_breaks_where_they_are_not_usual(where: str) -> None:
    odd, count = _BREAKS[where]
    texts = [told(n).text() for n in range(20)]
    for layout in LAYOUTS.values():
        for at in (0, 10, 20):
            batch = batch_of([*texts[:at], odd, *texts[at:]])
            assert_copied_or_parsed_is_the_same(batch, USUAL, layout)
            found = outcome(layout, batch, USUAL)
            assert isinstance(found, Converted) == bool(count)
            assert not isinstance(found, Converted) or found.records == 20 + count


_STRINGS = (
    '"""', '""""', r'"\""', r'"\\"', r'"a\\\""', r'"\\\\"', r'"say \"\",\"PageUrl\":\"x"', r'"a\"', r'"\x"', r'"\u00"', '"\t"',
    '"\x7f"', r'"\t"', r'"\ud83d\ude00"', r'"\ud83d"', r'"\u0000"', r'"\\u0000"', '""', '","', r'",\n"', '"\xff"', '"\xc3"',
    '"\xc3\xa9"', '"\xed\xa0\x80"', '"}"', '"{"', '"},"', '"null"', '"a', 'a"', '""a"', '"\\', '[1]', 'null', 'true', '{}', '1',
    '"a" ', ' "a"', r'"\/"', '"\xe2\x80\xa8"',
)  # fmt: skip


@pytest.mark.parametrize("text", _STRINGS)
@pytest.mark.parametrize(
    "key",
    ["EventType", "EventSubType", "EventTargetText", "PageUrl", "PageBrowser", "PageDevice",
     "EventStart", "evt_x_str"],
)  # fmt: skip
def test_texts_that_are_hard_to_read(key: str, text: str) -> None:
    """Also those that are no JSON: what is not UTF-8 is written here as Latin-1."""
    for middle in (False, True):
        records = [told(n, middle=middle) for n in range(9)]
        for record in records[5:7]:
            part = record.scene if key.startswith("Page") else record.event
            if key in dict(part):
                part[:] = [(k, text if k == key else v) for k, v in part]
            else:
                part.append((key, text))
        texts = [record.text().encode("latin-1") for record in records]
        batch = Batch(b",\n".join(texts), 7, last=False, separator=b",\n")
        for name, layout in LAYOUTS.items():
            wanted = outcome(layout, batch, None)
            for alone in (False, True):
                assert outcome(layout, batch, FORMS[middle, alone, ",\n"]) == wanted, name


@given(
    st.from_regex(re.compile(rb"(?:%b)" % NUMBERS[FieldType.FLOAT64]), fullmatch=True)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: repr(x).encode())
    | st.decimals(-100, 100, places=6).map(lambda x: str(x).encode())
)
def test_numbers_that_are_copied_are_written_so(text: bytes) -> None:
    if re.fullmatch(NUMBERS[FieldType.FLOAT64], text):
        assert orjson.dumps(float(text)) == (text if b"." in text else text + b".0")
    if re.fullmatch(NUMBERS[FieldType.INT64], text):
        assert orjson.dumps(orjson.loads(text)) == text
        assert -(2**63) <= int(text) < 2**63


@pytest.mark.parametrize(
    "number",
    ["-0", "00", "01", "-01", "1.0", "1e2", "2147483647", "2147483648", "9223372036854775807",
     "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "92" + "9" * 17, "1" * 20,
     "0.1", "0.10", "1e-7", "-0.0", "0.00001", "1" * 15, "123456.5", "-", "1.", ".5", "+1", '"12"', '""', '"012"'],
)  # fmt: skip
@pytest.mark.parametrize(
    "key", ["PageNumInfos", "PageNumEvents", "EventCumulativeLayoutShift", "IndvId"]
)
def test_numbers_that_are_hard_to_read(key: str, number: str) -> None:
    def records(value: str) -> list[Told]:
        made = [told(n) for n in range(40)]
        for record in made[::2]:
            part = record.opening if key == "IndvId" else record.event
            if key in dict(part):
                part[:] = [(k, value if k == key else v) for k, v in part]
            else:
                part.append((key, value))
        return made

    form = form_of(records("7"))
    assert form is not None
    batch = batch_of(record.text() for record in records(number)[:7])
    for layout in LAYOUTS.values():
        assert_copied_or_parsed_is_the_same(batch, form, layout)


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
    """Where a nested value goes on behind the scene, what is put together is an object as well."""
    middle, record = _TORN[torn]
    texts = [told(n, middle=middle).text() for n in range(20)]
    batch = batch_of([*texts, record, *texts])
    for alone in (False, True):
        form = FORMS[middle, alone, ",\n"]
        assert_copied_or_parsed_is_the_same(batch, form, LAYOUTS[name])


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("separator", [",", ",\n", " ,\t"])
@pytest.mark.parametrize("alone", [False, True])
def test_a_record_that_begins_with_a_comma_is_none(space: str, separator: str, alone: bool) -> None:
    form = FORMS[False, alone, separator]
    texts = [told(n).text() for n in range(20)]
    comma = f"{{{space},"
    odd = [
        texts[3].replace("{", comma, 1),
        comma + '"IndvId":1,"PageId":2,"EventStart":null}',
        comma + '"EventStart":null,"PageStart":null}',
        # Where a border is another one, what stands in for it may stand there already.
        f'{texts[0]}{separator}{texts[1]},\n{comma}"IndvId":1}}',
        f"{texts[0]},\n{texts[3].replace('{', comma, 1)}",
    ]
    for record in odd:
        for at in (0, 10, 20):
            batch = batch_of([*texts[:at], record, *texts[at:]], separator)
            found = outcome(LAYOUTS["csv"], batch, form)
            assert not isinstance(found, Converted)
            assert found == outcome(LAYOUTS["csv"], batch, None)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_open_in_one_place_is_closed_by_no_other(name: str) -> None:
    """Custom variables in two places: a string that ends with a backslash is open for a parser, and
    what stands in the second place would close it."""
    form = FORMS[False, True, ",\n"]
    records = [told(n) for n in range(20)]
    records[4].event.append(("x", r'"a\\",""'))
    records[4].scene[-1:] = [('":[1,"', r'[\"z"]')]
    texts = [record.text() for record in records]
    texts[4] = texts[4].replace(json.dumps('":[1,"'), '":[1,"')
    assert_copied_or_parsed_is_the_same(batch_of(texts), form, LAYOUTS[name])


@pytest.mark.parametrize("last", ["PageAgent", "PageDevice"])
def test_a_text_that_the_batch_ends_in_is_not_whole(last: str) -> None:
    """The border was inside a string: what is torn off must not pass for the end of the record."""
    records = [told(n) for n in range(60)]
    for record in records:
        record.scene = record.scene[: 3 if last == "PageAgent" else 5]
    form = form_of(records)
    assert form is not None and fields_in(form.body)[-1] == last
    for torn in ('"', '"abc', '"abc\\\\', r'"a\"b', '"abc"', '""', '"', "7"):
        records[20].scene[-1] = (last, torn)
        batch = batch_of(record.text() for record in records[:21])
        for layout in LAYOUTS.values():
            assert_copied_or_parsed_is_the_same(batch, form, layout)


_AGENTS = ["null", '"own"', '""', "7"]


@pytest.mark.parametrize(
    "usual", [["PageAgent"], ["PageUserAgent"], ["PageAgent", "PageUserAgent"]]
)
@pytest.mark.parametrize("place", ["event", "scene", "rest"])
def test_the_alias_wherever_it_stands(usual: list[str], place: str) -> None:
    """PageAgent and PageUserAgent are one column, and records may have both."""
    sample = [told(n, middle=True) for n in range(60)]
    for n, record in enumerate(sample):
        record.scene = [(k, v) for k, v in record.scene if k != "PageAgent"]
        part = getattr(record, place)
        part += [(key, '"x"' if n % 3 else "null") for key in usual]
    form = form_of(sample)
    assert form is not None
    texts = []
    for n, (first, second) in enumerate(itertools.product(_AGENTS, repeat=2)):
        for elsewhere in ("event", "scene", "rest"):
            record = told(n, middle=True)
            record.scene = [(k, v) for k, v in record.scene if k != "PageAgent"]
            getattr(record, place).append(("PageAgent", first))
            getattr(record, elsewhere).append(("PageUserAgent", second))
            texts.append(record.text())
    for layout in LAYOUTS.values():
        for text in texts:
            usual_ones = [record.text() for record in sample[:9]]
            assert_copied_or_parsed_is_the_same(batch_of([*usual_ones, text]), form, layout)


def test_members_that_stand_side_by_side_are_one_copy() -> None:
    """Where they do so in records as in JSON Lines, whichever of them are there."""
    plan = planned(USUAL, LAYOUTS["jsonl"], WINDOW, encoder_for(LAYOUTS["jsonl"]))
    assert plan.scenes is not None
    assert ("EventType", "EventSubType") in plan.events.pattern.groups
    assert ("IndvId", "PageId") in plan.scenes.pattern.groups
    assert ("PageBrowser", "PageDevice") in plan.scenes.pattern.groups
    for name in ("csv", "redshift", "bigquery"):
        other = planned(USUAL, LAYOUTS[name], WINDOW, encoder_for(LAYOUTS[name]))
        assert ("EventType",) in other.events.pattern.groups, name


_SIDE_BY_SIDE = [
    ["EventType", "EventSubType"], ["EventSubType", "EventType"], ["EventType"], ["EventSubType"],
    ["EventType", "EventType", "EventSubType"], ["EventType", "EventSubType", "EventSubType"],
    ["EventSubType", "EventType", "EventSubType"], ["EventType", "evt_x_str", "EventSubType"],
    ["EventType", "EventTargetText", "EventSubType"], ["eventtype", "EventSubType"],
]  # fmt: skip
_IN_QUOTES = [
    "",
    "a",
    r"\u00e9",
    r"\/",
    r"\"",
    r"\\",
    r"\u0000",
    r"\ud83d",
    r"\x",
    "\t",
    "},{",
    r"\",\"EventSubType\":\"",
]


@pytest.mark.parametrize("keys", _SIDE_BY_SIDE, ids=" ".join)
def test_one_copy_is_as_exact_as_several(keys: list[str]) -> None:
    for texts in [(a, b) for t in _IN_QUOTES for a, b in ((t, "a"), ("a", t), (t, t))]:
        records = [told(n) for n in range(9)]
        several = itertools.cycle(texts)
        own = [(key, f'"{next(several)}"') for key in keys]
        records[5].event[1:] = own
        batch = batch_of(record.text() for record in records)
        assert_copied_or_parsed_is_the_same(batch, USUAL, LAYOUTS["jsonl"])


def test_what_wanders_is_no_part_of_one_copy() -> None:
    """Else what is in its other place would be lost."""
    *event, custom = USUAL.event
    form = replace(USUAL, event=(*event, Slot("EventSubType", plain=True), custom))
    records = [told(n) for n in range(60)]
    for n, record in enumerate(records):
        kept = [(key, value) for key, value in record.event if key != "EventSubType"]
        at = 2 + len([key for key, _ in kept if key == "EventTargetText"]) * (n % 2)
        record.event = [*kept[:at], ("EventSubType", f'"{n}"'), *kept[at:]]
    batch = batch_of(record.text() for record in records)
    found = copied(batch, form, LAYOUTS["jsonl"])
    assert found is not None and not found.left
    for layout in LAYOUTS.values():
        assert_copied_or_parsed_is_the_same(batch, form, layout)


_WANDERING = ["EventType", "EventCustomName", "ReqUrl", "EventDuration", "EventSubType",
              "EventModDead", "EventModError", "PageNumInfos"]  # fmt: skip


@given(
    shapes=st.lists(
        st.lists(st.sampled_from([*_WANDERING, "evt_x_str"]), unique=True), min_size=1, max_size=5
    ),
    seed=st.integers(0, 99),
)
def test_records_of_several_shapes(shapes: list[list[str]], seed: int) -> None:
    """Whatever comes with what, in whatever order: also in records of which the sample had none."""
    chance = random.Random(seed)
    records = [told(n) for n in range(60)]
    for n, record in enumerate(records):
        shape = shapes[n % len(shapes)]
        keys = [key for key in shape if n < 40 or chance.random() < 0.7]
        if n > 50:
            chance.shuffle(keys)
        values = {key: f"{n}" if FIELD_TYPES.get(key) in NUMBERS else f'"é{n}"' for key in keys}
        record.event[1:] = values.items()
    form = form_of(records[:40])
    if form is None:
        # What all have must come in one order.
        reject()
    for batch in (records[:40], records[40:]):
        assert_copied_or_parsed_is_the_same(
            batch_of(record.text() for record in batch), form, LAYOUTS["jsonl"]
        )


def test_custom_variables_in_very_many_places_have_no_form() -> None:
    """Each place would be tried for a long value that does not belong in any of them."""
    keys = [c.field for c in FILE_COLUMNS if c.type is FieldType.STRING]
    for places in (6, 12):
        records = [told(n) for n in range(60)]
        for n, record in enumerate(records):
            record.opening = [("IndvId", f"{n}"), ("PageId", f"{n}")]
            record.event[1:] = [
                pair
                for place, key in enumerate(keys[:places])
                if (n + place) % 3
                for pair in ((key, '"x"'), (f"evt_{place}", "1"))
            ]
            record.scene = []
        assert (form_of(records) is None) == (places == 12)


def test_nulls_are_copied_as_nothing() -> None:
    records = [told(n) for n in range(60)]
    for n, record in enumerate(records):
        record.event.append(("EventCustomName", "null" if n % 2 else '"x"'))
        record.event.append(("EventDuration", "null"))
    form = form_of(records)
    assert form is not None
    batch = batch_of(record.text() for record in records)
    found = copied(batch, form)
    assert found is not None and not found.left
    for layout in LAYOUTS.values():
        assert_copied_or_parsed_is_the_same(batch, form, layout)


def test_a_null_behind_another_value_counts() -> None:
    records = [told(n) for n in range(60)]
    for n, record in enumerate(records):
        if n % 4:
            record.event.insert(1 + n % 2, ("EventModDead", "null" if n % 3 else "1"))
    form = form_of(records)
    assert form is not None
    records[3].event = [
        ("EventStart", "null"),
        ("EventModDead", "1"),
        ("EventType", '"x"'),
        ("EventModDead", "null"),
    ]
    batch = batch_of(record.text() for record in records)
    for layout in LAYOUTS.values():
        assert_copied_or_parsed_is_the_same(batch, form, layout)


_TOKENS = (
    '"', r"\"", "\\", ",", ":", "{", "}", "[", "]", "null", "\n", " ", "},{", "},\n{", "},\n{,", '","', '":"', "-", "0", "é",
    "\x00", '"PageUrl":', ',"EventStart":', "}]", '\\"}', ',"x":"', "\t", "e", ".",
)  # fmt: skip


@st.composite
def mutilated(draw: st.DrawFn) -> tuple[Batch, Form]:
    """A few records with tokens put in, taken out or changed anywhere, and the form of their like."""
    middle, separator = draw(st.booleans()), draw(st.sampled_from((",", ",\n", ", ")))
    sample = [told(number, middle=middle) for number in range(40)]
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(("opening", "event", "scene", "rest")))
        key, value = draw(_INTRUDING)
        every = draw(st.integers(1, 3))
        for record in sample[::every]:
            getattr(record, part).append((key, value))
    texts = [record.text() for record in sample]
    try:
        form = learned([json.loads(text) for text in texts], separator.encode(), FIELDS)
    except RecursionError:
        form = None
    text = separator.join(texts[: draw(st.integers(1, 6))])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        # Mostly where one token ends and another begins.
        at = max(text.rfind(draw(st.sampled_from(('"', ",", "}"))), 0, at), 0) + draw(
            st.integers(0, 1)
        )
        text = (
            text[:at]
            + draw(st.sampled_from(_TOKENS))
            + text[at + draw(st.sampled_from((0, 0, 1, 2))) :]
        )
    batch = Batch(text.encode(), 7, last=draw(st.booleans()), separator=separator.encode())
    return batch, form or FORMS[middle, draw(st.booleans()), ",\n"]


@pytest.mark.parametrize("name", LAYOUTS)
@given(drawn=mutilated())
def test_whatever_the_text_is(name: str, drawn: tuple[Batch, Form]) -> None:
    assert_copied_or_parsed_is_the_same(*drawn, LAYOUTS[name])


@pytest.mark.parametrize("depth", [253, 254, 255, 256, 257, 1000])
@pytest.mark.parametrize("name", LAYOUTS)
def test_deep_values_in_what_is_learned_from(name: str, depth: int) -> None:
    records = [told(n) for n in range(60)]
    records[7].event.append(("evt_deep_strs", "[" * depth + "]" * depth))
    batch = batch_of(record.text() for record in records)
    learning = Converter(Job(LAYOUTS[name], WINDOW, None, MOST))
    try:
        found: object = learning.convert(batch)
        assert learning.reader.form is None or depth <= 252
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
    assert_copied_or_parsed_is_the_same(batch, USUAL, LAYOUTS[name])
    assert isinstance(outcome(LAYOUTS[name], batch, USUAL), Converted)


def test_records_without_an_order_have_no_form() -> None:
    disordered = [told(n) for n in range(60)]
    for n, record in enumerate(disordered):
        record.opening += record.scene
        record.scene = []
        random.Random(n).shuffle(record.opening)
    assert form_of(disordered) is None
    assert learned([], b",", FIELDS) is None
    assert learned([{"EventType": "x"}] * 60, b",", FIELDS) is None
    assert learned([{"EventStart": None}] * 60, b"\n", FIELDS) is None


def test_there_is_no_scene_where_nothing_repeats() -> None:
    alone = [told(n) for n in range(60)]
    for n, record in enumerate(alone):
        record.opening = [("IndvId", f"{n}"), ("PageId", f"{n}")]
    restless = [told(n) for n in range(60)]
    for n, record in enumerate(restless):
        record.scene[1] = ("PageUrl", f'"{n}"')
    bare = [told(n) for n in range(60)]
    for record in bare:
        record.scene = record.scene[:1]
    for records in (alone, restless, bare):
        form = form_of(records)
        assert form is not None and not form.body and not form.opening


def test_a_form_that_does_not_fit_is_learned_anew() -> None:
    converter = converter_of(LAYOUTS["csv"], FORMS[True, False, ",\n"])
    converter.convert(batch_of(told(n).text() for n in range(60)))
    assert converter.reader.form == USUAL


def test_the_next_bundle_is_copied_from_its_first_batch_on() -> None:
    job = Job(LAYOUTS["csv"], WINDOW, None, MOST)
    one = Converter(job)
    one.convert(batch_of(told(n).text() for n in range(60)))
    assert Converter(job, one.reader.form, learns=False).reader.form == USUAL
    fewer = replace(job, layout=Layout(FILE_COLUMNS[:5]))
    assert Converter(fewer, one.reader.form).reader.form is None


def test_what_never_pays_is_given_up() -> None:
    converter = Converter(Job(LAYOUTS["redshift"], WINDOW, None, MOST))
    for first in range(0, 600, 60):
        # Every PageUrl must be cut to its column, so that every row needs care.
        converter.convert(batch_of(told(n).text() for n in range(first, first + 60)))
    assert (converter.reader.form, converter.reader._patience) == (None, 0)


def test_a_batch_of_very_many_records_is_not_copied() -> None:
    texts = ['{"EventStart":"2026-11-22T04:05:06.500Z"}'] * 4097
    form = learned([json.loads(texts[0])] * 60, b",\n", FIELDS)
    assert form is not None
    assert copied(batch_of(texts), form) is None
    found = copied(batch_of(texts[1:]), form)
    assert found is not None and len(found.lines) == 4096


def test_nothing_is_learned_for_a_few_batches() -> None:
    few = Converter(Job(LAYOUTS["csv"], WINDOW, None, MOST), learns=False)
    batch = batch_of(told(n).text() for n in range(60))
    assert few.convert(batch) == few.convert(batch)
    assert few.reader.form is None


def test_a_job_with_a_clip_uses_no_form() -> None:
    job = Job(LAYOUTS["csv"], WINDOW, None, MOST)
    one = Converter(job)
    batch = batch_of(told(n).text() for n in range(60))
    one.convert(batch)
    clipped = Converter(
        replace(job, clip=Clip(WINDOW, WINDOW, strays=True, loaded=())), one.reader.form
    )
    assert clipped.convert(batch) == one.convert(batch)
    assert (one.reader.form, clipped.reader.form) == (USUAL, None)


@pytest.mark.parametrize("odd", [r'"cut \ud83d"', r'"\u0000"', f'"{"7" * 22}"', "9" * 22])
@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_one_odd_record_does_not_keep_the_others_from_being_copied(name: str, odd: str) -> None:
    one = Converter(Job(LAYOUTS[name], WINDOW, None, MOST))
    records = [told(n) for n in range(60)]
    records[7].event.append(("evt_odd_str", odd))
    batch = batch_of(record.text() for record in records)
    parsed = one.convert(batch)
    assert one.reader.form is not None
    assert one.convert(batch) == parsed
    assert one.reader.form is not None, "it has served"


@pytest.mark.parametrize("separator", [",\n", ",", " , "])
@pytest.mark.parametrize(("count", "learns"), [(300, True), (60, False)])
def test_a_bundle_that_is_one_batch_teaches_the_next(
    separator: str, count: int, learns: bool
) -> None:
    one = Converter(Job(LAYOUTS["csv"], WINDOW, None, MOST))
    text = separator.join(told(n).text() for n in range(count)).encode()
    batch = Batch(text, 1, last=True, separator=b"\n")
    parsed = one.convert(batch)
    form = one.reader.form
    assert (form is not None) == learns
    assert one.convert(batch) == parsed
    if form is not None:
        assert form.separator == separator.encode()
        assert one.reader.form is form, "it has served"


def test_a_batch_of_records_that_begin_differently_teaches_nothing() -> None:
    one = Converter(Job(LAYOUTS["csv"], WINDOW, None, MOST))
    texts = [told(n).text() for n in range(300)]
    texts[1:] = ['{"PageId":1}'] * 299
    batch = Batch(",".join(texts).encode(), 1, last=True, separator=b"")
    assert one.convert(batch) == one.convert(batch)
    assert one.reader.form is None
