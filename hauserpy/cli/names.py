"""The commands: the module of each, and what it does in a line."""

from __future__ import annotations

from collections.abc import Iterable

COMMANDS = {
    "demo": ("demo", "The main job against the built-in mock API, into ./hauserpy-demo."),
    "sync": ("sync", "Load everything that is due, in order, and exit."),
    "backfill": ("backfill", "Load the missing windows of a span, or load them anew."),
    "skip": ("skip", "Give a window up, so that sync goes on."),
    "bundles": ("bundles", "What the API offers, and what of it is loaded."),
    "status": ("status", "Checkpoint, lag, gaps, totals and changes."),
    "check": ("check", "Try config, token, API and destination; leave nothing behind."),
    "config": ("config", "Write a commented configuration, or show what is in force."),
    "mock-api": ("mock_api", "Serve a mock of the export API on loopback."),
}


def named_in(arguments: Iterable[str]) -> str:
    """The command that a command line seems to name; empty when there is none."""
    return next((word for word in arguments if word in COMMANDS), "")
