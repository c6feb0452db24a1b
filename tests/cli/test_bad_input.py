"""Bad input of every kind: its exit code, a reason in one line, and nothing of it loaded."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import resource
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hauserpy.model import rfc3339
from tests.cli.place import REPO, Place, Ran, body, day, names, tree

Spoil = Callable[[Place], None]


def refused(ran: Ran, *said: str) -> None:
    """Exactly one line of error, which says what happened and what to do."""
    (line,) = [line for line in ran.err.splitlines() if "error" in line]
    assert line.startswith("hauserpy: error: ")
    for words in said:
        assert words in line
    assert ran.out == ""


# --- The API ---


def test_a_wrong_token(place: Place) -> None:
    right, place.api.token = place.api.token, "na1.wrong"
    place.configure()
    ran = place.run("sync", code=5)
    assert right not in ran.err
    refused(ran, "401")
    assert not place.ledger()["entries"]
    assert len(place.api.requests) == 1, "it is not tried again"


@pytest.mark.parametrize("fault", ["html", "null", "500", "503,retry-after=none", "reset"])
def test_a_list_that_is_none(place: Place, fault: str) -> None:
    place.api.faults.add(f"list:{fault}:*")
    refused(place.run("sync", code=4), "list of bundles")
    assert not place.ledger()["entries"]
    place.assert_clean()


def test_a_wait_beyond_what_is_allowed(place: Place) -> None:
    place.configure(RetryAfterMax='"10s"')
    place.api.faults.add("get:429:*,retry-after=3600")
    refused(place.run("sync", code=4), "RetryAfterMax")


CORRUPT: dict[str, bytes] = {
    "html": b"<!DOCTYPE html><html><body>Service unavailable</body></html>",
    "nothing": b"",
    "null": b"null",
    "an object": b'{"EventType": "click"}',
    "a string": b'"[]"',
    "cut text": body(day(1))[:-20],
    "cut in the middle of a record": body(day(1))[:40],
    "no end": body(day(1))[:-1],
    "two arrays": body(day(1)) + body(day(1)),
    "text behind": body(day(1)) + b" ok",
    "a number among the records": b'[{"EventType": "click"}, 42]',
    "an array among the records": b"[[]]",
    "null among the records": b"[{}, null]",
    "a comma too many": b"[{},]",
    "a comma too few": b"[{} {}]",
    "not UTF-8": b'[{"EventType": "\xff"}]',
    "NaN": b'[{"ReqStatus": NaN}]',
    "too deep": b'[{"a": ' + b"[" * 300 + b"]" * 300 + b"}]",
    "cut gzip": gzip.compress(body(day(1)))[:-30],
    "no gzip trailer": gzip.compress(body(day(1)))[:-8],
    "wrong CRC": gzip.compress(body(day(1)))[:-8] + bytes(8),
    "bytes behind the gzip": gzip.compress(body(day(1))) + b"garbage",
    "gzip of gzip": gzip.compress(gzip.compress(body(day(1)))),
    "gzip of nothing": gzip.compress(b""),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_bundle_that_is_none(place: Place, kind: str) -> None:
    """What came before it stays, nothing of it is loaded, and nothing behind it is tried."""
    place.api.add(day(1), CORRUPT[kind])
    ran = place.run("sync", code=6)
    (line,) = [line for line in ran.err.splitlines() if "error" in line]
    bundle = next(b for b in place.api.bundles if b.window == day(1))
    assert bundle.id in line and "at byte" in line
    since, until = rfc3339(day(1).start), rfc3339(day(1).stop)
    assert f"`hauserpy skip --since {since} --until {until} --reason …`" in line
    assert place.names() == names(0)
    assert place.checkpoint() == rfc3339(day(0).stop)
    assert "loaded 1 bundle" in ran.out
    place.assert_clean()
    place.api.add(day(1), body(day(1)))
    place.run("sync")
    assert place.names() == names(0, 1, 2), "mended, it goes on"


@pytest.mark.parametrize("fault", ["corrupt", "crc", "truncated", "trailing", "number-record"])
def test_a_bundle_that_is_spoiled_on_its_way(place: Place, fault: str) -> None:
    place.api.faults.add(f"get[1]:{fault}:*")
    refused(place.run("sync", code=6), "is corrupt")
    assert not place.ledger()["entries"]
    place.assert_clean()


def test_a_record_that_is_too_large(place: Place) -> None:
    place.configure(MaxRecordBytes="1048576")
    place.api.add(day(0), json.dumps([{"user_a_str": "x" * 1_100_000}]).encode())
    refused(place.run("sync", code=6), "MaxRecordBytes")
    assert not place.ledger()["entries"]


def test_a_bundle_that_the_api_no_longer_has(place: Place) -> None:
    place.api.faults.add("get[1]:404:*")
    refused(place.run("sync", code=6), "no longer has it", "hauserpy skip")
    assert len(place.got()) == 1, "it is not tried again"


def test_a_download_that_is_always_cut(place: Place) -> None:
    place.api.faults.add("get:cut@50%:*")
    refused(place.run("sync", code=4), "broke after")
    assert not place.ledger()["entries"]
    place.assert_clean()


def test_a_server_that_hangs(place: Place) -> None:
    place.configure(ReadTimeout='"1s"', BackoffStepsMax="1")
    place.api.faults.add("list:hang:*")
    refused(place.run("sync", code=4))
    place.assert_clean()


# --- The disk ---


def test_a_save_dir_that_is_a_file(place: Place) -> None:
    place.data.write_text("mine")
    for command in (["sync"], ["backfill", "--since", "2026-09-01"]):
        refused(place.run(*command, code=2), "SaveDir" if command[0] == "backfill" else "data")
    assert place.data.read_text() == "mine"
    assert place.got() == []


def test_a_save_dir_below_a_file(place: Place) -> None:
    (place.folder / "file").write_text("mine")
    place.configure(SaveDir=json.dumps(str(place.folder / "file" / "data")))
    refused(place.run("sync", code=2))


def unwritable() -> Path | None:
    """A folder in which not even root may create anything; None where there is none."""
    for place in map(Path, ("/sys/kernel", "/System")):
        if place.is_dir():
            try:
                (place / "hauserpy").mkdir()
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                    return place
            else:
                (place / "hauserpy").rmdir()
    return None


@pytest.mark.parametrize("key", ["SaveDir", "TmpDir"])
def test_a_folder_that_is_read_only(place: Place, key: str) -> None:
    folder = unwritable()
    if folder is None:
        pytest.skip("there is no folder here in which root may not write")
    place.configure(**{key: json.dumps(str(folder / "hauserpy"))})
    refused(place.run("sync", code=5), str(folder))
    assert not place.ledger()["entries"]


def test_a_save_dir_that_has_become_read_only(place: Place) -> None:
    """The ordinary kind, with permissions: it binds everybody but root."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere; see the test before this one")
    place.run("sync", "--max-bundles", "1")
    for folder in (place.data, place.data / ".hauserpy", place.data / ".hauserpy" / "incoming"):
        folder.chmod(0o500)
    try:
        refused(place.run("sync", code=5))
        assert place.run("sync", "--dry-run").code == 0, "reading needs no permission to write"
    finally:
        for folder in (place.data, place.data / ".hauserpy", place.data / ".hauserpy" / "incoming"):
            folder.chmod(0o700)
    assert place.names() == names(0)


