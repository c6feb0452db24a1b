"""A form as regular expressions: a record's members are found, and proved, by one match.

A parser makes two Python objects of every member; a match makes one, the bytes of the value. What
does not match is not wrong; it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeVar

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
AreOne = Callable[[Slot, Slot], bool]
"""Whether members are copied as one text where the second directly follows the first. In the
expressions of such members, the group is all there is."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """``columns`` has, for every one of ``groups``, what each line of a text has there: nothing where
    it has no such member, or null for it, nor in any group where the line does not match.

    A group has the fields whose members it holds; where it has none, it holds custom variables side
    by side. There is a comma before each.
    """

    groups: tuple[tuple[str, ...], ...]
    expression: re.Pattern[bytes]

    def columns(self, lines: bytes) -> list[tuple[bytes, ...]]:
        rows = self.expression.findall(lines)
        # Of one group alone, there are no tuples.
        return list(zip(*rows, strict=True)) if self.expression.groups > 1 else [tuple(rows)]


def of_events(form: Form, member: MemberOf, are_one: AreOne) -> Pattern:
    """Matches a record, or, where the form has scenes, what `hauserpy.decode.scenes` leaves of it when
    it has cut off its scene. The member with which a record begins has a brace in the place of its
    comma."""
    line = _Line(member, are_one)
    line.add(form.event, begins=not form.opening)
    if form.body:
        line.add_stop()
    if form.rest or not form.body:
        line.add(form.rest)
        line.end()
    return line.pattern()


def of_scenes(form: Form, member: MemberOf, are_one: AreOne) -> Pattern:
    """Matches the scene of a record, as `hauserpy.decode.scenes` gives it."""
    line = _Line(member, are_one)
    line.add(form.opening, begins=True)
    line.add_stop()
    line.add(form.body)
    if form.rest:
        line.add_stop()
    else:
        line.end()
    return line.pattern()


_T = TypeVar("_T")
_Member = tuple[Slot, bytes]
"""A slot, and the expression of what may be in it."""


class _Line:
    """A pattern in the making."""

    def __init__(self, member: MemberOf, are_one: AreOne) -> None:
        self._member = member
        self._are_one = are_one
        self._groups: list[tuple[str, ...]] = []
        self._expression = b""

    def add(self, slots: Sequence[Slot], *, begins: bool = False) -> None:
        """The slots one behind the other, each an atom, or each few that come together: what they have
        once taken they do not give back. ``begins``: a record begins with them."""
        members = self._members(slots, begins=begins)
        atoms = _runs(members, lambda _, other: other[0].joined and not other[0].always)
        for several in _runs(atoms, lambda one, other: self._is_one([*one, *other])):
            found = list(chain(*several))
            fields = tuple(slot.field for slot, _ in found if slot.field)
            if len(found) > 1 and self._is_one(found):
                self._groups.append(fields)
                self._expression += b"(%b)" % b"".join(_atom(atom, whole=True) for atom in several)
            else:
                self._groups += [(field,) for field in fields] or [()]
                self._expression += b"".join(map(_atom, several))

    def add_stop(self) -> None:
        self._expression += re.escape(STOP)

    def end(self) -> None:
        self._expression += rb"\},"

    def pattern(self) -> Pattern:
        line = rb"^(?:%b$|[^\n]*$)" % self._expression
        return Pattern(tuple(self._groups), re.compile(line, re.MULTILINE))

    def _members(self, slots: Sequence[Slot], *, begins: bool) -> list[_Member]:
        made = []
        for number, slot in enumerate(slots):
            if not slot.field:
                later = {s.field for s in slots[number:]}
                made.append((slot, b"(%b)" % _customs(sorted(later - {""}))))
                continue
            one = self._member(slot)
            if begins and number == 0:
                one = one.replace(b",", rb"\{", 1)
            elif slot.nullable:
                one = b'(?:,"%b":null|%b)' % (re.escape(slot.field.encode()), one)
            made.append((slot, one))
        return made

    def _is_one(self, members: Iterable[_Member]) -> bool:
        return all(self._are_one(one, other) for (one, _), (other, _) in pairwise(members))


def _runs(items: Iterable[_T], belong: Callable[[_T, _T], bool]) -> list[list[_T]]:
    """The items in runs of such as each belong to the one before them."""
    runs: list[list[_T]] = []
    for item in items:
        if runs and belong(runs[-1][-1], item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _atom(members: Sequence[_Member], *, whole: bool = False) -> bytes:
    """``whole``: without their groups."""
    made = b"".join(one[1:-1] if whole else one for _, one in members)
    first, _ = members[0]
    return made if first.always or not first.field else once_taken(made, b"?")


def _customs(later: Sequence[str]) -> bytes:
    """Any number of custom variables: members of none of the names that come ``later``."""
    names = b"|".join(re.escape(name.encode()) for name in later)
    other = rb'(?!"(?:%b)":)' % names if names else b""
    return once_taken(rb",%b%b:%b" % (other, TEXT, _VALUE), b"*")
