"""What is promised about processes: one sync at a time, signals, and watching."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hauserpy.mockapi.server import Request, Response
from hauserpy.model import rfc3339
from hauserpy.owner import Owner, host_name
from tests.cli.place import Place, Ran, body, day, names


@pytest.fixture
def held(place: Place) -> Iterator[threading.Event]:
    """Set once a sync has begun its second download, which then hangs."""
    begun = threading.Event()
    real = place.api._router.api
    place.api.faults.add("get[2]:hang@50%:*")

    def watched(request: Request) -> Response:
        answer = real(request)
        if request.endpoint == "get" and request.query["id"].startswith(
            str(int(day(1).start.timestamp()))
        ):
            begun.set()
        return answer

    place.api._api.application = watched
    yield begun


def halfway(place: Place, held: threading.Event, *arguments: str) -> subprocess.Popen[str]:
    """A sync that has loaded the first bundle and hangs in the download of the second."""
    process = place.start("sync", *arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "loaded" in line:
            break
    assert held.wait(30)
    return process


def ended(place: Place, process: subprocess.Popen[str], signum: int, code: int) -> Ran:
    process.send_signal(signum)
    return place.finish(process, code)


def test_of_two_syncs_one_works_and_the_other_says_who(place: Place, held: threading.Event) -> None:
    first = halfway(place, held)
    second = place.run("sync", code=11)
    (line,) = second.err.splitlines()
    assert re.search(rf"pid {first.pid} on {re.escape(host_name())}, since 20\d\d-.*Z", line)
    assert second.out == ""
    told = place.run("sync", "--json", code=11).json
    assert told["error"]["kind"] == "AlreadyRunning"
    assert place.run("sync", "--dry-run").code == 0, "looking is allowed"
    ended(place, first, signal.SIGTERM, 143)
    place.api.faults.clear()
    place.run("sync")
    assert place.names() == names(0, 1, 2)
    place.assert_clean()


def test_the_lock_dies_with_its_holder(place: Place, held: threading.Event) -> None:
    first = halfway(place, held)
    first.kill()
    first.communicate()
    place.api.faults.clear()
    place.run("sync")
    assert place.names() == names(0, 1, 2)
    place.assert_clean()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_nothing_half_loaded(
    place: Place, held: threading.Event, signum: int, code: int
) -> None:
    process = halfway(place, held, "--json")
    ran = ended(place, process, signum, code)
    told = ran.json
    assert (told["ok"], told["exit_code"], told["bundles"]) == (False, code, 1)
    assert told["error"]["kind"] == "Interrupted"
    assert place.names() == names(0)
    assert place.checkpoint() == rfc3339(day(0).stop)
    place.assert_clean()
    place.api.faults.clear()
    place.run("sync")
    assert place.names() == names(0, 1, 2)


def test_a_second_signal_leaves_the_terminal_as_it_was_and_one_sent_twice_is_one() -> None:
    code = """if True:
        import os, signal, sys
        from hauserpy.cli import run
        from hauserpy.cli.console import Live
        from hauserpy.cli.options import Common
        from hauserpy.waiting import Waiter

        with run._signals(Waiter(), Live(Common())):
            run._ONE_SIGNAL_SECONDS = 60
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            print("goes on", flush=True)
            run._ONE_SIGNAL_SECONDS = 0
            os.kill(os.getpid(), signal.SIGTERM)
            print("too late")
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (143, "goes on\n")
    assert ran.stderr.count("stopping after the load in hand") == 1
    last = ran.stderr.splitlines()[-1]
    assert "stopped at once" in last and "\x1b[?25h" in last, "the cursor is shown again"


