"""Files as objects: a data object whole under its own name, then the ledger by compare-and-set.

A load goes: note of the upload → data object → ledger → replaced objects removed → hauser's mark →
note away. The ledger object is the only commit point, and it is only ever replaced by a conditional
write, so that two runs at once are settled by the store and the loser has written nothing that
counts.

A name is written once. The first load of a window has the plain name, ``<FilePrefix><start>.csv``,
by a write that demands that nothing be there; a later load of it, or one that finds the plain name
taken, has its load id in the name as well. So a load never touches what another one wrote before
the ledger has decided between them, and an entry means the very object that its load uploaded.
What must go is listed in the ledger by the same write that makes it superfluous, and is removed
after it, by this run or by the next. Since that write changes the ledger, one that a dead run sent
at its last moment, and that the store has yet to carry out, fails.

An object that lies at the plain name and belongs to no entry is what a crashed run left (hauser's
included) or what a run beside this one has uploaded and not committed. Either way it is superfluous
once our entry is in the ledger: a load under the same plain name begins at the same instant, so
that the other run's compare-and-set cannot succeed any more.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hauserpy.config import Settings
from hauserpy.destinations import files
from hauserpy.destinations.base import refuse_miscounted
from hauserpy.destinations.objects import checks, document, names, presence
from hauserpy.destinations.objects.document import State
from hauserpy.destinations.objects.leftovers import Leftovers, Note
from hauserpy.destinations.objects.store import ABSENT, Conflict, Object, ObjectStore
from hauserpy.entries import LedgerEntry, StoredFile
from hauserpy.errors import (
    AccessDenied,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    HauserpyError,
    LedgerMoved,
)
from hauserpy.fields import Field
from hauserpy.layout import Layout
from hauserpy.ledger import Ledger
from hauserpy.model import BEGINNING, Check, Part, Window
from hauserpy.owner import Owner

_log = logging.getLogger(__name__)

_ATTEMPTS = 12
"""How often to write the ledger anew when other runs keep on writing it in between."""
_LOST = 3
"""How many of those attempts may stay without an answer, each after the SDK's own retries."""
_LONGEST_PAUSE = 5.0
"""Seconds between two of those attempts."""
_LOOKS = 5
_NOTHING: tuple[StoredFile, ...] = ()

Change = Callable[[State], tuple[Ledger, Sequence[StoredFile]] | None]
"""From what is committed to what shall be: the ledger, and what it makes superfluous besides what
is listed already. None when there is nothing to write."""


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """A data object that waits for the ledger. ``in_the_way``: what lay at the plain name."""

    object: Object
    note: Note
    in_the_way: tuple[StoredFile, ...]


