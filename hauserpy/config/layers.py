"""What was given, before it becomes settings: one layer from the file, one from the environment."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hauserpy.config.keys import BY_NAME, KEYS, Key
from hauserpy.config.kinds import UNSET
from hauserpy.config.names import Unfit, is_placeholder
from hauserpy.config.scopes import SECTIONS
from hauserpy.config.secret import Secret
from hauserpy.errors import ConfigError

CONFIG_VARIABLE = "HAUSERPY_CONFIG"
API_KEY_VARIABLE = "FULLSTORY_API_TOKEN"
PREFIX = "HAUSERPY_"


@dataclass(frozen=True, slots=True)
class Given:
    """A key's value as it was read, and where: ``file config.toml``, ``environment HAUSERPY_…``.

    ``rank`` orders the layers: what comes from the environment (1) goes over the file (0).
    """

    key: Key
    value: Any
    origin: str
    rank: int


Layer = dict[str, Given]
"""By the key's full name."""


@dataclass(frozen=True, slots=True)
class Refused:
    """In place of a value: why it cannot be used, if its section is used at all."""

    error: ConfigError


def read_value(key: Key, value: object, origin: str, rank: int) -> Given:
    """Raises ConfigError that names key, value (masked when it is secret), place and remedy.

    In a section, what an example left open (``""``, ``<your table>``) is `Refused` instead: files
    of hauser are full of sections that their owners never filled in.
    """
    reason = ""
    try:
        return Given(key, key.kind.read(value), origin, rank)
    except Unfit as error:
        reason = str(error)
    # Made outside of the handler, so that no chained traceback shows the value.
    refusal = ConfigError(
        f"{key.full} = {key.kind.quote(value)} ({origin}) is refused: {reason}.",
        f"{key.doc} Allowed: {key.kind.allowed}.",
    )
    is_open = isinstance(value, str) and (not value or is_placeholder(value))
    if is_open and key.section and not key.instead:
        return Given(key, Refused(refusal), origin, rank)
    raise refusal


def read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the configuration file {path} cannot be read ({error.strerror or error}).",
            "Name another one with --config or HAUSERPY_CONFIG, or make one with"
            " `hauserpy config init`.",
        ) from None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        place = f"line {line}"
    raise ConfigError(f"{path} is not UTF-8 ({place}).", "Save it as UTF-8, as TOML asks for.")


def read_file(path: Path) -> tuple[Layer, list[str]]:
    """What a file gives, and the warnings about it.

    Raises ConfigError: not there, not TOML (with line and column), unknown keys (with the nearest
    known one), a key twice in different spellings, bad values.
    """
    text = read_text(path)
    problem = ""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = max(1, len(text.splitlines()))
        problem = str(error).replace("at end of document", f"at line {last}, the last")
        problem = problem.replace("Illegal character '\\n'", "a string does not end on its line")
    except ValueError:
        # Python's own limit on the digits of an integer, which tomllib passes on.
        problem = "a number in it is too long"
    except RecursionError:
        problem = "it is nested too deeply"
    if problem:
        raise ConfigError(
            f"{path} is not valid TOML: {problem}.", "Mend that line; strings need quotes."
        )

    origin = f"file {path}"
    layer: Layer = {}
    for name, value in _once(document, "", path).items():
        section = name.lower()
        if section in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{name} in {path} is a section, not a key.", f"Write it as [{section}]."
                )
            for inner, one in _once(value, section, path).items():
                _add(layer, section, inner, one, path, origin)
        else:
            _add(layer, "", name, value, path, origin)
    warnings = [
        f"{given.key.full} in {path} has no time zone and is taken as UTC (hauser takes the"
        " machine's own zone). Write it with a Z or an offset."
        for given in layer.values()
        if isinstance(given.value, datetime) and _zoneless(document, given.key)
    ]
    return layer, warnings + _readable_by_others(path, layer)


def _once(table: Mapping[str, Any], section: str, path: Path) -> Mapping[str, Any]:
    """The table, in which no name occurs twice in different spellings."""
    seen: dict[str, str] = {}
    for name in table:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            where = f"[{section}] of {path}" if section else str(path)
            raise ConfigError(
                f"{where} has both {other} and {name}, which are the same key.", "Keep one."
            )
    return table


def _add(layer: Layer, section: str, name: str, value: object, path: Path, origin: str) -> None:
    key = BY_NAME.get((section, name.lower()))
    if key is None:
        raise _unknown(section, name, path, table=isinstance(value, dict))
    layer[key.full] = read_value(key, value, origin, 0)


