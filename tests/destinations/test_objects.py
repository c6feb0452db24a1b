"""What objects promise beyond the contract: names written once, losers that destroy nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.destinations.objects import ABSENT, Conflict, Objects
from hauserpy.destinations.objects.document import decode, encode
from hauserpy.destinations.objects.leftovers import NOTES
from hauserpy.entries import EntryKind, LedgerEntry, StoredFile
from hauserpy.errors import (
    DestinationRefused,
    DestinationUnavailable,
    LedgerMoved,
    LedgerUnreadable,
)
from hauserpy.fields import catalogue
from hauserpy.ledger import Ledger
from hauserpy.model import Window, rfc3339
from hauserpy.owner import Owner
from tests.destinations.bundles import DAY, Run, entry_for, events, hour, hours, texts
from tests.destinations.makers import NOW
from tests.destinations.object_backing import IN_THE_ROOT, LEDGER, ObjectBacking

FIRST = int(DAY.timestamp())
PLAIN = f"{FIRST}.csv"
SCOPE = {"SegmentId": "everyone", "FilePrefix": ""}


@pytest.fixture(params=IN_THE_ROOT)
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectBacking]:
    made = IN_THE_ROOT[request.param](request, tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def run(backing: ObjectBacking, tmp_path: Path) -> Run:
    return Run(backing.open(), tmp_path)


@pytest.fixture
def other(backing: ObjectBacking, run: Run, tmp_path: Path) -> Run:
    return Run(backing.open(), tmp_path)


class Between:
    """A store with something put before one of its requests."""

    def __init__(self, store: Any, method: str, instead: Callable[..., Any]) -> None:
        self._store = store
        self._method = method
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._store, name)
        if name != self._method:
            return own
        return lambda *args, **given: self._instead(own, *args, **given)


def put_between(run: Run, method: str, instead: Callable[..., Any]) -> None:
    destination: Any = run.destination
    destination._store = Between(destination._store, method, instead)


def at_commit(run: Run, action: Callable[[], object]) -> None:
    """Do something once, when the data object is there and the ledger is about to be written."""
    waiting = [action]

    def write(own: Callable[..., Any], name: str, *args: Any, **given: Any) -> Any:
        if name == LEDGER and waiting:
            waiting.pop()()
        return own(name, *args, **given)

    put_between(run, "write", write)


def names(backing: ObjectBacking) -> list[str]:
    return sorted(str(row["EventTargetText"]) for row in backing.rows())


def only_own(backing: ObjectBacking) -> list[str]:
    return [n for n in backing.names() if n.startswith(".")]


# --- Names ---


def test_the_first_load_of_a_window_has_the_plain_name(backing: ObjectBacking, run: Run) -> None:
    (entry,) = run.load(hour(0))
    assert backing.data_names() == [PLAIN] == [f.name for f in entry.files]
    assert only_own(backing) == [LEDGER, ".sync.hauser"]


def test_a_later_load_has_its_id_in_the_name_and_the_replaced_object_goes(
    backing: ObjectBacking, run: Run
) -> None:
    run.load(hour(0))
    (entry,) = run.load(hour(0), tag="b", replace_loaded=True)
    assert backing.data_names() == [f"{FIRST}-{entry.load}.csv"]
    (third,) = run.load(hour(0), tag="c", replace_loaded=True)
    assert backing.data_names() == [f"{FIRST}-{third.load}.csv"]
    assert names(backing) == texts(0, tag="c")


def test_an_entry_names_size_and_digest_as_the_store_tells_them(
    backing: ObjectBacking, run: Run
) -> None:
    (entry,) = run.load(hour(0))
    (file,) = entry.files
    assert file.size == len(backing.bucket.get(PLAIN))
    assert file.digest.startswith("etag:" if backing.bucket.kind == "s3" else "crc32c:")


# --- What lies in the way ---


def test_what_hauser_left_past_its_checkpoint_is_replaced(backing: ObjectBacking, run: Run) -> None:
    backing.hauser_loads(hour(0), events(hour(0), "h"))
    backing.hauser_loads(hour(1), events(hour(1), "h"))
    backing.bucket.put(".sync.hauser", b"2026-11-01T01:00:00Z")
    run.load(hours(0, 2))
    assert names(backing) == sorted(texts(0, tag="h") + texts(1))


def test_what_a_run_elsewhere_left_does_not_stand_in_the_way(
    backing: ObjectBacking, run: Run
) -> None:
    rows = run.stage(hour(0), tag="dead")
    backing.bucket.put(PLAIN, rows.parts[0].path.read_bytes(), load=str(uuid.uuid4()))
    (entry,) = run.load(hour(0), tag="b")
    assert backing.data_names() == [f"{FIRST}-{entry.load}.csv"]
    assert names(backing) == texts(0, tag="b")


def test_two_uploads_for_one_window_do_not_touch_each_other(
    backing: ObjectBacking, run: Run, other: Run
) -> None:
    """The first to upload is the last to commit: it finds the ledger moved, and takes its object
    away; the one that committed in between has its rows."""
    at_commit(run, lambda: other.load(hour(0), tag="b"))
    with pytest.raises(LedgerMoved):
        run.load(hour(0), tag="a")
    assert names(backing) == texts(0, tag="b")
    (entry,) = backing.open().ledger().entries
    assert [f.name for f in entry.files] == backing.data_names()
    assert backing.leftovers() == []


def test_a_replacement_that_loses_leaves_the_winners_object(
    backing: ObjectBacking, run: Run, other: Run
) -> None:
    run.load(hour(0))
    at_commit(
        run,
        lambda: other.load(hour(0), tag="w", kind=EntryKind.BACKFILL, replace_loaded=True),
    )
    with pytest.raises(LedgerMoved):
        run.load(hour(0), tag="l", kind=EntryKind.BACKFILL, replace_loaded=True)
    assert names(backing) == texts(0, tag="w")
    assert backing.leftovers() == []


def test_a_load_of_another_window_in_between_is_no_obstacle(
    backing: ObjectBacking, run: Run, other: Run
) -> None:
    at_commit(run, lambda: other.load(hour(5), kind=EntryKind.BACKFILL))
    run.load(hour(0))
    assert names(backing) == texts(0, 5)
    assert len(backing.slept) == 1, "one more attempt, after a pause"


def test_a_ledger_that_others_write_all_the_time_is_given_up(
    backing: ObjectBacking, run: Run
) -> None:
    def write(own: Callable[..., Any], name: str, *args: Any, **given: Any) -> Any:
        if name == LEDGER:
            raise Conflict
        return own(name, *args, **given)

    put_between(run, "write", write)
    with pytest.raises(DestinationUnavailable, match="other runs"):
        run.load(hour(0))
    assert backing.open().ledger() == Ledger()


# --- Answers that are lost ---


def lost(times: int, of: str) -> Callable[..., Any]:
    """The write is carried out, and nobody learns of it."""
    left = [None] * times

    def write(own: Callable[..., Any], name: str, *args: Any, **given: Any) -> Any:
        answer = own(name, *args, **given)
        if name == of and left:
            left.pop()
            raise DestinationUnavailable("the answer was lost.", "")
        return answer

    return write


def test_a_commit_whose_answer_was_lost_is_found(backing: ObjectBacking, run: Run) -> None:
    put_between(run, "write", lost(1, LEDGER))
    (entry,) = run.load(hour(0))
    assert names(backing) == texts(0)
    assert backing.open().ledger().entries == (entry,)
    assert backing.leftovers() == []


def test_a_checkpoint_whose_answer_was_lost_is_found(backing: ObjectBacking, run: Run) -> None:
    (entry,) = run.load(hour(0), kind=EntryKind.BACKFILL)
    put_between(run, "write", lost(1, LEDGER))
    run.destination.advance(hour(0).stop, expected=frozenset({entry.load}))
    assert backing.open().ledger().checkpoint == hour(0).stop == backing.hauser_checkpoint()


def test_an_upload_whose_answer_was_lost_is_used_when_it_is_tried_again(
    backing: ObjectBacking, run: Run
) -> None:
    put_between(run, "write_file", lost(1, PLAIN))
    rows = run.stage(hour(0))
    entry = entry_for(hour(0), rows)

    def load() -> LedgerEntry:
        return run.destination.load(entry, rows.parts, expected=frozenset(), checkpoint=None)

    with pytest.raises(DestinationUnavailable):
        load()
    assert backing.open().ledger() == Ledger()
    assert load().load == entry.load
    assert backing.data_names() == [PLAIN]
    assert backing.leftovers() == []


def test_an_upload_that_is_refused_because_it_is_there_already_is_used(
    backing: ObjectBacking, run: Run
) -> None:
    """What an SDK does: it repeats a request whose answer was lost, and is told 412."""

    def twice(own: Callable[..., Any], *args: Any, **given: Any) -> Any:
        own(*args, **given)
        return own(*args, **given)

    put_between(run, "write_file", twice)
    run.load(hour(0))
    assert backing.data_names() == [PLAIN]
    assert names(backing) == texts(0)


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "listed"])
def test_what_another_run_took_for_a_dead_ones_is_not_committed(
    backing: ObjectBacking, run: Run, monkeypatch: pytest.MonkeyPatch, swept: bool
) -> None:
    """``listed``: the other one has not come to remove it yet, but will."""

    def then_prepare(own: Callable[..., Any], *args: Any, **given: Any) -> Any:
        answer = own(*args, **given)
        if not others:
            others.append(backing.open())
            monkeypatch.setattr(Owner, "known_dead", lambda self: True)
            if not swept:
                monkeypatch.setattr(type(others[0]), "_finish", lambda self, state: None)
            others[0].prepare(catalogue())
            monkeypatch.undo()
        return answer

    others: list[Any] = []
    put_between(run, "write_file", then_prepare)
    if swept:
        run.load(hour(0))  # it is uploaded again
    else:
        with pytest.raises(DestinationUnavailable, match="was removed before it was loaded"):
            run.load(hour(0))
        assert backing.open().ledger() == Ledger()
        run.load(hour(0))
    backing.open().prepare(catalogue())
    assert names(backing) == texts(0)
    assert len(backing.open().ledger().entries) == 1


# --- Objects that are gone, or changed ---


def test_an_entry_whose_object_is_gone_or_changed_is_not_loaded(
    backing: ObjectBacking, run: Run
) -> None:
    for number in range(3):
        run.load(hour(number))
    backing.bucket.delete(PLAIN)
    changed = f"{FIRST + 3600}.csv"
    backing.bucket.put(changed, backing.bucket.get(changed).replace(b"1/0", b"1/x"))
    ledger = backing.open().ledger()
    assert [e.window for e in ledger.entries] == [hour(2)]
    run.load(hour(0), tag="b", kind=EntryKind.BACKFILL)
    run.load(hour(1), tag="b", kind=EntryKind.BACKFILL)
    assert names(backing) == sorted([*texts(0, 1, tag="b"), *texts(2)])
    assert run.destination.ledger().missing(hours(0, 3)) == ()


def test_an_altered_object_is_not_removed_by_a_load_of_a_part_of_its_window(
    backing: ObjectBacking, run: Run
) -> None:
    run.load(hours(0, 4))
    mine = backing.bucket.get(PLAIN) + b"\n"
    backing.bucket.put(PLAIN, mine)
    with pytest.raises(DestinationRefused, match=f"{PLAIN} is not as it was"):
        run.load(hour(1), kind=EntryKind.BACKFILL)
    assert backing.bucket.get(PLAIN) == mine
    run.load(hours(0, 4), tag="b", kind=EntryKind.BACKFILL)
    assert names(backing) == texts(0, 1, 2, 3, tag="b")


def test_many_objects_are_looked_for_by_listing(backing: ObjectBacking, run: Run) -> None:
    for number in range(10):
        run.load(hour(number))
    backing.bucket.delete(f"{FIRST + 3 * 3600}.csv")
    asked: list[str] = []

    def stat(own: Callable[..., Any], name: str) -> Any:
        asked.append(name)
        return own(name)

    put_between(run, "stat", stat)
    assert run.destination.ledger().missing(hours(0, 10)) == (hour(3),)
    assert asked == []


def test_entries_of_objects_that_were_moved_away_are_kept_as_history(
    backing: ObjectBacking, run: Run
) -> None:
    run.load(hour(0))
    backing.bucket.delete(PLAIN)
    run.load(hour(1))
    ledger, _ = decode(backing.bucket.get(LEDGER), "the ledger", SCOPE)
    assert [e.window for e in ledger.entries] == [hour(0), hour(1)]
    assert [e.window for e in backing.open().ledger().entries] == [hour(1)]


# --- What dead runs left ---


def dead_owner(load: str) -> Owner:
    return Owner("another-host", 1, load)


def leave_uncommitted(backing: ObjectBacking, run: Run, owner: Owner, name: str) -> None:
    rows = run.stage(hour(7), tag="dead")
    backing.bucket.put(name, rows.parts[0].path.read_bytes(), load=owner.load)
    note = json.dumps({"name": name, "upload": ""})
    backing.bucket.put(NOTES + owner.name, note.encode())


@pytest.fixture
def two_days_on() -> Callable[[Run], None]:
    """The run's clock from now on: objects are stamped by the real one."""

    def move(run: Run) -> None:
        leftovers = run.destination._leftovers  # type: ignore[attr-defined]
        leftovers._clock = lambda: datetime.now(UTC) + timedelta(hours=49)

    return move


