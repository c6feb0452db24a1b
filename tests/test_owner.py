"""Leftovers tell whose they are, and only those of the dead and the forgotten are swept."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from hauserpy.owner import Owner, host_name, leftovers, owned_folder, pid_space


@pytest.fixture
def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_name_tells_its_owner() -> None:
    load = str(uuid.uuid4())
    owner = Owner.of_this_process(load)
    assert owner == Owner(host_name(), os.getpid(), load)
    assert Owner.from_name(owner.name) == owner
    assert Owner.from_name(f"in/some/key/{owner.name}/00000.csv.gz") == owner
    for name in (
        "",
        "data.csv",
        "hauserpy~host",
        "hauserpy~host~1~load",
        "hauserpy~host~pid.0~load",
    ):
        assert Owner.from_name(name) is None


def test_hosts_of_any_name_can_be_in_a_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "my~host/ü.example.com")
    owner = Owner.of_this_process("0")
    assert "/" not in owner.name and Owner.from_name(owner.name) == owner
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert Owner.of_this_process("0").host == "localhost"


def test_only_the_dead_of_this_host_are_known_dead(dead_pid: int) -> None:
    assert Owner(host_name(), dead_pid, "0").known_dead()
    assert not Owner(host_name(), os.getpid(), "0").known_dead()
    assert not Owner(host_name(), 1, "0").known_dead(), "nor one that we may not ask"
    assert not Owner("another", dead_pid, "0").known_dead()
    # A container of the same host name has pids of its own.
    assert not Owner(host_name(), dead_pid, "0", "0badc0de").known_dead()


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="has no pid namespaces")
def test_pids_of_another_space_are_another_owners() -> None:
    here = pid_space()
    told = [sys.executable, "-c", "from hauserpy.owner import pid_space; print(pid_space())"]
    assert subprocess.check_output(told, text=True).strip() == here
    try:
        elsewhere = subprocess.check_output(["unshare", "-r", "-p", "-f", *told], text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not make a pid namespace")
    assert elsewhere.strip() != here


def test_what_is_swept(tmp_path: Path, dead_pid: int) -> None:
    def leave(owner: Owner | None, name: str = "", *, age: float = 0) -> Path:
        path = tmp_path / (owner.name if owner else name)
        path.mkdir()
        when = time.time() - age
        os.utime(path, (when, when))
        return path

    dead = leave(Owner(host_name(), dead_pid, "dead"))
    leave(Owner.of_this_process("alive"))
    leave(Owner("another", dead_pid, "elsewhere"), age=47 * 3600)
    forgotten = leave(Owner("another", dead_pid, "forgotten"), age=49 * 3600)
    leave(None, "users-own", age=10**7)
    assert sorted(leftovers(tmp_path)) == sorted([dead, forgotten])
    assert leftovers(tmp_path / "missing") == []


def test_a_folder_that_is_held_is_left_alone_wherever_its_holder_lives(
    tmp_path: Path, dead_pid: int
) -> None:
    # Of containers, the pids mean nothing to each other, and the first process of each is pid 1.
    for owner in (
        Owner("another", dead_pid, "a"),
        Owner(host_name(), dead_pid, "b", "0badc0de"),
        Owner.of_this_process("c"),
    ):
        path = tmp_path / owner.name
        with owned_folder(path):
            os.utime(path, (0, 0))
            assert leftovers(tmp_path) == []
        assert leftovers(tmp_path) == [path], "it was let go, and stayed"
        shutil.rmtree(path)


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    told = (
        "import sys, time; from pathlib import Path; from hauserpy.owner import owned_folder\n"
        "with owned_folder(Path(sys.argv[1])): print(1, flush=True); time.sleep(60)"
    )
    path = tmp_path / Owner("another", 1, "a").name
    holder = subprocess.Popen([sys.executable, "-c", told, path], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert leftovers(tmp_path) == []
        holder.kill()
    assert leftovers(tmp_path) == [path]


def test_without_locks_the_name_must_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    with owned_folder(tmp_path / Owner.of_this_process("a").name):
        assert leftovers(tmp_path) == []
    with owned_folder(tmp_path / Owner("another", 1, "b").name):
        assert leftovers(tmp_path) == []
