"""What the commands say on stderr, where settings may come from, and what `--help` costs."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import sys
from typing import Any

import pytest

from hauserpy.cli.group import run
from hauserpy.mockapi import MockApi
from hauserpy.mockapi.faults import KINDS
from tests.cli.site import Outcome, Serve, Site, bodies, event, window

DAYS = [window("2026-05-01", "2026-05-02"), window("2026-05-02", "2026-05-03")]
EVENTS = [{**event(d.start, n), "UserEmail": "a\0"} for n, d in enumerate(DAYS)]
TWO_DAYS = bodies(DAYS, EVENTS)


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    """stderr as objects; every line must be one."""
    found = [json.loads(line) for line in outcome.err.splitlines()]
    for one in found:
        assert {"time", "level", "message"} <= set(one)
        assert one["level"] in {"debug", "info", "warning", "error"}
        assert one["time"].endswith("Z")
    return found


# --log-format json


def test_every_line_is_an_object_whatever_happens(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS, faults=["create:429", "poll:500", "download:cut@50%"])
    site.at("2026-05-04")
    site.use(
        api, 2, 'Backoff = "1ms"', 'ExportDuration = "24h"', "ListExportLimit = 1",
        start="2026-05-01",
    )  # fmt: skip
    told = lines(site.ok("-v", "--log-format", "json", "sync"))
    assert {one["level"] for one in told} == {"debug", "info", "warning"}
    loads = [one for one in told if "load" in one]
    assert [one["bundle"] for one in loads] == ["1777593600-1777680000", "1777680000-1777766400"]
    assert [one["records"] for one in loads] == [1, 1]
    assert [one["changes"] for one in loads] == [{"nul_removed": {"UserEmail": 1}}] * 2
    assert any(one["message"].endswith("fetching") for one in told)


@pytest.mark.parametrize(
    "command",
    [
        ["sync"], ["backfill", "--since", "2026-05-01"], ["status"], ["bundles"], ["check"],
        ["skip", "--since", "2026-05-01", "--until", "2026-05-02", "--reason", "x"],
    ],
    ids=lambda c: c[0],
)  # fmt: skip
@pytest.mark.parametrize("broken", ["ledger", "configuration"])
def test_errors_of_every_command_are_objects_too(
    site: Site, serve: Serve, command: list[str], broken: str
) -> None:
    site.use(serve(bodies=TWO_DAYS), 1)
    site.sync()
    if broken == "ledger":
        (site.save / ".hauserpy" / "ledger.json").write_text("")
    else:
        site.configure("Provider = 7\n")
    outcome = site.run(*command, "--log-format", "json")
    check = command == ["check"]
    expected = 8 if check else 10 if broken == "ledger" else 2
    assert outcome.code == expected
    error = lines(outcome)[-1]
    assert (error["level"], error["code"]) == ("error", expected)
    assert error["kind"] in {"CheckFailed", "LedgerUnreadable", "ConfigError"}


@pytest.mark.parametrize("quiet", [False, True])
def test_the_word_on_a_signal_is_an_object_as_well(site: Site, quiet: bool) -> None:
    with MockApi(bodies=TWO_DAYS, polls=10**9) as api:
        site.use(api, 2, start="2026-05-01")
        options = ["--log-format", "json", *(["-q"] if quiet else [])]
        process = site.start("sync", *options)
        try:
            while not api.requests_to("poll"):
                assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    told = lines(Outcome(process.returncode, out, err))
    said = [one["message"] for one in told]
    assert told[-1]["kind"] == "Interrupted"
    assert told[-1]["code"] == process.returncode == 143
    assert any(text.startswith("stopping after the load in hand") for text in said) != quiet
    assert len(told) == 1 or not quiet


# -q and -v


def test_quiet_says_nothing_but_warnings_and_errors(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS)
    site.use(api, 1)
    outcome = site.ok("-q", "sync")
    assert (outcome.out, outcome.err) == ("", "")
    assert site.ok("sync", "-q").out == ""
    site.use(api, 1, "GroupFilesByDay = true")
    outcome = site.ok("sync", "-q")
    assert outcome.out == ""
    assert outcome.err == (
        f"hauserpy: warning: GroupFilesByDay (file {site.path}) is deprecated: remove it; it has no"
        ' effect with ExportApi = "bundles": each bundle is one file.\n'
    )
    assert site.run("sync", "-q", "--json").json["ok"] is True, "what is asked for is data"


def test_quiet_says_nothing_of_deprecated_keys_that_do_what_they_say(
    site: Site, serve: Serve
) -> None:
    site.use(serve(bodies=TWO_DAYS), 1, "ListExportLimit = 3")
    assert site.ok("sync", "-q").err == "", "cron would send it each time"
    assert site.ok("sync").err == (
        f"hauserpy: warning: ListExportLimit (file {site.path}) is deprecated: remove it; nothing"
        " takes its place.\n"
    )


def test_verbose_says_more_than_the_usual(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS)
    site.at("2026-05-04")
    daily = 'ExportDuration = "24h"'
    site.use(api, 2, daily, start="2026-05-01")
    usual = site.ok("sync")
    site.save = site.folder / "again"
    site.use(api, 2, daily, start="2026-05-01")
    more = site.ok("sync", "-v")
    assert len(usual.err.splitlines()) == 2, "a line for each bundle"
    assert set(usual.err.splitlines()) < set(more.err.splitlines())
    assert "fetching" in more.err
    assert "loading" in more.err
    assert usual.out.splitlines()[1:] == more.out.splitlines()[1:]


def test_the_progress_of_an_export_is_shown(site: Site, serve: Serve) -> None:
    api = serve(bodies=TWO_DAYS, polls=3)
    site.at("2026-05-03")
    site.use(api, 2, 'ExportDuration = "24h"', start="2026-05-01")
    err = site.ok("sync", "-v").err
    shares = [line for line in err.splitlines() if "the API is making the export" in line]
    assert [line.rpartition(", ")[2] for line in shares] == ["25 % done", "50 % done", "75 % done"]


# Settings


def test_every_setting_may_come_from_the_environment_which_wins(
    site: Site, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve(bodies=TWO_DAYS, token="na1.from-the-environment")
    site.use(api, 2, 'ExportDuration = "1h"', 'Format = "jsonl"', start="2026-05-02")
    site.configure(site.path.read_text().replace(api.token, "na1.stale"))
    site.at("2026-05-04")
    other = site.folder / "elsewhere"
    for name, value in {
        "FULLSTORY_API_TOKEN": api.token,
        "HAUSERPY_EXPORTDURATION": "24h",
        "HAUSERPY_STARTTIME": "2026-05-01",
        "HAUSERPY_FORMAT": "csv",
        "HAUSERPY_FILE_PREFIX": "ev-",
        "HAUSERPY_LOCAL__SAVEDIR": str(other),
        "HAUSERPY_ADDITIONALHTTPHEADER": '[{"Key": "X-From", "Value": "environment"}]',
    }.items():
        monkeypatch.setenv(name, value)
    outcome = site.ok("sync")
    site.save = other
    assert [p.name for p in site.files()] == ["ev-1777593600.csv", "ev-1777680000.csv"]
    assert api.requests_to("create")[0].headers["x-from"] == "environment"
    assert "stale" not in outcome.err


def test_the_environment_alone_is_enough(
    site: Site, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = serve(bodies=TWO_DAYS)
    monkeypatch.setenv("FULLSTORY_API_TOKEN", api.token)
    monkeypatch.setenv("HAUSERPY_APIURL", api.url)
    monkeypatch.setenv("HAUSERPY_TMPDIR", str(site.tmp))
    assert run(["sync"]) == 0
    assert "loaded 2 bundles" in capsys.readouterr().out
    assert site.numbers() == [0, 1]


def test_a_variable_that_is_no_key_is_warned_about(
    site: Site, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.use(serve(bodies=TWO_DAYS), 1)
    monkeypatch.setenv("HAUSERPY_SAVEDIRR", "x")
    assert "HAUSERPY_SAVEDIRR is no key, and has no effect" in site.ok("sync").err


@pytest.mark.parametrize(
    ("arguments", "command", "reason"),
    [
        (["sync", "--json", "--nope"], "sync", "--nope"),
        (["backfill", "--json"], "backfill", "--since"),
        (["bundles", "--since", "2026-02-30", "--json"], "bundles", "there is no such time"),
        (["sync", "--watch", "--json"], "sync", "--watch"),
        (["skip", "--since", "2026-05-02", "--until", "2026-05-01", "--reason", "x", "--json"],
         "skip", "must be later"),
        (["config", "show", "extra", "--json"], "config show", "extra"),
        (["snyc", "--json"], "", "Did you mean sync?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("log", [[], ["--log-format", "json"], ["--log-format=json"]])
def test_a_wrong_command_line_is_told_in_json_too(
    site: Site, arguments: list[str], command: str, reason: str, log: list[str]
) -> None:
    outcome = site.run(*arguments, *log)
    assert outcome.code == 2
    told = outcome.json
    assert list(told) == ["command", "ok", "exit_code", "error"]
    assert (told["command"], told["ok"], told["exit_code"]) == (command, False, 2)
    assert told["error"]["kind"] == "ConfigError"
    assert reason in told["error"]["reason"]
    assert told["error"]["instruction"] == f"See `{f'hauserpy {command}'.strip()} --help`."
    if log:
        (line,) = lines(outcome)
        assert (line["level"], line["code"]) == ("error", 2)
    else:
        assert "Error: " in outcome.err


def test_a_long_wait_is_told_once(site: Site, serve: Serve) -> None:
    faults = ["create:429,retry-after=50", "create:slow-operation=12", "download:500"]
    site.at("2026-05-04")
    site.use(serve(bodies=TWO_DAYS, faults=faults), 2, 'ExportDuration = "24h"', start="2026-05-01")
    told = site.ok("sync", "--max-bundles", "1").err.splitlines()
    window = "the export of 2026-05-01T00:00:00Z \u2013 2026-05-02T00:00:00Z"
    assert re.fullmatch(f"hauserpy: {window}: waiting (50|4[0-9]) s, as the API asks", told[0])
    assert told[1] == f"hauserpy: {window}: the API is still making it"
    assert "try 2 of 8 in " in told[2]
    assert told[3].startswith("hauserpy: loaded ")
    assert len(told) == 4


def test_quiet_and_verbose_at_once_make_no_sense(site: Site) -> None:
    for arguments in (["-q", "-v", "sync"], ["-q", "sync", "-v"], ["sync", "-qv"]):
        outcome = site.run(*arguments)
        assert outcome.code == 2
        assert "-q and -v" in outcome.err


def test_a_bug_is_told_in_json_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.configure('FsApiToken = "x"\n')
    monkeypatch.setattr("hauserpy.cli.status.read_ledger", lambda _: 1 // 0)
    outcome = site.run("status", "--json")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    told = outcome.json
    assert (told["command"], told["ok"], told["exit_code"]) == ("status", False, 1)
    assert told["error"]["reason"].startswith("unexpected ZeroDivisionError: ")


def test_json_begins_alike_for_every_command(site: Site, serve: Serve) -> None:
    site.use(serve(bodies=TWO_DAYS), 1)
    span = ["--since", "2026-05-01", "--until", "2026-05-02"]
    for command in (
        ["sync"], ["backfill", *span], ["skip", *span, "--reason", "x"], ["bundles"], ["status"],
        ["check"], ["config", "show"],
    ):  # fmt: skip
        for good, code in ((True, 0), (False, 8 if command == ["check"] else 2)):
            before = site.path.read_text()
            if not good:
                site.configure("Provider = 7\n")
            outcome = site.run(*command, "--json")
            site.configure(before)
            assert outcome.code == code
            head = dict(list(outcome.json.items())[:4])
            error = head.pop("error")
            name = " ".join(command[:2]) if command[0] == "config" else command[0]
            assert head == {"command": name, "ok": good, "exit_code": code}
            assert (error is None) == good
            assert error is None or set(error) == {"kind", "reason", "instruction"}


# --help

HEAVY = (
    "requests", "urllib3", "boto3", "botocore", "google", "psycopg2", "pyarrow", "isal", "orjson",
    "rich", "tenacity", "filelock", "hauserpy.config", "hauserpy.destinations", "hauserpy.export",
    "hauserpy.engine", "hauserpy.mockapi",
)  # fmt: skip


def modules_after(*arguments: str) -> set[str]:
    """What a fresh interpreter has imported after that command line."""
    program = (
        "import sys\n"
        "from hauserpy.cli.group import run\n"
        f"assert run({list(arguments)!r}) == 0\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_and_version_import_no_sdk_and_nothing_heavy(arguments: list[str]) -> None:
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print('\\n'.join(sys.modules))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    imported = modules_after(*arguments) - set(before.stdout.split())
    assert "hauserpy.cli.group" in imported
    assert not [m for m in imported if m in HEAVY or m.startswith(tuple(f"{h}." for h in HEAVY))]


@pytest.mark.parametrize(
    "command", ["sync", "backfill", "skip", "bundles", "status", "check", "config", "demo"]
)
def test_the_help_of_a_command_imports_no_sdk(command: str) -> None:
    imported = modules_after(command, "--help")
    sdks = ("requests", "boto3", "botocore", "google.cloud", "psycopg2", "pyarrow", "rich")
    assert not [m for m in imported if m in sdks or m.startswith(tuple(f"{h}." for h in sdks))]


def test_a_local_sync_imports_no_sdk_of_a_warehouse(site: Site) -> None:
    with MockApi(bodies=TWO_DAYS) as api:
        site.use(api, 1)
        imported = modules_after("-q", "-c", str(site.path), "sync")
    sdks = ("boto3", "botocore", "google.cloud", "psycopg2", "pyarrow")
    assert not [m for m in imported if m in sdks or m.startswith(tuple(f"{h}." for h in sdks))]
    assert site.numbers() == [0, 1]


def test_help_takes_little_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "hauserpy", "--help"], check=True, capture_output=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # CPU, not time: what else the machine does is no matter. The SDKs alone would take more.
    assert used < 1.0


def test_the_mock_s_help_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mock-api", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(kind in out for kind in KINDS)