def test_an_object_that_was_never_committed_is_swept_after_two_days(
    backing: ObjectBacking, run: Run, two_days_on: Callable[[Run], None]
) -> None:
    run.load(hour(0))
    owner = dead_owner(str(uuid.uuid4()))
    leave_uncommitted(backing, run, owner, f"{FIRST + 7 * 3600}.csv")
    run.destination.prepare(catalogue())
    assert names(backing) == sorted([*texts(0), *texts(7, tag="dead")]), "it may be at it still"
    two_days_on(run)
    run.destination.prepare(catalogue())
    assert names(backing) == texts(0)
    assert backing.leftovers() == []


def test_the_sweep_fences_off_a_commit_that_is_under_way(
    backing: ObjectBacking, run: Run, two_days_on: Callable[[Run], None]
) -> None:
    """A run's last request may reach the store after its death: it must not name what is swept."""
    run.load(hour(0))
    store: Any = run.destination._store  # type: ignore[attr-defined]
    document, version = store.read(LEDGER)
    leave_uncommitted(backing, run, dead_owner(str(uuid.uuid4())), f"{FIRST + 7 * 3600}.csv")
    two_days_on(run)
    run.destination.prepare(catalogue())
    with pytest.raises(Conflict):
        store.write(LEDGER, document, only_if=version)


