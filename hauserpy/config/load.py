"""A file and the environment become settings: deprecated keys, defaults that depend, all checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hauserpy.config.checks import check, idle_as_usual, without_effect
from hauserpy.config.keys import BY_NAME, DAY, WAREHOUSES
from hauserpy.config.layers import (
    CONFIG_VARIABLE,
    Given,
    Layer,
    Refused,
    read_environment,
    read_file,
    settled,
)
from hauserpy.config.scopes import SECTIONS
from hauserpy.config.sections import ExportApi, Provider
from hauserpy.config.settings import Settings
from hauserpy.errors import ConfigError
from hauserpy.layout import StageFormat

DEFAULT_PATH = Path("config.toml")
SEGMENT_SIGNS = ("SegmentId", "ExportDuration", "ExportDelay")
"""Keys that only configuration files of hauser 1.x have."""
_BUNDLE_SIGNS = ("Warehouse", "ListExportLimit", "ExportURL", "s3.S3Only", "gcs.GCSOnly")
"""Keys that hauser 0.x had, and 1.x only takes."""


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of ``path``, with ``environ`` over it.

    Without a path, HAUSERPY_CONFIG names the file; without that, ``config.toml`` in the current
    folder is read if it is there. Warnings and notes are collected on the result.

    Raises ConfigError for a file that is named and cannot be read, for TOML that is none, unknown
    keys, values that are not allowed, and settings that contradict each other. What is not there
    at all (a token, a bucket) is for `Settings.require_token` and `require_destination`.
    """
    named = path or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    file: Layer = {}
    warnings: list[str] = []
    if named is not None or DEFAULT_PATH.exists():
        named = named or DEFAULT_PATH
        file, warnings = read_file(named)
    variables, unknown = read_environment(environ)
    warnings += unknown
    return _Resolution({**file, **variables}, named, warnings).settings()


