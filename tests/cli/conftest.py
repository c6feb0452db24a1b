"""Fixtures of the command line's tests."""

from tests.cli.place import place
from tests.cli.site import serve, site

__all__ = ["place", "serve", "site"]