def test_a_note_that_leads_to_a_committed_object_costs_nothing(
    backing: ObjectBacking, run: Run, two_days_on: Callable[[Run], None]
) -> None:
    (entry,) = run.load(hour(0))
    note = json.dumps({"name": PLAIN, "upload": ""})
    backing.bucket.put(NOTES + dead_owner(entry.load).name, note.encode())
    two_days_on(run)
    run.destination.prepare(catalogue())
    assert names(backing) == texts(0)
    assert backing.leftovers() == []


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"name": 5}', b"\xff"])
def test_a_damaged_note_is_only_removed(
    backing: ObjectBacking, run: Run, two_days_on: Callable[[Run], None], damaged: bytes
) -> None:
    run.load(hour(0))
    backing.bucket.put(NOTES + dead_owner(str(uuid.uuid4())).name, damaged)
    two_days_on(run)
    run.destination.prepare(catalogue())
    assert names(backing) == texts(0)
    assert [n for n in backing.names() if n.startswith(NOTES)] == []


def test_what_cannot_be_removed_stays_listed_until_it_can(
    backing: ObjectBacking, run: Run, other: Run
) -> None:
    run.load(hour(0))

    def delete(own: Callable[..., Any], name: str, *args: Any) -> Any:
        if not name.startswith("."):
            raise DestinationUnavailable("not now.", "")
        return own(name, *args)

    put_between(run, "delete", delete)
    run.load(hour(0), tag="b", replace_loaded=True)
    assert PLAIN in backing.data_names(), "the load is committed all the same"
    _, listed = decode(backing.bucket.get(LEDGER), "the ledger", SCOPE)
    assert [f.name for f in listed] == [PLAIN]
    run.load(hour(1))
    assert PLAIN in backing.data_names()
    other.destination.prepare(catalogue())
    assert names(backing) == sorted([*texts(0, tag="b"), *texts(1)])