def test_a_signal_ends_the_attempts_at_a_warehouse_that_is_down(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        config = tmp_path / "config.toml"
        config.touch(mode=0o600)
        config.write_text(
            'FsApiToken = "x"\nExportApi = "segments"\nProvider = "aws"\n[s3]\nBucket = "buck"\n'
            'Region = "us-east-1"\n[redshift]\nHost = "127.0.0.1"\nDB = "d"\nUser = "u"\n'
            f'Password = "p"\nSslMode = "disable"\nPort = {port}\nExportTable = "e"\n'
            'SyncTable = "s"\nDatabaseSchema = "public"\nCredentials = "aws_iam_role=x"\n'
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "hauserpy", "-c", str(config), "sync"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            # Of pauses of 1, 2, 4, 8 and 16 seconds.
            if "trying again in 4 s" in line:
                break
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
        assert process.returncode == 143
        assert "trying again" not in err


def test_a_signal_ends_a_long_wait(place: Place) -> None:
    place.configure(Backoff='"1h"', BackoffStepsMax="8")
    place.api.faults.add("get:429:*,retry-after=600")
    process = place.start("sync", "-v")
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting" in line:
            break
    ended(place, process, signal.SIGINT, 130)
    place.assert_clean()


def has_begun(process: subprocess.Popen[str]) -> bool:
    """Whether it catches SIGTERM, which Python by itself does not."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at another process")
@pytest.mark.parametrize("moment", range(3))
@pytest.mark.parametrize(
    ("command", "signum", "code"),
    [("sync", signal.SIGTERM, 143), ("status", signal.SIGINT, 130), ("check", signal.SIGINT, 130)],
)
def test_a_signal_before_there_is_a_run_is_told_as_well(
    place: Place, command: str, signum: int, code: int, moment: int
) -> None:
    place.api.faults.add("list:hang")
    process = place.start(command, "--json")
    while not has_begun(process):
        pass
    time.sleep(0.05 * moment)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    if process.returncode != 0:  # else it was done
        told = json.loads(out)
        assert (process.returncode, told["exit_code"]) == (code, code)
        assert (told["command"], told["error"]["kind"]) == (command, "Interrupted")
        assert err.count("nothing is half-loaded") == 1


def test_a_check_that_is_told_to_end_tidies_up(place: Place) -> None:
    place.api.faults.add("list:hang")
    process = place.start("check")
    assert process.stdout is not None
    assert "configuration" in process.stdout.readline()
    ended(place, process, signal.SIGTERM, 143)


def test_watching_loads_what_comes_until_it_is_stopped(place: Place) -> None:
    place.configure(CheckInterval='"1s"')
    process = place.start("sync", "--watch", "--log-format", "json")
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        message = json.loads(line)["message"]
        seen += [message] if "loaded" in message else []
        if len(seen) == 3:
            place.api.add(day(3), body(day(3)))
        if len(seen) == 4:
            break
    ran = ended(place, process, signal.SIGTERM, 143)
    assert "4 bundles" in ran.out
    assert place.names() == names(0, 1, 2, 3)
    place.assert_clean()


def test_watching_outlives_what_passes_but_not_what_must_be_mended(place: Place) -> None:
    place.configure(CheckInterval='"1s"', BackoffStepsMax="2")
    place.api.faults.add("list:500:2")
    process = place.start("sync", "--watch")
    assert process.stderr is not None
    for line in process.stderr:
        if "loaded" in line:
            place.api.add(day(3), b"null")
            break
    assert place.finish(process, 6).code == 6
    assert place.names() == names(0, 1, 2)


def test_a_killed_run_leaves_what_the_next_one_sweeps(place: Place, held: threading.Event) -> None:
    process = halfway(place, held)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(place.tmp.iterdir()), "the spool of the dead run is still there"
    strangers = place.tmp / "hauserpy-notes.txt"
    strangers.write_text("mine")
    alive = place.tmp / Owner.of_this_process("0000").name
    alive.mkdir()
    place.api.faults.clear()
    place.run("sync")
    assert sorted(place.tmp.iterdir()) == sorted([strangers, alive])


def test_our_files_are_the_owners_alone_while_they_are_not_whole(
    place: Place, held: threading.Event
) -> None:
    process = halfway(place, held)

    def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    (folder,) = place.tmp.iterdir()
    assert mode(folder) == 0o700
    spools = [p for p in folder.rglob("*") if p.is_file()]
    assert spools and {mode(p) for p in spools} == {0o600}
    assert mode(place.data / ".hauserpy") == 0o700
    assert mode(place.data / ".hauserpy" / "ledger.json") == 0o600
    ended(place, process, signal.SIGTERM, 143)
    umask = os.umask(0)
    os.umask(umask)
    (file,) = place.data.glob("*.csv")
    assert mode(file) == 0o666 & ~umask, "data files are for whom the user's umask says"
