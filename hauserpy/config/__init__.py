"""TOML and environment to typed settings; secrets that cannot be printed."""

from __future__ import annotations

from hauserpy.config.secret import MASK, Secret
from hauserpy.config.settings import (
    API_URLS,
    BigQuerySettings,
    ExportApi,
    GcsSettings,
    Header,
    LocalSettings,
    Provider,
    RedshiftSettings,
    S3Settings,
    Settings,
)

__all__ = [
    "API_URLS",
    "MASK",
    "BigQuerySettings",
    "ExportApi",
    "GcsSettings",
    "Header",
    "LocalSettings",
    "Provider",
    "RedshiftSettings",
    "S3Settings",
    "Secret",
    "Settings",
]