def test_a_disk_that_is_full(place: Place) -> None:
    """A limit on the size of files, in a process of its own: the third bundle is too large."""
    records = [{"EventTargetText": "x" * 1000, "UserId": n} for n in range(300)]
    place.api.add(day(2), json.dumps(records).encode())
    done = subprocess.run(
        place.argv("sync"), cwd=REPO, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 4, done
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "too large" in line.lower() and "Traceback" not in done.stderr
    assert place.names() == names(0, 1)
    place.assert_clean()
    place.run("sync")
    assert len(place.names()) == 306


@pytest.mark.parametrize("where", ["spool", "parts", "incoming", "commit.json", "ledger.json"])
def test_a_disk_that_is_full_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real_open, real_os_open = io.open, os.open

    def full(path: Any) -> None:
        if not isinstance(path, int) and where in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def open_(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        if "w" in mode:
            full(file)
        return real_open(file, mode, *args, **named)

    def os_open(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            full(path)
        return real_os_open(path, flags, *args, **named)

    with monkeypatch.context() as patched:
        if where == "incoming":
            real = os.replace
            patched.setattr(os, "replace", lambda s, t: (full(t), real(s, t))[1])
        patched.setattr(io, "open", open_)
        patched.setattr(os, "open", os_open)
        refused(place.run("sync", code=4), "No space left on device", "Make room")
    place.run("sync")
    assert place.names() == names(0, 1, 2)
    place.assert_clean()


# --- The ledger ---


def overwrite(name: str, text: str) -> Spoil:
    return lambda place: (place.data / name).write_text(text) and None


def rewrite(change: Callable[[dict[str, Any]], None]) -> Spoil:
    def spoil(place: Place) -> None:
        ledger = place.ledger()
        change(ledger)
        (place.data / ".hauserpy" / "ledger.json").write_text(json.dumps(ledger))

    return spoil


FUTURE = rfc3339((datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0))
LEDGER = ".hauserpy/ledger.json"
COMMIT = ".hauserpy/commit.json"
SPOILED: dict[str, Spoil] = {
    "empty": overwrite(LEDGER, ""),
    "cut": lambda place: os.truncate(place.data / LEDGER, 100),
    "zeros": overwrite(LEDGER, "\0" * 100),
    "no object": overwrite(LEDGER, "[]"),
    "empty object": overwrite(LEDGER, "{}"),
    "deep": overwrite(LEDGER, "[" * 100_000),
    "infinite version": rewrite(lambda ledger: ledger.update(version=float("inf"))),
    "newer": rewrite(lambda ledger: ledger.update(version=99)),
    "newer entry": rewrite(lambda ledger: ledger["entries"][0].update(version=99)),
    "entry of odd shape": rewrite(lambda ledger: ledger["entries"].append("entry")),
    "entry without a load": rewrite(lambda ledger: ledger["entries"][0].pop("load")),
    "entry of no kind": rewrite(lambda ledger: ledger["entries"][0].update(kind="other")),
    "infinite records": rewrite(lambda ledger: ledger["entries"][0].update(records=float("inf"))),
    "overlap": rewrite(lambda ledger: ledger["entries"][0].update(stop=rfc3339(day(1).stop))),
    "backwards": rewrite(lambda ledger: ledger["entries"][0].update(stop=rfc3339(day(-2).stop))),
    "time without a zone": rewrite(lambda ledger: ledger.update(checkpoint="2026-09-02T00:00:00")),
    "checkpoint of no time": rewrite(lambda ledger: ledger.update(checkpoint=7)),
    "checkpoint in the future": rewrite(lambda ledger: ledger.update(checkpoint=FUTURE)),
    "entry in the future": rewrite(lambda ledger: ledger["entries"][-1].update(stop=FUTURE)),
    "commit of garbage": overwrite(COMMIT, "garbage"),
    "commit of odd shape": overwrite(COMMIT, '{"ledger": "{}"}'),
    "commit that is null": overwrite(COMMIT, "null"),
    "hauser's mark ahead": overwrite(".sync.hauser", rfc3339(day(5).stop)),
    "hauser's mark garbage": overwrite(".sync.hauser", "yesterday"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_ledger_that_cannot_be_trusted(place: Place, kind: str) -> None:
    place.run("sync", "--max-bundles", "2")
    SPOILED[kind](place)
    before = {n: seen for n, seen in tree(place.data).items() if not n.endswith(".lock")}
    since = rfc3339(day(0).start)
    for command in (
        ["sync"],
        ["sync", "--dry-run"],
        ["backfill", "--since", since, "--replace"],
        ["skip", "--since", since, "--until", rfc3339(day(0).stop), "--reason", "x"],
        ["status"],
    ):
        place.api.forget_requests()
        ran = place.run(*command, code=10)
        refused(ran)
        assert place.got() == [], "it stops before anything is fetched"
    left = {n: seen for n, seen in tree(place.data).items() if not n.endswith(".lock")}
    files = {n for n in before if n.endswith((".csv", ".json"))}
    assert {n: left[n] for n in files} == {n: before[n] for n in files}


def test_an_empty_mark_of_hauser_without_a_ledger_of_ours(place: Place) -> None:
    place.data.mkdir()
    (place.data / ".sync.hauser").touch()
    refused(place.run("sync", code=10), ".sync.hauser", "crash")
    assert list(place.data.glob("*.csv")) == []
    assert place.got() == []


def test_a_mark_of_hauser_in_the_future_without_a_ledger_of_ours(place: Place) -> None:
    place.data.mkdir()
    mark = place.data / ".sync.hauser"
    mark.write_text(FUTURE)
    for command in ("sync", "status"):
        refused(place.run(command, code=10), str(place.data), ".sync.hauser", FUTURE, "clock")
    assert f"✗ ledger: local {place.data}: the Go hauser's" in place.run("check", code=8).out
    assert place.got() == []
    mark.write_text(rfc3339(day(1).start))
    place.run("sync")
    assert place.names() == names(1, 2), "the remedy is one"


def test_an_empty_mark_of_hauser_beside_our_ledger_is_written_anew(place: Place) -> None:
    """Our ledger knows better than what a crash of hauser left."""
    place.run("sync", "--max-bundles", "2")
    (place.data / ".sync.hauser").write_text("")
    place.run("sync")
    assert (place.data / ".sync.hauser").read_text() == rfc3339(day(2).stop)


def test_a_mark_of_hauser_is_taken_over(place: Place) -> None:
    place.data.mkdir()
    (place.data / ".sync.hauser").write_text(rfc3339(day(1).start))
    told = place.run("sync", "--json").json
    assert told["bundles"] == 2
    assert place.names() == names(1, 2)
    assert place.kinds()[0] == ("1970-01-01T00:00:00Z", rfc3339(day(1).start), "hauser")
    refused(place.run("backfill", "--since", rfc3339(day(0).start), "--replace", code=7), "hauser")


# --- Command line and configuration ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["sink"], ["sync", "--bundles"], ["sync", "--max-bundles", "0"],
        ["sync", "--max-bundles", "many"], ["sync", "extra"], ["backfill"],
        ["backfill", "--since", "yesterday"], ["backfill", "--since", "2026-13-01"],
        ["backfill", "--since", "2026-09-02", "--until", "2026-09-01"],
        ["skip", "--since", "2026-09-01", "--until", "2026-09-02"],
        ["skip", "--since", "2026-09-01", "--until", "2026-09-02", "--reason", " "],
        ["skip", "--since", "2026-09-02", "--until", "2026-09-02", "--reason", "x"],
        ["skip", "--since", "2026-09-02", "--until", "2999-09-02", "--reason", "x"],
        ["sync", "--watch", "--json"], ["sync", "--watch", "--dry-run"],
        ["sync", "--log-format", "xml"],
        ["bundles", "--since", "2026-09-02", "--until", "2026-09-01"],
        ["bundles", "--since", "2026-09-02", "--until", "2026-09-02"],
        ["backfill", "--since", "2026-09-02", "--until", "2026-09-02"],
    ],
)  # fmt: skip
def test_usage_that_makes_no_sense(place: Place, arguments: list[str]) -> None:
    ran = place.run(*arguments, code=2)
    assert "rror: " in ran.err
    assert ran.out == "" or ("--json" in arguments and ran.json["exit_code"] == 2)
    assert not place.data.exists()
    assert place.api.requests == []


@pytest.mark.parametrize(
    "written",
    ["yesterday", "20260901", "2026-W36", "2026-09-01T10", "2026-02-30", "1969-12-31",
     "0001-01-01", "2026-09-01T24:00:00Z", "2026-09-01T00:00:00+99:00", ""],
)  # fmt: skip
def test_a_time_that_is_none_is_told_in_plain_words(place: Place, written: str) -> None:
    for command in (["backfill", "--since"], ["bundles", "--until"], ["skip", "--since"]):
        told = place.run(*command, written, code=2).err
        assert f"'{written}' is refused: " in told
        assert "a date such as 2026-11-23, or a time such as 2026-11-23T04:00:00Z" in told
        assert "isoformat" not in told


@pytest.mark.parametrize("written", ["many", "0", "-1", "1.5", "1_0", "9" * 5000, ""])
def test_a_number_that_is_none_is_told_in_plain_words(place: Place, written: str) -> None:
    told = place.run("sync", f"--max-bundles={written}", code=2).err
    assert "out of range" in told or "is no whole number" in told
    assert "from 1 to 1,000,000,000." in told


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"CheckIntervall": '"1h"'}, "CheckInterval"),
        ({"Backoff": '"soon"'}, "Backoff"),
        ({"Workers": "0"}, "Workers"),
        ({"Provider": '"azure"'}, "Provider"),
        ({"FsApiToken": '""'}, "token"),
        ({"Format": "["}, "config.toml"),
    ],
)
def test_a_configuration_that_is_wrong(place: Place, lines: dict[str, str], said: str) -> None:
    place.configure(**lines)
    refused(place.run("sync", code=2), said)
    told = place.run("sync", "--json", code=2).json
    assert (told["ok"], told["exit_code"], told["error"]["kind"]) == (False, 2, "ConfigError")
    assert not place.data.exists()


def test_a_configuration_that_is_not_there(place: Place) -> None:
    place.config.unlink()
    refused(place.run("sync", code=2), "config.toml")


def test_nothing_configured_at_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from hauserpy.cli.group import run

    (place.folder / "elsewhere").mkdir()
    monkeypatch.chdir(place.folder / "elsewhere")
    place.capsys.readouterr()
    assert run(["sync"]) == 2
    assert "hauserpy config init" in place.capsys.readouterr().err


def test_whoever_reads_our_output_may_leave(place: Place) -> None:
    place.run("sync")
    process = place.start("status")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) in (0, 1)
    assert "Traceback" not in told and "BrokenPipe" not in told
    with contextlib.suppress(ProcessLookupError):
        process.kill()