def _unknown(section: str, name: str, path: Path, *, table: bool) -> ConfigError:
    where = f"in [{section}] of {path}" if section else f"in {path}"
    what = f"the section [{name}]" if table and not section else f"the key {name}"
    reason = f"{what} {where} is unknown."
    homes = [key for key in KEYS if key.name.lower() == name.lower()]
    if homes and not table:
        places = " or ".join(
            f"in [{key.section}]" if key.section else "at the top, above the first [section]"
            for key in homes
        )
        return ConfigError(reason, f"{homes[0].name} belongs {places}.")
    if table and not section:
        return ConfigError(reason, _nearest(name, SECTIONS, "[{}]") or _sections())
    here = [key.name for key in KEYS if key.section == section and not key.instead]
    hint = _nearest(name, here, "{}")
    if not hint:
        elsewhere = {key.name.lower(): key for key in KEYS if not key.instead}
        near = get_close_matches(name.lower(), elsewhere, n=1, cutoff=0.8)
        if near and elsewhere[near[0]].section:
            key = elsewhere[near[0]]
            hint = f"Did you mean {key.name} in [{key.section}]?"
        elif near:
            hint = f"Did you mean {elsewhere[near[0]].name}, at the top of the file?"
    return ConfigError(reason, hint or f"The keys there are {', '.join(here)}.")


def _sections() -> str:
    return f"The sections are {', '.join(f'[{name}]' for name in SECTIONS)}."


def _nearest(name: str, known: Iterable[str], form: str) -> str:
    words = {word.lower(): word for word in known}
    plain = name.lower().replace("_", "").replace("-", "")
    near = get_close_matches(plain, words, n=1)
    return f"Did you mean {form.format(words[near[0]])}?" if near else ""


def _zoneless(document: Mapping[str, Any], key: Key) -> bool:
    table: Any = document
    for wanted in [*([key.section] if key.section else []), key.name]:
        table = next(value for name, value in table.items() if name.lower() == wanted.lower())
    return isinstance(table, datetime) and table.tzinfo is None


def _readable_by_others(path: Path, layer: Layer) -> list[str]:
    secrets = [
        given.key.full for given in layer.values() if given.key.kind.secret and _holds(given.value)
    ]
    try:
        found = path.stat()
    except OSError:
        return []
    mode = stat.S_IMODE(found.st_mode)
    if not secrets or not stat.S_ISREG(found.st_mode) or not mode & 0o077:
        return []
    names = " and ".join(secrets)
    reason = f"{path} holds {names}, and other users may read it (mode {mode:04o})."
    return [f"{reason} Run: chmod 600 {path}"]


def _holds(value: object) -> bool:
    if isinstance(value, Secret):
        return not is_placeholder(value.reveal())
    return bool(value)


def read_environment(environ: Mapping[str, str]) -> tuple[Layer, list[str]]:
    """What variables give, and warnings for those with our prefix that are no key.

    An empty variable counts as not set, as hauser has it for its token.
    """
    layer: Layer = {}
    warnings: list[str] = []
    token = environ.get(API_KEY_VARIABLE, "")
    if token.strip():
        origin = f"environment {API_KEY_VARIABLE}"
        layer["FsApiToken"] = read_value(BY_NAME["", "fsapitoken"], token, origin, 1)
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if not environ[variable]:
            continue
        key = _key_of(variable)
        if key is None:
            warnings.append(_unknown_variable(variable))
            continue
        origin = f"environment {variable}"
        given = read_value(key, key.kind.from_text(environ[variable]), origin, 1)
        before = layer.get(key.full)
        if before is not None and before.value != given.value:
            raise ConfigError(
                f"{before.origin.split()[1]} and {variable} both set {key.full}, and differ.",
                "Unset one of them.",
            )
        layer[key.full] = given
    return layer, warnings


def _key_of(variable: str) -> Key | None:
    section, found, name = variable.removeprefix(PREFIX).partition("__")
    if not found:
        section, name = "", section
    return BY_NAME.get((section.replace("_", "").lower(), name.replace("_", "").lower()))


def _unknown_variable(variable: str) -> str:
    known = [key.variable for key in KEYS if not key.instead] + [CONFIG_VARIABLE]
    section, found, name = variable.partition("__")
    plain = PREFIX + section.removeprefix(PREFIX).replace("_", "") + found + name.replace("_", "")
    near = get_close_matches(plain.upper(), known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"the environment variable {variable} is no key, and has no effect.{hint}"


def settled(layer: Layer) -> Layer:
    """Without the values that say no more than that the default holds, and those refused."""
    return {
        name: given
        for name, given in layer.items()
        if given.value is not UNSET and not isinstance(given.value, Refused)
    }