class _Resolution:
    """The layers as they grow into settings; lives for one `load`."""

    def __init__(self, given: Layer, path: Path | None, warnings: list[str]) -> None:
        self.given = given
        self.path = path
        self.warnings = warnings
        self.deprecated: list[str] = []
        self.notes: list[str] = []
        self.api_is_default = False

    def settings(self) -> Settings:
        api = self._export_api()
        self._provider()
        self._replace_deprecated(api)
        effective = settled(self.given)
        made = _build(effective)
        self._refuse(made)
        made = replace(
            made,
            path=self.path,
            origins={name: one.origin for name, one in effective.items()},
        )
        given = list(self.given.values())
        self.warnings += check(made, effective)
        self.warnings += without_effect(made, given)
        self.notes += idle_as_usual(made, given)
        return replace(
            made,
            warnings=tuple(dict.fromkeys(self.warnings)),
            deprecated=tuple(self.deprecated),
            notes=tuple(self.notes),
            api_is_default=self.api_is_default,
        )

    def _refuse(self, made: Settings) -> None:
        """Raise for what an example left open in a section that is used."""
        for one in self.given.values():
            if isinstance(one.value, Refused) and SECTIONS[one.key.section].holds(made):
                raise one.value.error

    def _export_api(self) -> ExportApi:
        """The rule for files that do not say: those of hauser 1.x have keys that no older has."""
        stated = self._value("ExportApi")
        if stated is not None:
            return ExportApi(stated)
        url = self._value("ApiURL")
        path = urlsplit(url).path.strip("/") if url else None
        signs = [name for name in SEGMENT_SIGNS if name in self.given]
        older = any(name in self.given for name in _BUNDLE_SIGNS)
        if not signs and (path != "" or older):
            self.api_is_default = path is None and not older
            self.notes.append(
                'ExportApi is "bundles", the default; none of SegmentId, ExportDuration and'
                " ExportDelay is set."
            )
            return ExportApi.BUNDLES
        sign = self.given[signs[0] if signs else "ApiURL"]
        self.notes.append(
            f'ExportApi is "segments", inferred from {sign.key.full} ({sign.origin}), which hauser has'
            f" {'' if signs else 'without a path '}from 1.0 on."
        )
        key = BY_NAME["", "exportapi"]
        self.given["ExportApi"] = Given(key, ExportApi.SEGMENTS, "inferred", -1)
        return ExportApi.SEGMENTS

    def _provider(self) -> None:
        old = self.given.pop("Warehouse", None)
        if old is not None:
            provider = WAREHOUSES.get(str(old.value))
            stated = f' = "{provider}"' if provider else ""
            self._deprecated(old, f"write Provider{stated}")
            if provider is not None:
                self._put("Provider", provider, old)

    def _replace_deprecated(self, api: ExportApi) -> None:
        limit = self.given.pop("ListExportLimit", None)
        if limit is not None:
            self._deprecated(limit, "remove it; nothing takes its place")

        url = self.given.pop("ExportURL", None)
        if url is not None:
            self._deprecated(url, "write ApiURL")
            if api is ExportApi.BUNDLES:
                self._put("ApiURL", url.value, url)
            else:
                self.warnings.append(
                    f'ExportURL ({url.origin}) has no effect with ExportApi = "segments".'
                )

        by_day = self.given.pop("GroupFilesByDay", None)
        if by_day is not None:
            if not by_day.value:
                self._deprecated(by_day, "remove it")
            elif api is ExportApi.SEGMENTS:
                self._deprecated(by_day, 'write ExportDuration = "24h"')
                self._put("ExportDuration", DAY, by_day)
            else:
                # ExportDuration would make it the other API.
                without = 'it has no effect with ExportApi = "bundles": each bundle is one file'
                self.warnings.append(_of_deprecated(by_day, f"remove it; {without}"))

        for name, provider in (("s3.S3Only", Provider.AWS), ("gcs.GCSOnly", Provider.GCP)):
            only = self.given.pop(name, None)
            if only is not None:
                self._deprecated(only, "write StorageOnly at the top of the file")
                if only.value and self._value("Provider") is provider:
                    self._storage_only(only)

        self._start_time()
        self._save_as_json()

    def _storage_only(self, only: Given) -> None:
        """Either of the two makes it storage only, as in hauser; but a variable has the last word."""
        stated = self.given.get("StorageOnly")
        if stated is None or (not stated.value and stated.rank <= only.rank):
            self.given.pop("StorageOnly", None)
            self._put("StorageOnly", True, only)

    def _start_time(self) -> None:
        old = self.given.get("local.StartTime")
        if old is None or self._value("Provider") not in {None, Provider.LOCAL}:
            return
        self._deprecated(old, "write StartTime at the top of the file")
        if old.value is None:
            return
        use = self.given.get("local.UseStartTime")
        if use is not None and not use.value:
            self.warnings.append(
                f"local.StartTime ({old.origin}) has no effect with UseStartTime = false."
            )
            return
        stated = self.given.get("StartTime")
        if stated is not None and stated.value is None and stated.rank <= old.rank:
            del self.given["StartTime"]
        self._put("StartTime", old.value, old)

    def _save_as_json(self) -> None:
        old = self.given.get("SaveAsJson")
        if old is None or not old.value:
            return
        stated = self._value("Format")
        if stated not in {None, StageFormat.RAW}:
            raise ConfigError(
                f"SaveAsJson = true ({old.origin}) and Format ="
                f' "{stated}" ({self.given["Format"].origin}) contradict each other.',
                'Keep one; SaveAsJson = true means Format = "raw".',
            )
        self._put("Format", StageFormat.RAW, old)

    def _value(self, name: str) -> Any:
        """The value given for a key, None when there is none."""
        given = settled(self.given).get(name)
        return None if given is None else given.value

    def _put(self, name: str, value: object, old: Given) -> None:
        """Let a deprecated key speak for the new one, unless that is given on the same layer."""
        stated = settled(self.given).get(name)
        if stated is not None and stated.rank >= old.rank:
            if stated.value != value:
                self.warnings.append(
                    f"{old.key.full} ({old.origin}) is ignored, since {name} is set"
                    f" ({stated.origin})."
                )
            return
        key = BY_NAME["", name.lower()]
        self.given[name] = Given(key, value, f"{old.origin} ({old.key.full})", old.rank)

    def _deprecated(self, old: Given, remedy: str) -> None:
        self.deprecated.append(_of_deprecated(old, remedy))


def _of_deprecated(old: Given, remedy: str) -> str:
    return f"{old.key.full} ({old.origin}) is deprecated: {remedy}."


def _build(effective: Layer) -> Settings:
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for one in effective.values():
        if one.key.attribute:
            place = sections.setdefault(one.key.section, {}) if one.key.section else top
            place[one.key.attribute] = one.value
    base = Settings()
    for section, values in sections.items():
        top[section] = replace(getattr(base, section), **values)
    return Settings(**top)
