"""`hauserpy check`: a line for each thing tried, the remedy for each that failed, nothing left."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hauserpy.mockapi import MockApi, answers
from tests.cli.site import Outcome, Serve, Site, bodies, event, window

DAYS = [window("2026-05-01", "2026-05-02"), window("2026-05-02", "2026-05-03")]
EVENTS = [event(d.start, n) for n, d in enumerate(DAYS)]


@pytest.fixture(params=[1, 2], ids=["generation 1", "generation 2"])
def generation(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def api(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> MockApi:
    room(monkeypatch, 5 * 10**10)
    return serve(bodies=bodies(DAYS, EVENTS))


def room(patch: pytest.MonkeyPatch, free: int) -> None:
    """What the disk is said to have left."""
    patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def failed(site: Site, name: str) -> tuple[str, str]:
    """Detail and remedy of the one thing that fails, told alike in text and in JSON."""
    before = site.tree()
    outcome = site.run("check", "--json")
    assert outcome.code == 8, outcome.err
    told = outcome.json
    assert (told["ok"], told["exit_code"], told["error"]["kind"]) == (False, 8, "CheckFailed")
    (bad,) = [c for c in told["checks"] if not c["ok"]]
    assert bad["name"] == name
    assert bad["remedy"]
    text = site.run("check")
    assert text.code == 8
    assert f"✗ {name}: {bad['detail']}\n    {bad['remedy']}\n" in text.out
    assert f"1 problem found: {name}." in text.err
    assert "Traceback" not in text.err
    assert site.tree() == before
    return bad["detail"], bad["remedy"]


def ticks(outcome: Outcome) -> list[str]:
    return [line.split(":")[0] for line in outcome.out.splitlines()]


def test_all_is_well_before_the_first_sync(site: Site, api: MockApi, generation: int) -> None:
    site.use(api, generation)
    outcome = site.ok("check")
    assert ticks(outcome) == [
        f"✓ {name}"
        for name in (
            "configuration", "API", "token", "clock", "disk", "folder", "files", "ledger",
        )
    ]  # fmt: skip
    lines = dict(line[2:].split(": ", 1) for line in outcome.out.splitlines())
    assert lines["configuration"] == f"read from {site.path}"
    assert f"generation {generation}" in lines["API"]
    assert lines["disk"] == f"50.0 GB free in TmpDir {site.tmp}"
    assert lines["folder"] == f"SaveDir {site.save} can be made"
    assert lines["ledger"] == "0 loaded windows, readable"
    assert api.operations == [], "no export is made for it"
    assert api.requests_to("get", "download") == []


def test_all_is_well_after_a_sync(site: Site, api: MockApi, generation: int) -> None:
    site.use(api, 1)
    site.sync()
    site.use(api, generation)
    lines = dict(line[2:].split(": ", 1) for line in site.ok("check").out.splitlines())
    assert lines["folder"] == f"SaveDir {site.save} is writable"
    assert lines["files"] == "2 whole by their CRC-32"
    assert lines["ledger"] == "2 loaded windows, readable"


def test_it_leaves_nothing_behind_and_says_so_in_json(
    site: Site, api: MockApi, generation: int
) -> None:
    site.save = site.folder / "not" / "yet" / "data"
    site.tmp = site.folder / "nor" / "this"
    site.use(api, generation)
    before = site.tree()
    told = site.ok("check", "--json").json
    assert site.tree() == before
    assert (told["command"], told["ok"], told["exit_code"], told["error"]) == ("check", True, 0, None)  # fmt: skip
    assert [set(c) for c in told["checks"]] == [{"name", "ok", "detail", "remedy"}] * 8
    assert not any(c["remedy"] for c in told["checks"])


def test_a_bad_token(site: Site, api: MockApi, generation: int) -> None:
    api.token = "na1.other"
    site.use(api, generation)
    site.configure(site.path.read_text().replace("na1.other", "na1.ours"))
    detail, remedy = failed(site, "token")
    assert detail.startswith(f"the API refuses FsApiToken (file {site.path}): 127.0.0.1:")
    assert "answered 401" in detail
    assert "na1.ours" not in detail
    assert "Check FsApiToken" in remedy


def test_a_host_behind_a_redirect_that_wants_a_token(
    site: Site, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is fine, and goes to the API's own host alone."""
    room(monkeypatch, 5 * 10**10)
    with MockApi(token="na1.other") as other:
        api = serve(bodies=bodies(DAYS, EVENTS))
        monkeypatch.setattr(
            api._router, "_redirect",
            lambda request: replace(answers.error(302, "moved"),
                                    headers={"Location": other.segments_url + request.raw_target}),
        )  # fmt: skip
        api.faults.add("list:redirect:*")
        site.use(api, 1)
        detail, remedy = failed(site, "API")
    assert "answered 401" in detail
    assert "redirected there" in remedy


def test_no_token_at_all(site: Site, api: MockApi) -> None:
    site.use(api, 1)
    site.configure(site.path.read_text().replace(f'"{api.token}"', '""'))
    detail, remedy = failed(site, "token")
    assert "no Fullstory API token" in detail
    assert "FULLSTORY_API_TOKEN" in remedy


