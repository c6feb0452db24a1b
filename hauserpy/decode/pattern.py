"""A form as regular expressions: a record's members are found, and proved, by one match.

A parser makes two Python objects of every member; a match makes one, the bytes of the value. What
does not match is not wrong; it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hauserpy.decode.form import Form, Slot
from hauserpy.decode.scenes import STOP

# Python before 3.11.5 goes on behind what it has matched of a possessive group that fails (gh-100061).
_POSSESSIVE_IS_SOUND = re.fullmatch(rb"(?:ab?c)?+", b"a") is None


def once_taken(expression: bytes, times: bytes) -> bytes:
    """The expression, ``times`` a quantifier; what it has taken it does not give back."""
    group = b"(?:%b)%b" % (expression, times)
    # An atomic group comes to the same, and all of the copying then takes a fifth more.
    return group + b"+" if _POSSESSIVE_IS_SOUND else b"(?>%b)" % group


INSIDE = rb'(?:[^"]++%b)' % once_taken(rb'(?<=\\)"[^"]*+', b"*")
"""What is in the quotes of a string, if it is not empty. It remains to be looked at: a line break or
an escape that is none may be in it, and it goes on too far where it ends with a backslash."""
TEXT = rb'"%b"' % once_taken(INSIDE, b"?")

_FLAT = rb'[^"\[\]{}\n]*+'
_IN_A_LINE = rb'[^"\n]++%b' % once_taken(rb'(?<=\\)"[^"\n]*+', b"*")
_INNER = _FLAT + once_taken(b'"%b"%b' % (once_taken(_IN_A_LINE, b"?"), _FLAT), b"*")
"""In an array or an object, without line breaks: else what follows a text that went on too far may go
on to the end of the batch, once a record."""
_VALUE = rb"(?:%b|[-+.0-9A-Za-z]++|\[%b\]|\{%b\})" % (TEXT, _INNER, _INNER)
"""Whatever may be a value, nothing nested in it twice: it remains to be parsed."""


MemberOf = Callable[[Slot], bytes]
"""Gives the expression of a field's member, which begins with a comma and has one group."""


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


def of_events(form: Form, member: MemberOf) -> Pattern:
    """Matches a record, or, where the form has scenes, what `hauserpy.decode.scenes` leaves of it when
    it has cut off its scene. The member with which a record begins has a brace in the place of its
    comma."""
    slots = (*form.event, *form.rest)
    expression = _members(form.event, member, begins=not form.opening)
    if form.body:
        expression += re.escape(STOP)
    if form.rest or not form.body:
        expression += _members(form.rest, member) + _END
    return _pattern(expression, slots)


def of_scenes(form: Form, member: MemberOf) -> Pattern:
    """Matches the scene of a record, as `hauserpy.decode.scenes` gives it."""
    opening = _members(form.opening, member, begins=True)
    end = re.escape(STOP) if form.rest else _END
    expression = opening + re.escape(STOP) + _members(form.body, member) + end
    return _pattern(expression, (*form.opening, *form.body))


_END = rb"\},"


def _pattern(line: bytes, slots: Sequence[Slot]) -> Pattern:
    expression = re.compile(rb"^(?:%b$|[^\n]*$)" % line, re.MULTILINE)
    return Pattern(tuple(slot.field for slot in slots), expression)


def _members(slots: Sequence[Slot], member: MemberOf, *, begins: bool = False) -> bytes:
    """The slots one behind the other, each an atom, or each few that come together: what they have
    once taken they do not give back. ``begins``: a record begins with them."""
    atoms: list[tuple[Slot, bytes]] = []
    for number, slot in enumerate(slots):
        if not slot.field:
            later = {s.field for s in slots[number:]}
            atoms.append((slot, b"(%b)" % _customs(sorted(later - {""}))))
            continue
        one = member(slot)
        if begins and number == 0:
            one = one.replace(b",", rb"\{", 1)
        elif slot.nullable:
            one = b'(?:,"%b":null|%b)' % (re.escape(slot.field.encode()), one)
        if slot.joined and atoms:
            first, before_it = atoms.pop()
            atoms.append((first, before_it + one))
        else:
            atoms.append((slot, one))
    return b"".join(
        one if slot.always or not slot.field else once_taken(one, b"?") for slot, one in atoms
    )


def _customs(later: Sequence[str]) -> bytes:
    """Any number of custom variables: members of none of the names that come ``later``."""
    names = b"|".join(re.escape(name.encode()) for name in later)
    other = rb'(?!"(?:%b)":)' % names if names else b""
    return once_taken(rb",%b%b:%b" % (other, TEXT, _VALUE), b"*")