class Objects:
    """A bucket of files; see `hauserpy.destinations.base.Destination`."""

    replaces_baseline = False

    def __init__(
        self,
        settings: Settings,
        name: str,
        store: ObjectStore,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._name = name
        self._store = store
        self._sleep = sleep
        self._leftovers = Leftovers(store, clock)
        self._scope = files.file_scope(settings)
        self._marks = files.hauser_marks(settings.file_prefix)

    @property
    def name(self) -> str:
        return self._name

    def prepare(self, fields: Sequence[Field]) -> Layout:
        state = self._read()
        try:
            state = self._sweep(state)
        except (AccessDenied, DestinationRefused) as error:
            _log.warning("what dead runs left was not looked for: %s", error.reason)
        self._finish(state)
        return files.layout(self._settings, tuple(fields))

    def ledger(self) -> Ledger:
        for _ in range(_LOOKS):
            state = self._read()
            present = presence.only_present(self._store, state.ledger, state.ledger.entries)
            if present == state.ledger or self._read().version == state.version:
                break
            # Another run has replaced what was looked for.
        return present

    def load(
        self,
        entry: LedgerEntry,
        parts: Sequence[Part],
        *,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> LedgerEntry:
        refuse_miscounted(entry, parts)
        state = self._read()
        if stored := _entry_of(state.ledger, entry.load):
            return stored
        # Refused or moved: better known before the upload than after it.
        self._plan(state, entry, expected, checkpoint)
        uploaded = self._upload(entry, parts[0], state) if parts else None
        whole = entry if uploaded is None else entry.with_files([uploaded.object.as_file()])
        in_the_way = uploaded.in_the_way if uploaded is not None else ()

        def change(state: State) -> tuple[Ledger, Sequence[StoredFile]] | None:
            if _entry_of(state.ledger, entry.load):
                return None
            after, gone = self._plan(state, whole, expected, checkpoint)
            if uploaded is not None:
                self._refuse_lost(uploaded.object, state)
            return after, [*gone, *(f for f in in_the_way if f.name not in state.names)]

        try:
            state = self._change(state, change)
        except (LedgerMoved, ConfigError):
            # The latter: meanwhile the ledger was begun by another configuration.
            if uploaded is not None:
                self._discard(uploaded)
            raise
        self._finish(state)
        if uploaded is not None:
            self._leftovers.forget(uploaded.note)
        return _entry_of(state.ledger, entry.load) or whole

    def advance(self, checkpoint: datetime, *, expected: frozenset[str]) -> None:
        def change(state: State) -> tuple[Ledger, Sequence[StoredFile]] | None:
            ledger = state.ledger
            start = ledger.checkpoint or BEGINNING
            if checkpoint <= start:
                return None
            passed = ledger.overlapping(Window(start, checkpoint))
            after = presence.only_present(self._store, ledger, passed).advanced(
                checkpoint, expected
            )
            return replace(ledger, checkpoint=after.checkpoint), ()

        self._finish(self._change(self._read(), change))

    def checks(self) -> Iterator[Check]:
        bad = False
        for check in checks.run(self._store):
            bad = bad or not check.ok
            yield check
        if bad:
            return
        try:
            entries = self._read().ledger.entries
            found = presence.look(self._store, entries)
        except HauserpyError:
            # The ledger has a check of its own.
            return
        yield files.check(
            "data objects",
            entries,
            lambda file: found[file.name].is_file(file) if file.name in found else None,
        )

    def close(self) -> None:
        self._store.close()

    def _read(self) -> State:
        """What is committed now, hauser's mark taken into account.

        The mark is read first: it is written after the ledger, and so can only be behind the one
        that is read after it, unless hauser has run.
        """
        marks = {}
        for name in self._marks:
            if (mark := self._store.read(name)) is not None:
                marks[name] = mark[0]
        place = self._store.place + files.LEDGER
        read = self._store.read(files.LEDGER)
        if read is None:
            ours, remove, version = None, _NOTHING, ABSENT
        else:
            (ours, remove), version = document.decode(read[0], place, self._scope), read[1]
        latest = self._latest(marks, known=ours is not None and ours.checkpoint is not None)
        ledger = files.settle(ours, latest, self._store.place + files.HAUSER_MARK)
        return State(ledger, remove, version, marks)

    def _latest(self, marks: Mapping[str, bytes], *, known: bool) -> datetime | None:
        moments = [
            files.read_hauser_mark(text, self._store.place + name)
            for name, text in marks.items()
            # An empty one tells nothing that our ledger does not know; it is written anew.
            if text.strip() or not known
        ]
        return max(moments, default=None)

    def _change(self, state: State, change: Change) -> State:
        """Replace the ledger by what ``change`` makes of it: compare-and-set, again and again.

        After a lost answer too it reads the ledger before it tries again, and ``change`` sees what
        it has written itself. Raises what ``change`` raises, and DestinationUnavailable when other
        runs are always faster.
        """
        lost = 0
        for attempt in range(_ATTEMPTS):
            made = change(state)
            if made is None:
                return state
            ledger, more = made
            left = self._remove(state)
            remove = tuple({f.name: f for f in (*left, *more)}.values())
            data = document.encode(ledger, self._scope, remove)
            try:
                version = self._store.write(files.LEDGER, data, only_if=state.version)
                return replace(state, ledger=ledger, remove=remove, version=version)
            except Conflict:
                _log.debug("another run has written the ledger meanwhile")
            except DestinationUnavailable:
                # It may have been written all the same: the next look at the ledger tells.
                lost += 1
                if lost == _LOST:
                    raise
            self._sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))
            state = self._read()
        raise DestinationUnavailable(
            f"{self._store.place}{files.LEDGER} is written by other runs all the time; this one"
            f" gave up after {_ATTEMPTS} attempts.",
            "Run fewer at once; then run again.",
        )

    def _plan(
        self,
        state: State,
        entry: LedgerEntry,
        expected: frozenset[str],
        checkpoint: datetime | None,
    ) -> tuple[Ledger, list[StoredFile]]:
        """The ledger with ``entry``, and the objects that it replaces, as they are now."""
        old = state.ledger.overlapping(entry.window)
        found = presence.look(self._store, old)
        present = presence.without_absent(state.ledger, old, found)
        files.refuse_baseline(present, entry.window)
        files.refuse_part(state.ledger, present, entry.window, found.__contains__)
        after = present.after(entry, expected=expected, checkpoint=checkpoint)
        replaced = [f.name for e in old for f in e.files]
        return after, [found[name].as_file() for name in replaced if name in found]

    def _upload(self, entry: LedgerEntry, part: Part, state: State) -> _Uploaded:
        settings = self._settings
        plain = files.file_name(
            settings.file_prefix, entry.window, settings.format, settings.compression
        )
        own = names.with_load(plain, settings.file_prefix, entry.load)
        taken = any(e.files for e in state.ledger.overlapping(entry.window)) or plain in (
            f.name for f in state.remove
        )
        in_the_way = self._strays(plain, own, state)
        for name in [own] if taken else [plain, own]:
            there = self._store.stat(name)
            if there is None:
                note = Note(Owner.of_this_process(entry.load), name, "")
                there = self._write_file(note, part, entry.load)
            if there is not None and there.load == entry.load and there.size == part.size:
                note = Note(Owner.of_this_process(entry.load), name, "")
                return _Uploaded(there, note, tuple(in_the_way))
            if there is not None and name == plain:
                in_the_way.append(there.as_file())
        raise DestinationUnavailable(
            f"bundle {entry.bundle} cannot be uploaded to {self._store.place}{own}: another upload"
            " is under way.",
            "Run again.",
        )

    def _strays(self, plain: str, own: str, state: State) -> list[StoredFile]:
        """Objects of later loads of the window that no entry knows, as where the ledger was lost or put
        back: superfluous as well, since they begin at the same instant."""
        stem = names.stem(plain, self._settings.file_prefix)
        try:
            found = list(self._store.list(stem))
        except (AccessDenied, DestinationRefused):
            # What may not be listed is told of by the sweep.
            return []
        known = {own, *state.names, *(f.name for f in state.remove)}
        return [f.as_file() for f in found if names.is_later(f.name, stem) and f.name not in known]

    def _write_file(self, note: Note, part: Part, load: str) -> Object | None:
        """Upload; returns what is then at that name, which may be another run's."""
        upload = self._store.begin(note.name, part, load)
        note = replace(note, upload=upload)
        try:
            self._leftovers.note(note)
            self._store.write_file(note.name, part, load, upload)
        except Conflict:
            _log.debug("%s is taken", note.name)
        except (AccessDenied, ConfigError, DestinationRefused):
            self._leftovers.forget(note)
            raise
        return self._store.stat(note.name)

    def _refuse_lost(self, made: Object, state: State) -> None:
        """Raises DestinationUnavailable when the object is gone, or is about to be: whoever took this
        run for dead lists it in the ledger before removing it."""
        there = self._store.stat(made.name)
        if made.as_file() in state.remove or there is None or not there.is_file(made.as_file()):
            raise DestinationUnavailable(
                f"{self._store.place}{made.name} was removed before it was loaded.",
                "Find out what removes objects there; then run again.",
            )

    def _discard(self, uploaded: _Uploaded) -> None:
        """Remove the data object of a load that has lost; what cannot be removed is swept later."""
        try:
            self._store.delete(uploaded.object.name, uploaded.object.version)
        except HauserpyError as error:
            _log.warning("an object that was not needed stays behind: %s", error.reason)
            return
        self._leftovers.forget(uploaded.note)

    def _sweep(self, state: State) -> State:
        """Put what dead runs uploaded on the list of what is to be removed, and abort the rest."""
        dead, alive = self._leftovers.notes()
        for note in dead:
            self._leftovers.abort(note)

        def change(state: State) -> tuple[Ledger, Sequence[StoredFile]] | None:
            listed = state.names | {f.name for f in state.remove}
            made = (self._leftovers.object_of(n) for n in dead if n.name not in listed)
            strays = [found.as_file() for found in made if found is not None]
            return (state.ledger, strays) if strays else None

        state = self._change(state, change)
        for note in dead:
            self._leftovers.forget(note)
        self._leftovers.abort_old(but=alive)
        return state

    def _finish(self, state: State) -> None:
        """What comes after the commit. Never fails: the next run does it otherwise."""
        self._remove(state)
        checkpoint = state.ledger.checkpoint
        if checkpoint is None:
            return
        text = files.hauser_mark(checkpoint)
        for name in self._marks:
            if state.marks.get(name) == text:
                continue
            try:
                self._store.write(name, text, only_if=None)
            except (HauserpyError, Conflict) as error:
                _log.warning("%s%s was not written: %s", self._store.place, name, error)

    def _remove(self, state: State) -> tuple[StoredFile, ...]:
        """Remove what is listed; returns what could not be, and so must stay on the list."""
        left = []
        for file in state.remove:
            if file.name in state.names:
                continue
            try:
                found = self._store.stat(file.name)
                if found is not None and found.is_file(file):
                    self._store.delete(found.name, found.version)
            except HauserpyError as error:
                _log.warning("%s%s stays behind: %s", self._store.place, file.name, error.reason)
                left.append(file)
        return tuple(left)


def _entry_of(ledger: Ledger, load: str) -> LedgerEntry | None:
    return next((e for e in ledger.entries if e.load == load), None)
