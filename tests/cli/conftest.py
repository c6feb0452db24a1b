"""Fixtures of the command line's tests."""

from tests.cli.site import serve, site

__all__ = ["serve", "site"]
