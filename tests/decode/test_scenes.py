"""Records cut into events and scenes: nothing is lost, and each scene is there once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauserpy.decode.form import Form, Slot
from hauserpy.decode.lines import insides, lined
from hauserpy.decode.scenes import STOP, Cut, Cutter

AT_THE_END = Form(
    b",\n", (Slot("IndvId"),), (Slot("EventStart"),), (Slot("PageUrl"),), (), frozenset()
)
IN_THE_MIDDLE = Form(
    b",\n", (Slot("IndvId"),), (Slot("EventStart"),), (Slot("PageUrl"),), (Slot("UserAppKey"),), frozenset()
)  # fmt: skip
NO_OPENING = Form(b",\n", (), (Slot("EventStart"),), (Slot("PageUrl"),), (), frozenset())
NO_SCENES = Form(b",\n", (), (Slot("IndvId"),), (), (), frozenset())
FORMS = {
    "at the end": AT_THE_END,
    "in the middle": IN_THE_MIDDLE,
    "no opening": NO_OPENING,
    "no scenes": NO_SCENES,
}


def record(page: int, event: int, scene: str = "", rest: str = "") -> bytes:
    return (
        f'{{"IndvId":{page},"EventStart":{event},"PageUrl":"{page}"{scene},"UserAppKey":"{page}"{rest}}}'
    ).encode()


def lines_of(records: list[bytes]) -> list[bytes]:
    lines = lined(b",\n".join(records), b",\n", 100)
    assert lines is not None
    return lines


def put_together(cut: Cut, form: Form) -> list[bytes]:
    """The records as they were."""
    scenes = cut.scenes.split(b"\n")
    made = []
    for event, number in zip(cut.events.split(b"\n"), cut.which, strict=True):
        if not form.body:
            made.append(event)
            continue
        opening, _, body = scenes[number].partition(STOP + b',"PageUrl"')
        event, _, rest = event.partition(STOP) if form.opening else (event[:-1], b"", b"")
        made.append(opening + event + b',"PageUrl"' + body.removesuffix(STOP) + rest)
    return [one.removesuffix(b",") for one in made]


_SCENES = st.sampled_from(["", ',"PageName":"a"', ',"PageName":"ab"', ',"PageName":"a","x":1'])
_RESTS = st.sampled_from(["", ',"y":2', ',"PageName":"a"'])


@pytest.mark.parametrize("name", FORMS)
@given(
    records=st.lists(
        st.builds(record, st.integers(0, 3), st.integers(0, 99), _SCENES, _RESTS), min_size=1
    )
)
def test_what_is_cut_can_be_put_together(name: str, records: list[bytes]) -> None:
    form = FORMS[name]
    cut = Cutter(form).cut(lines_of(records))
    assert put_together(cut, form) == records
    if form.body:
        scenes = cut.scenes.split(b"\n")
        shared = {re.sub(rb',"EventStart":\d+', b"", one) for one in records}
        if form is IN_THE_MIDDLE:
            shared = {one.partition(b',"UserAppKey"')[0] for one in shared}
        assert len(scenes) == len(set(scenes)) == len(shared) == max(cut.which) + 1


@pytest.mark.parametrize("name", ["at the end", "in the middle"])
@pytest.mark.parametrize(
    "odd",
    [
        b'{"IndvId":1}', b'{"IndvId":1,"EventStart":2}', b'{"IndvId":1,"PageUrl":"1"}', b"{}", b"",
        b'{"EventStart":1,"IndvId":1,"PageUrl":"1","UserAppKey":"1"}',
    ],
)  # fmt: skip
def test_of_a_record_that_is_not_of_the_form_no_event_is_left(name: str, odd: bytes) -> None:
    cut = Cutter(FORMS[name]).cut(lines_of([record(1, 1), odd, record(1, 2)]))
    first, left, last = cut.events.split(b"\n")
    assert b"EventStart" in first and b"EventStart" in last
    assert not re.match(rb',"EventStart":\d+\{', left)
    assert cut.which[0] == cut.which[2]


def test_lines_are_records_with_what_is_behind_them() -> None:
    assert lined(b'{"a":1},\n{"b":2}', b",\n", 2) == [b'{"a":1},\n', b'{"b":2},\n']
    assert lined(b'{"a":1} , {"b":2}', b" , ", 2) == [b'{"a":1},\n', b'{"b":2},\n']
    assert lined(b'{"a":1},\n{"b":2}', b",\n", 1) is None
    assert lined(b' {"a":1}', b",\n", 2) is None
    assert lined(b'{"a":1},\n{"b":2', b",\n", 2) is None


def test_insides_are_what_is_in_the_braces_of_whole_lines() -> None:
    assert insides([b'{"a":1},\n', b"{},\n"]) == [b'"a":1', b""]
    assert insides([b'{"a":1},\n', b'"b":2},\n']) is None
    assert insides([b'{"a":[{"b":1,\n', b'"c":2}]},\n']) is None
