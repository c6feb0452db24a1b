"""`hauserpy mock-api`: serve the mock export API until told to stop."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path

import click

from hauserpy.errors import ConfigError
from hauserpy.mockapi.faults import FAULT_HELP

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

_EPILOG = "Faults:\n\n" + "\n\n".join(f"\b\n{paragraph}" for paragraph in FAULT_HELP.split("\n\n"))


@click.command("mock-api", epilog=_EPILOG)
@click.option("--port", default=8126, show_default=True, help="Port on 127.0.0.1; 0: any free one.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Serve these events instead of synthetic ones: JSON arrays, gzipped or not.",
)
@click.option("--bundles", default=3, show_default=True, help="How many synthetic bundles.")
@click.option("--events", default=200, show_default=True, help="Records in each of them.")
@click.option(
    "--bundle-bytes", metavar="SIZE", help="JSON text in each, in place of --events: 2GB."
)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same events.")
@click.option("--window", default="24h", show_default=True, help="Length of a bundle's window.")
@click.option("--token", help="The API key to require; na1.mock when not given.")
@click.option(
    "--fault", "faults", multiple=True, metavar="SPEC", help="What goes wrong; see below."
)
def mock_api(
    port: int,
    data: tuple[Path, ...],
    bundles: int,
    events: int,
    bundle_bytes: str | None,
    seed: int,
    window: str,
    token: str | None,
    faults: tuple[str, ...],
) -> None:
    """Serve both generations of the export API on this machine, from files or synthetic.

    Prints the configuration that points hauserpy at it, then serves until Ctrl-C. Needs no network
    and no Fullstory account. The API key is no secret: it guards nothing.
    """
    from hauserpy.config.durations import parse_duration
    from hauserpy.mockapi.api import DEFAULT_KEY, MockApi

    for name, value, most in (
        ("--bundles", bundles, 100_000),
        ("--events", events, 10**9),
        ("--port", port, 65_535),
    ):
        if not 0 <= value <= most:
            raise ConfigError(f"{name} {value} is out of range.", f"Give 0 to {most}.")
    try:
        length = parse_duration(window)
    except ValueError as error:
        raise ConfigError(f"--window {window!r}: {error}.", "Write it as 24h or 30m.") from error
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with MockApi(
            bundles=bundles,
            events=events,
            bundle_bytes=_size(bundle_bytes),
            seed=seed,
            data=data,
            window=length,
            token=token or DEFAULT_KEY,
            port=port,
            faults=faults,
        ) as api:
            offered = api.bundles
            click.echo(f"# {api.url} serves {len(offered)} bundles; Ctrl-C stops it.")
            click.echo(api.config("bundles"))
            click.echo("# Or, with generation 2 of the API:")
            click.echo("".join(f"# {line}\n" for line in api.config("segments").splitlines()))
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"--bundle-bytes {text!r} is no size.", "Write it as 500MB or 2GB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])