# --- hauser's mark ---


def test_hausers_mark_is_read_and_written_with_and_without_the_prefix(
    backing: ObjectBacking, tmp_path: Path
) -> None:
    backing.prefix = "shop/"
    backing.bucket.put("shop/.sync.hauser", b"2026-11-01T02:00:00Z")
    backing.bucket.put(".sync.hauser", b"2026-11-01T01:00:00Z")
    run = Run(backing.open(), tmp_path)
    assert run.destination.ledger().checkpoint == hour(1).stop
    run.load(hour(2))
    assert backing.data_names() == [f"shop/{FIRST + 7200}.csv"]
    for name in (".sync.hauser", "shop/.sync.hauser"):
        assert backing.bucket.get(name) == b"2026-11-01T03:00:00Z"


def test_a_mark_that_makes_no_sense_is_never_taken_for_none(backing: ObjectBacking) -> None:
    for text in (b"", b"yesterday"):
        backing.bucket.put(".sync.hauser", text)
        with pytest.raises(LedgerUnreadable, match="hauser"):
            backing.open().ledger()


def test_a_mark_behind_the_ledger_is_written_anew(backing: ObjectBacking, run: Run) -> None:
    run.load(hour(0))
    for text in (b"2026-11-01T00:30:00Z", b""):
        backing.bucket.put(".sync.hauser", text)
        backing.open().prepare(catalogue())
        assert backing.hauser_checkpoint() == hour(0).stop


