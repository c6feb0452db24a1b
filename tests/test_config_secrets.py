"""Secrets: given out on purpose only."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from hauserpy.config import MASK, Header, RedshiftSettings, Secret, Settings, describe, load
from hauserpy.errors import ConfigError

TEXT = "na1.hunter2hunter2"


@pytest.fixture
def settings() -> Settings:
    return Settings(
        fs_api_token=Secret(TEXT),
        additional_http_header=(Header("X-Key", Secret(TEXT)),),
        redshift=RedshiftSettings(password=Secret(TEXT), credentials=Secret(TEXT)),
    )


def test_reveal_gives_the_text() -> None:
    assert Secret(TEXT).reveal() == TEXT


def test_nothing_else_does(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(TEXT)
    logging.getLogger("x").warning("%s %r", secret, settings)
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        f"{secret}",
        repr(settings),
        str(dataclasses.asdict(settings)),
        str(dataclasses.astuple(settings)),
        str(describe(settings)),
        caplog.text,
        repr(secret.__getstate__()),
        repr(copy.deepcopy(settings)),
        repr(copy.copy(secret)),
    ):
        assert TEXT not in text
        assert "hunter2" not in text
    assert TEXT.encode() not in pickle.dumps(settings)
    assert not hasattr(secret, "__dict__")


@profile(deadline=None)
@given(st.text())
def test_the_mask_tells_nothing_of_the_text(text: str) -> None:
    assert repr(Secret(text)) == repr(Secret("x"))
    assert str(Secret(text)) == MASK
    assert Secret(text).reveal() == text
    assert Secret(text) == Secret(text)
    assert hash(Secret(text)) == hash(Secret(text))
    assert Secret(text) != Secret(text + "x")


def test_json_refuses_it(settings: Settings) -> None:
    with pytest.raises(TypeError) as by_json:
        json.dumps({"a": Secret(TEXT)})
    with pytest.raises(TypeError) as by_orjson:
        orjson.dumps(settings)
    assert TEXT not in str(by_json.value) + str(by_orjson.value)


def test_settings_travel_to_a_worker_without_their_secrets(settings: Settings) -> None:
    arrived = pickle.loads(pickle.dumps(settings))
    assert arrived.backoff == settings.backoff
    assert arrived.fs_api_token is not None
    assert arrived.fs_api_token != settings.fs_api_token
    assert MASK in repr(arrived.fs_api_token)
    with pytest.raises(RuntimeError, match="does not travel"):
        arrived.fs_api_token.reveal()


def test_it_cannot_be_changed_and_is_no_string() -> None:
    secret = Secret(TEXT)
    with pytest.raises(AttributeError):
        secret._text = "x"
    with pytest.raises(AttributeError):
        del secret._text
    assert secret != TEXT
    assert bool(Secret("x"))
    assert not Secret("")


SECRET_FILES = [
    'FsApiToken = ["hunter2"]',
    'FsApiToken = "hunter2\\u0000"',
    "[redshift]\nPassword = { x = 'hunter2' }",
    '[redshift]\nCredentials = "hunter2\\u0000"',
    'AdditionalHttpHeader = [{Key = "X", Value = "hunter2\\n"}]',
    'AdditionalHttpHeader = [{Key = "X", Value = "hunter2", Other = "x"}]',
    'AdditionalHttpHeader = "X: hunter2"',
    'ApiURL = "https://me:hunter2@export.fullstory.com/api/v1"',
    'ApiURL = "https://hunter2@h/"',
    'ApiURL = "http://me:hun/hunter2@h/"',
    '[s3]\nEndpoint = "https://me:hunter2@minio/"',
    'FsApiToken = "x"\nfsapitoken = "hunter2"',
    'FsApiTokn = "hunter2"',
    '[redshift]\nPasword = "hunter2"',
    'FsApiToken = "hunter2',
    'FsApiToken = hunter2"',
    '[redshift]\nPassword = "hunter2"\nCredentials = "hunter2"\nIamRole = "default"',
]


@pytest.mark.parametrize("text", SECRET_FILES)
def test_no_error_and_no_traceback_shows_a_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    assert "hunter2" not in repr(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2" not in repr(chain)
        chain = chain.__context__


@pytest.mark.parametrize(
    "environ",
    [
        {"HAUSERPY_ADDITIONALHTTPHEADER": '[{"Key": "X", "Value": "hunter2"'},
        {"HAUSERPY_ADDITIONALHTTPHEADER": '{"X": "hunter2"}'},
        {"FULLSTORY_API_TOKEN": "hunter2\0"},
        {"HAUSERPY_APIURL": "https://me:hunter2@h"},
    ],
)
def test_no_error_about_a_variable_shows_a_secret(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert next(iter(environ)) in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('FsApiToken = "hunter2"', "FsApiToken"),
        ('[redshift]\nPassword = "hunter2"', "redshift.Password"),
        ('AdditionalHttpHeader = [{Key = "X", Value = "hunter2"}]', "AdditionalHttpHeader"),
    ],
)
def test_a_file_with_a_secret_that_others_can_read_is_warned_about(
    tmp_path: Path, text: str, named: str, mode: int
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    path.chmod(mode)
    warnings = [w for w in load(path, {}).warnings if "chmod 600" in w]
    assert len(warnings) == 1
    assert f"holds {named}" in warnings[0]
    assert f"mode {mode:04o}" in warnings[0]
    assert "hunter2" not in warnings[0]
    path.chmod(0o600)
    assert not [w for w in load(path, {}).warnings if "chmod" in w]


@pytest.mark.parametrize("text", ["", 'FsApiToken = ""', 'FsApiToken = "<your token>"'])
def test_a_file_without_a_secret_may_be_read_by_all(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    path.chmod(0o644)
    assert load(path, {"FULLSTORY_API_TOKEN": "x"}).warnings == ()
