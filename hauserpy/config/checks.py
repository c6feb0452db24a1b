"""Settings seen together: contradictions are errors, keys without effect are warnings."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from hauserpy.config.layers import Given, Layer
from hauserpy.config.scopes import SECTIONS
from hauserpy.config.sections import ExportApi, Provider
from hauserpy.config.settings import Settings
from hauserpy.config.urls import is_loopback
from hauserpy.errors import ConfigError
from hauserpy.layout import StageFormat


def check(settings: Settings, effective: Layer) -> list[str]:
    """Warnings; raises ConfigError where two settings contradict each other."""
    if not settings.keeps_files and settings.format in {StageFormat.RAW, StageFormat.PARQUET}:
        raise ConfigError(
            f'Format = "{settings.format}" ({effective["Format"].origin}) cannot be loaded into a'
            " warehouse.",
            "Set StorageOnly = true to keep files, or leave Format and SaveAsJson out.",
        )
    redshift = settings.redshift
    _one_of(redshift.credentials, redshift.iam_role, "redshift.Credentials", "redshift.IamRole")
    _one_of(
        redshift.cluster_identifier,
        redshift.workgroup,
        "redshift.ClusterIdentifier",
        "redshift.Workgroup",
    )
    _different(redshift.export_table, redshift.sync_table, "redshift")
    _different(settings.bigquery.export_table, settings.bigquery.sync_table, "bigquery")
    if settings.plans_from_start and settings.start_time is None:
        raise ConfigError(
            f"local.UseStartTime ({effective['local.UseStartTime'].origin}) is true, but there is no"
            " StartTime.",
            "Set StartTime at the top of the file, or UseStartTime = false.",
        )
    return [*_about_the_api(settings), *_about_endpoints(settings)]


def _one_of(first: object, second: object, one: str, other: str) -> None:
    if first and second:
        raise ConfigError(f"both {one} and {other} are set.", "Keep the one that you mean.")


def _different(export_table: str, sync_table: str, section: str) -> None:
    """The three small tables are named after SyncTable; none may be the table of the events."""
    small = {f"{sync_table}{suffix}".casefold() for suffix in ("", "_ledger", "_lock")}
    if export_table.casefold() in small:
        raise ConfigError(
            f'{section}.ExportTable = "{export_table}" is also a table of SyncTable ='
            f' "{sync_table}", which uses that name and those with _ledger and _lock behind it.',
            "Give one of the two another name.",
        )


def _about_the_api(settings: Settings) -> list[str]:
    path = urlsplit(settings.api_url).path
    stated = f'ApiURL = "{settings.api_url}"'
    warnings = []
    if settings.export_api is ExportApi.BUNDLES and not path:
        warnings.append(
            f'{stated} has no path, and ExportApi = "bundles" asks {settings.api_url}/export/list.'
            ' Add /api/v1, or set ExportApi = "segments" if that is what you mean.'
        )
    if settings.export_api is ExportApi.SEGMENTS and path.endswith("/api/v1"):
        warnings.append(
            f'{stated} looks like that of ExportApi = "bundles", but ExportApi is "segments".'
        )
    return warnings


def _about_endpoints(settings: Settings) -> list[str]:
    warnings = []
    for section in ("s3", "gcs", "bigquery"):
        endpoint = getattr(settings, section).endpoint
        if not endpoint or not SECTIONS[section].holds(settings):
            continue
        parts = urlsplit(endpoint)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            warnings.append(
                f'{section}.Endpoint = "{endpoint}" is plain http to another machine: events cross'
                " the network in the clear."
            )
    return warnings


def idle_as_usual(settings: Settings, given: Sequence[Given]) -> list[str]:
    """Notes of what the chosen provider leaves idle in any of the Go hauser's files: they have all
    of its sections, and StorageOnly."""
    first = {one.key.section: one for one in reversed(given) if one.key.section}
    notes = [
        f"[{section}] ({one.origin}) has no effect {SECTIONS[section].without(settings)}."
        for section, one in reversed(first.items())
        if not SECTIONS[section].holds(settings)
    ]
    stated = next((one for one in given if one.key.full == "StorageOnly"), None)
    if stated is not None and settings.provider is Provider.LOCAL and not stated.value:
        notes.append(
            f'StorageOnly = false ({stated.origin}) has no effect with Provider = "local", which'
            " always keeps files."
        )
    return notes


def without_effect(settings: Settings, given: Sequence[Given]) -> list[str]:
    """One warning for each key that the chosen API, provider or format leaves idle, of those in
    sections that are used."""
    return [
        f"{one.key.full} ({one.origin}) has no effect {one.key.scope.without(settings)}."
        for one in given
        if not one.key.scope.holds(settings)
        and (not one.key.section or SECTIONS[one.key.section].holds(settings))
    ]