@pytest.mark.parametrize("seen", [".sync.hauser", LEDGER])
def test_a_load_in_between_does_not_look_like_hauser(
    backing: ObjectBacking, run: Run, other: Run, seen: str
) -> None:
    """A mark that is read after the ledger may be ahead of it; read before it, it cannot be."""
    run.load(hour(0))
    waiting = [lambda: other.load(hour(1))]

    def read(own: Callable[..., Any], name: str) -> Any:
        answer = own(name)
        if name == seen and waiting:
            waiting.pop()()
        return answer

    put_between(run, "read", read)
    assert run.destination.ledger().checkpoint in (hour(0).stop, hour(1).stop)


# --- check ---


def test_check_tries_everything_and_leaves_nothing(backing: ObjectBacking, run: Run) -> None:
    run.load(hour(0))
    before = backing.contents()
    found = list(backing.open().checks())
    assert [c for c in found if not c.ok] == []
    told = {c.name for c in found}
    assert told >= {"bucket", "write objects", "preconditions", "delete objects", "data objects"}
    assert backing.contents() == before


@pytest.mark.parametrize("honoured", ["new", "changed"])
def test_check_finds_a_store_that_ignores_preconditions(
    backing: ObjectBacking, run: Run, honoured: str
) -> None:
    def write(own: Callable[..., Any], name: str, data: bytes, *, only_if: str | None) -> Any:
        keep = (only_if == ABSENT) == (honoured == "new")
        return own(name, data, only_if=only_if if keep else None)

    put_between(run, "write", write)
    found = {c.name: c for c in run.destination.checks()}
    assert not found["preconditions"].ok
    assert "ignores preconditions" in found["preconditions"].detail
    assert found["delete objects"].ok
    assert backing.names() == []