def test_an_api_that_cannot_be_reached(site: Site, api: MockApi, generation: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    site.use(api, generation)
    site.configure(site.path.read_text().replace(api.segments_url, f"http://127.0.0.1:{port}"))
    detail, remedy = failed(site, "API")
    assert f"127.0.0.1:{port}" in detail
    assert remedy == "Check ApiURL and the network."


@pytest.mark.parametrize("fault", ["500:*", "503:*", "429:*", "reset:*", "hang:*"])
def test_an_api_that_does_not_answer_as_it_should(
    site: Site, serve: Serve, api: MockApi, generation: int, fault: str
) -> None:
    api = serve(faults=[fault])
    site.use(api, generation, 'ReadTimeout = "100ms"')
    detail, _ = failed(site, "API")
    assert detail


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_clock_that_is_off(site: Site, api: MockApi, generation: int, minutes: int) -> None:
    with MockApi(clock=lambda: site.now - timedelta(minutes=minutes)) as other:
        site.use(other, generation)
        detail, remedy = failed(site, "clock")
    assert detail == "420 s apart from the API's"
    assert "NTP" in remedy


def refused(code: int) -> Callable[..., Any]:
    def refuse(*_: object, **named: Any) -> Any:
        raise OSError(code, os.strerror(code), named.get("dir"))

    return refuse


def only_in(folder: Path, code: int, patch: pytest.MonkeyPatch) -> None:
    """Let nothing be written there; root could write anywhere else."""
    real = tempfile.TemporaryFile

    def make(*given: Any, **named: Any) -> Any:
        chosen = refused(code) if Path(named["dir"]) == folder else real
        return chosen(*given, **named)

    patch.setattr(tempfile, "TemporaryFile", make)


def test_a_save_dir_that_may_not_be_written(
    site: Site, api: MockApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.use(api, 1)
    only_in(site.save, errno.EACCES, monkeypatch)
    detail, remedy = failed(site, "folder")
    assert f"SaveDir {site.save} cannot be used: Permission denied" in detail
    assert "Let this user write there" in remedy


def test_a_ledger_s_folder_that_may_not_be_written(
    site: Site, api: MockApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.use(api, 1)
    site.sync()
    only_in(site.save / ".hauserpy", errno.EACCES, monkeypatch)
    detail, _ = failed(site, "folder")
    assert ".hauserpy" in detail


def test_a_save_dir_that_is_a_file(site: Site, api: MockApi) -> None:
    site.use(api, 1)
    site.save.write_text("not a folder")
    before = site.tree()
    outcome = site.run("check")
    assert outcome.code == 8
    assert f"✗ folder: SaveDir {site.save} cannot be used: File exists" in outcome.out
    assert "Choose another folder." in outcome.out
    assert "Traceback" not in outcome.err
    assert site.tree() == before


def test_a_tmp_dir_that_cannot_be_made(site: Site, api: MockApi) -> None:
    blocked = site.folder / "file"
    blocked.write_text("")
    site.tmp = blocked / "tmp"
    site.use(api, 1)
    detail, remedy = failed(site, "disk")
    assert f"TmpDir {site.tmp} cannot be written: Not a directory" in detail
    assert "Set TmpDir" in remedy


def test_a_tmp_dir_that_is_full(site: Site, api: MockApi, monkeypatch: pytest.MonkeyPatch) -> None:
    site.use(api, 1)
    only_in(site.tmp, errno.ENOSPC, monkeypatch)
    detail, _ = failed(site, "disk")
    assert "No space left on device" in detail


def test_a_tmp_dir_with_little_room(
    site: Site, api: MockApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.use(api, 1)
    room(monkeypatch, 10**8)
    detail, remedy = failed(site, "disk")
    assert detail.startswith("100.0 MB free")
    assert "Make room" in remedy


@pytest.mark.parametrize("damage", [b"", b"longer", b"same"])
def test_a_file_that_is_not_what_was_loaded(site: Site, api: MockApi, damage: bytes) -> None:
    site.use(api, 1)
    site.sync()
    file = site.files()[0]
    whole = file.read_bytes()
    file.write_bytes({b"longer": whole + b"x\n", b"same": whole[:-2] + b"x\n"}.get(damage, b""))
    detail, remedy = failed(site, "files")
    assert detail == f"1 differs from what was loaded, first {file.name}"
    # The remedy is one.
    command = re.fullmatch(
        r"Load its window again: hauserpy (backfill .+); then check again\.", remedy
    )
    assert command is not None
    site.ok(*command[1].split())
    assert file.read_bytes() == whole
    site.ok("check")


def test_files_that_were_moved_away_are_told_and_no_problem(site: Site, api: MockApi) -> None:
    site.use(api, 1)
    site.sync()
    site.files()[0].unlink()
    assert "✓ files: 1 whole by their CRC-32, 1 moved away since" in site.ok("check").out


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 99, "entries": []}', b"\xff"])
def test_a_broken_ledger(site: Site, api: MockApi, text: bytes) -> None:
    site.use(api, 1)
    site.sync()
    (site.save / ".hauserpy" / "ledger.json").write_bytes(text)
    detail, remedy = failed(site, "ledger")
    assert "ledger.json" in detail
    assert "backup" in remedy or "Upgrade" in remedy


def test_a_ledger_that_cannot_be_opened(site: Site, api: MockApi) -> None:
    site.use(api, 1)
    (site.save / ".hauserpy" / "ledger.json").mkdir(parents=True)
    outcome = site.run("check")
    assert outcome.code == 8
    assert "✗ ledger: the ledger in" in outcome.out
    assert "Is a directory" in outcome.out


def test_hauser_has_run_since(site: Site, api: MockApi) -> None:
    site.use(api, 1)
    site.sync()
    (site.save / ".sync.hauser").write_text("2026-05-19T00:00:00Z")
    detail, _ = failed(site, "ledger")
    assert "the Go hauser has run since" in detail


def test_a_configuration_that_cannot_be_read(site: Site) -> None:
    site.configure("Provider = local\n")
    failed(site, "configuration")
    site.path.unlink()
    failed(site, "configuration")


def test_several_problems_are_all_told(
    site: Site, api: MockApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.token = "na1.other"
    site.use(api, 1)
    room(monkeypatch, 10**6)
    outcome = site.run("check")
    assert outcome.code == 8
    assert "2 problems found: token, disk." in outcome.err
