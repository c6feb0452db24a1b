"""Fixtures of the tests of whole runs."""

from tests.cli.site import serve, site

__all__ = ["serve", "site"]