def test_check_finds_objects_that_differ(backing: ObjectBacking, run: Run) -> None:
    run.load(hour(0))
    run.load(hour(1))
    backing.bucket.delete(PLAIN)
    found = {c.name: c for c in run.destination.checks()}
    assert found["data objects"].ok
    assert "1 moved away" in found["data objects"].detail
    backing.bucket.put(f"{FIRST + 3600}.csv", b"something else")
    found = {c.name: c for c in run.destination.checks()}
    assert not found["data objects"].ok
    assert found["data objects"].detail == (
        f"1 differs from what was loaded, first {FIRST + 3600}.csv, 1 moved away since"
    )
    assert found["data objects"].remedy == (
        "Load its window again: hauserpy backfill --replace --since "
        f"{rfc3339(hour(1).start)} --until {rfc3339(hour(1).stop)}; then check again."
    )


# --- The ledger object ---


def test_the_ledger_object_comes_back_as_it_was_written() -> None:
    window = Window(DAY, DAY + timedelta(hours=1))
    entry = LedgerEntry(window, EntryKind.SYNC, "1", "a", loaded_at=NOW)
    ledger = Ledger((entry,), window.stop)
    for remove in ((), (StoredFile("a b.csv", 3, "etag:x-2"), StoredFile("c", 0, "crc32c:AA=="))):
        assert decode(encode(ledger, SCOPE, remove), "here", SCOPE) == (ledger, remove)


@pytest.mark.parametrize(
    "listed", ["5", "[5]", '[{"name": "a"}]', '[{"name": "a", "size": "x", "digest": "b"}]', '{"a"']
)
def test_a_list_of_what_to_remove_that_makes_no_sense_is_not_taken_for_none(listed: str) -> None:
    document = encode(Ledger(), SCOPE, [StoredFile("a", 1, "b")]).decode()
    broken = document[: document.index('"remove":')] + f'"remove":{listed}}}'
    with pytest.raises(LedgerUnreadable, match="in the bucket"):
        decode(broken.encode(), "the ledger in the bucket", SCOPE)


def test_its_name_tells_bucket_and_endpoint(backing: ObjectBacking) -> None:
    destination: Objects = backing.open()
    assert backing.settings().storage_only
    assert "bucket-" in destination.name
    assert "http://127.0.0.1" in destination.name


@pytest.mark.parametrize("put_back", [False, True])
def test_what_a_lost_ledger_knew_goes_with_the_load_of_its_window(
    backing: ObjectBacking, run: Run, tmp_path: Path, put_back: bool
) -> None:
    run.load(hour(0))
    run.load(hour(1))
    before = backing.bucket.get(backing.key(LEDGER))
    run.load(hour(0), tag="b", kind=EntryKind.BACKFILL, replace_loaded=True)
    (later,) = [n for n in backing.data_names() if n.startswith(f"{FIRST}-")]
    strange = f"{FIRST}-notes.csv"
    backing.bucket.put(backing.key(strange), b"mine")
    if put_back:
        backing.bucket.put(backing.key(LEDGER), before)
    else:
        for name in (LEDGER, ".sync.hauser"):
            backing.bucket.delete(backing.key(name))
    again = Run(backing.open(), tmp_path)
    assert later in backing.data_names()
    again.load(hour(0), tag="c", kind=EntryKind.BACKFILL, replace_loaded=True)
    again.load(hour(1), tag="c", kind=EntryKind.BACKFILL, replace_loaded=True)
    found = [n for n in backing.data_names() if n != strange]
    assert sorted(r["EventTargetText"] for r in backing.rows(found)) == sorted(texts(0, 1, tag="c"))
    assert strange in backing.data_names(), "whose name is no load's"
