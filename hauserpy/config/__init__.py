"""TOML and environment to typed settings; secrets that cannot be printed."""

from __future__ import annotations

from hauserpy.config.durations import format_duration, parse_duration
from hauserpy.config.load import load
from hauserpy.config.moments import MOMENTS, parse_moment
from hauserpy.config.secret import MASK, Secret
from hauserpy.config.sections import (
    BigQuerySettings,
    ExportApi,
    GcsSettings,
    Header,
    LocalSettings,
    Provider,
    RedshiftSettings,
    S3Settings,
    split_bucket,
)
from hauserpy.config.settings import API_URLS, Settings
from hauserpy.config.show import Row, describe, example_text
from hauserpy.config.urls import is_loopback, reaches_loopback

__all__ = [
    "API_URLS",
    "MASK",
    "MOMENTS",
    "BigQuerySettings",
    "ExportApi",
    "GcsSettings",
    "Header",
    "LocalSettings",
    "Provider",
    "RedshiftSettings",
    "Row",
    "S3Settings",
    "Secret",
    "Settings",
    "describe",
    "example_text",
    "format_duration",
    "is_loopback",
    "load",
    "parse_duration",
    "parse_moment",
    "reaches_loopback",
    "split_bucket",
]
