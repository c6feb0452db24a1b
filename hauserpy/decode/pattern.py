"""A form as regular expressions: a record's members are found, and proved, by one match.

A parser makes two Python objects of every member. A match makes one, the bytes of the value, and the
grammar below tells more than that they are JSON: that they are written as we would write them. What
does not match is not wrong; it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hauserpy.decode.form import Form, Slot

INT64 = rb"(?:0|-?(?:[1-8][0-9]{0,18}+|9(?:[01][0-9]{17}|2[01][0-9]{16}|[0-9]{0,17}+)))"
"""Integers that an int64 holds for certain, without a sign where there is nothing to it."""
INT32 = rb"(?:0|-?[1-9][0-9]{0,8}+)"
REAL = (
    rb"(?:-?0\.(?:0{0,3}[1-9](?:[0-9]{0,8}[1-9])?|0)|-?[1-9][0-9]{0,5}+\.(?:[0-9]{0,8}[1-9]|0)"
    rb"|0|-?[1-9][0-9]{0,13}+)"
)
"""Doubles of at most 15 digits, which have no shorter name, and far from where exponents begin; or
integers."""
TIME = rb'[^"]{19,32}+'
"""What may be an instant. It remains to be read."""
INSIDE = rb'(?:[^"]++(?:(?<=\\)"[^"]*+)*+)'
"""What is in the quotes of a string, if it is not empty. It remains to be looked at: a line break or
an escape that is none may be in it, and it goes on too far where it ends with a backslash."""
TEXT = rb'"%b?+"' % INSIDE

_FLAT = rb'[^"\[\]{}]*+'
_VALUE = rb"(?:%(text)b|[-+.0-9A-Za-z]++|\[%(flat)b(?:%(text)b%(flat)b)*+\]|\{%(flat)b(?:%(text)b%(flat)b)*+\})" % {
    b"text": TEXT,
    b"flat": _FLAT,
}  # fmt: skip
"""Whatever may be a value, nothing nested in it twice: it remains to be parsed."""


MemberOf = Callable[[Slot], bytes]
"""Gives the expression of a field's member, which begins with a comma and has one group."""

OPENING, SCENE = "{", "}"
"""The groups of a record's pattern that hold the two parts of its scene: no names of fields."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """``columns`` has, for every one of ``groups``, what each line of a text has there: nothing where
    it has no such member, or null for it, nor in any group where the line does not match.

    A group is that of a field, or, where it is empty, of custom variables side by side, a comma
    before each.
    """

    groups: tuple[str, ...]
    expression: re.Pattern[bytes]

    def columns(self, lines: bytes) -> list[tuple[bytes, ...]]:
        rows = self.expression.findall(lines)
        # Of one group alone, there are no tuples.
        return list(zip(*rows, strict=True)) if self.expression.groups > 1 else [tuple(rows)]


_BORDER = b"},\n{"


def lines(text: bytes, form: Form) -> bytes | None:
    """The records of a batch, each in its line; where they have no opening, with a comma before the
    first member as well. None when they do not begin and end with a brace.

    Where JSON has line breaks elsewhere, or something else stands between two records, nothing
    matches.
    """
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    border = b"}%b{" % form.separator
    if form.opening:
        return text if border == _BORDER else text.replace(border, _BORDER)
    return b"{,%b" % text[1:].replace(border, b"%b," % _BORDER)


def count(lines: bytes, most: int) -> int:
    """How many lines these are, or more than ``most``."""
    # Many times as fast as counting the breaks, since lines are long.
    number = 1
    at = lines.find(b"\n")
    while at >= 0 and number <= most:
        number += 1
        at = lines.find(b"\n", at + 1)
    return number


def insides(lines: bytes, form: Form, numbers: Iterable[int]) -> list[bytes] | None:
    """What the braces enclose in the lines with these numbers; None when one is no record's."""
    *several, last = lines.split(b"\n")
    # Only the last has no comma behind it.
    several.append(last + b",")
    chosen = [several[n] for n in numbers]
    head, end = b"{" if form.opening else b"{,", b"},"
    if not all(line.startswith(head) and line.endswith(end) for line in chosen):
        return None
    return [line[len(head) : -len(end)] for line in chosen]


def of_records(form: Form, member: MemberOf) -> Pattern:
    """Matches a record in a line of its own, with a comma behind all but the last; where it has no
    opening, there must be a comma before its first member too. Of the scene, it proves no more than
    where it stands: `of_scenes` does the rest."""
    if not form.scene:
        return _pattern(rb"\{%b%b" % (_members(form.event, member), _END), form.event)
    scene = form.scene[0].field
    slots = [Slot(OPENING), *form.event, Slot(SCENE), *form.rest]
    opening = b"(%b)" % _up_to(form.event[0].field) if form.opening else b"()"
    told = _up_to(form.rest[0].field) if form.rest else rb"[^\n]*"
    return _pattern(
        rb'\{%b%b(,"%b":%b)%b%b'
        % (
            opening,
            _members(form.event, member, before=scene),
            re.escape(scene.encode()),
            told,
            _members(form.rest, member),
            _END,
        ),
        slots,
    )


def of_scenes(form: Form, member: MemberOf) -> Pattern:
    """Matches the opening and the scene of a record as one line, with a comma before it."""
    slots = (*form.opening, *form.scene)
    return _pattern(_members(slots, member) + b"$", slots)


_END = rb"(?:\},$|\}\Z)"


def _pattern(line: bytes, slots: Sequence[Slot]) -> Pattern:
    expression = re.compile(rb"^(?:%b|[^\n]*$)" % line, re.MULTILINE)
    return Pattern(tuple(slot.field for slot in slots), expression)


def _up_to(field: str) -> bytes:
    """Everything before the member of that name, in the same line."""
    # Behind a record's comma comes the break.
    return rb'[^,]*+(?:,(?!"%b":)[^\n][^,]*+)*+' % re.escape(field.encode())


def _members(slots: Sequence[Slot], member: MemberOf, before: str = "") -> bytes:
    """The slots one behind the other, each an atom, or each few that come together: what they have
    once taken they do not give back. ``before``: that field follows."""
    atoms: list[tuple[Slot, bytes]] = []
    for number, slot in enumerate(slots):
        if not slot.field:
            later = {s.field for s in slots[number:]} | {before}
            atoms.append((slot, b"(%b)" % _customs(sorted(later - {""}))))
            continue
        one = member(slot)
        if slot.nullable:
            one = b'(?:,"%b":null|%b)' % (re.escape(slot.field.encode()), one)
        if slot.joined and atoms:
            first, before_it = atoms.pop()
            atoms.append((first, before_it + one))
        else:
            atoms.append((slot, one))
    return b"".join(
        one if slot.always or not slot.field else b"(?:%b)?+" % one for slot, one in atoms
    )


def _customs(later: Sequence[str]) -> bytes:
    """Any number of custom variables: members of none of the names that come ``later``."""
    names = b"|".join(re.escape(name.encode()) for name in later)
    other = rb'(?!"(?:%b)":)' % names if names else b""
    return rb"(?:,%b%b:%b)*+" % (other, TEXT, _VALUE)
