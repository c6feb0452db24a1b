"""A form as regular expressions: a record's members are found, and proved, by one match.

A parser makes two Python objects of every member; a match makes one, the bytes of the value. What
does not match is not wrong; it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import NamedTuple, TypeVar

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


class Member(NamedTuple):
    """The expression of a member with the comma before it, in three parts, without groups: what is
    ``copied`` of it, and what is before and behind that."""

    before: bytes
    copied: bytes
    behind: bytes = b""

    @property
    def is_whole(self) -> bool:
        """Whether all of the member is copied."""
        return not self.before and not self.behind


MemberOf = Callable[[Slot], Member]
"""Gives the expression of a field's member."""
AreOne = Callable[[Slot, Slot], bool]
"""Whether whole members are copied as one text where the second directly follows the first."""


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
_Place = tuple[Slot, Member]


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
        places = self._places(slots, begins=begins)
        atoms = _runs(places, lambda _, other: other[0].joined and not other[0].always)
        for several in _runs(atoms, lambda one, other: self._is_one([*one, *other])):
            together = list(chain(*several))
            if len(together) > 1 and self._is_one(together):
                self._groups.append(tuple(slot.field for slot, _ in together))
                copied = [_atom(atom, [member.copied for _, member in atom]) for atom in several]
                self._expression += b"(%b)" % b"".join(copied)
            else:
                # It is but one atom, and each of its members is copied for itself.
                self._groups += [(slot.field,) if slot.field else () for slot, _ in together]
                self._expression += _atom(together, [_alone(*place) for place in together])

    def add_stop(self) -> None:
        self._expression += re.escape(STOP)

    def end(self) -> None:
        self._expression += rb"\},"

    def pattern(self) -> Pattern:
        line = rb"^(?:%b$|[^\n]*$)" % self._expression
        return Pattern(tuple(self._groups), re.compile(line, re.MULTILINE))

    def _places(self, slots: Sequence[Slot], *, begins: bool) -> list[_Place]:
        made = []
        for number, slot in enumerate(slots):
            if not slot.field:
                later = {s.field for s in slots[number:]}
                made.append((slot, Member(b"", _customs(sorted(later - {""})))))
            elif begins and number == 0:
                made.append((replace(slot, nullable=False), _begun(self._member(slot))))
            else:
                made.append((slot, self._member(slot)))
        return made

    def _is_one(self, places: Iterable[_Place]) -> bool:
        return all(self._are_one(one, other) for (one, _), (other, _) in pairwise(places))


def _runs(items: Iterable[_T], belong: Callable[[_T, _T], bool]) -> list[list[_T]]:
    """The items in runs of such as each belong to the one before them."""
    runs: list[list[_T]] = []
    for item in items:
        if runs and belong(runs[-1][-1], item):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _begun(member: Member) -> Member:
    """With a brace in the place of the comma."""
    before, copied, behind = member
    if before:
        return Member(rb"\{" + before[1:], copied, behind)
    return Member(b"", rb"\{" + copied[1:], behind)


def _alone(slot: Slot, member: Member) -> bytes:
    """The member with a group of its own."""
    one = b"%b(%b)%b" % member
    return b'(?:,"%b":null|%b)' % (re.escape(slot.field.encode()), one) if slot.nullable else one


def _atom(places: Sequence[_Place], expressions: Sequence[bytes]) -> bytes:
    first, _ = places[0]
    made = b"".join(expressions)
    return made if first.always or not first.field else once_taken(made, b"?")


def _customs(later: Sequence[str]) -> bytes:
    """Any number of custom variables: members of none of the names that come ``later``."""
    names = b"|".join(re.escape(name.encode()) for name in later)
    other = rb'(?!"(?:%b)":)' % names if names else b""
    return once_taken(rb",%b%b:%b" % (other, TEXT, _VALUE), b"*")
