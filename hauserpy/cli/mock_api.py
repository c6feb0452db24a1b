"""`hauserpy mock-api`: serve the mock export API until told to stop."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauserpy.cli.common import Whole, command
from hauserpy.cli.console import Console
from hauserpy.cli.options import Common
from hauserpy.cli.stopping import handled_by
from hauserpy.errors import ConfigError
from hauserpy.mockapi.faults import FAULT_HELP

if TYPE_CHECKING:
    from hauserpy.mockapi.api import MockApi
    from hauserpy.mockapi.server import Request

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

_EPILOG = "Faults:\n\n" + "\n\n".join(f"\b\n{paragraph}" for paragraph in FAULT_HELP.split("\n\n"))


@command("mock-api", epilog=_EPILOG)
@click.option(
    "--port",
    type=Whole(0, 65_535),
    metavar="N",
    default=8126,
    show_default=True,
    help="Port on 127.0.0.1; 0: any free one.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Serve these events instead of synthetic ones: JSON arrays, gzipped or not.",
)
@click.option(
    "--bundles",
    type=Whole(0, 100_000),
    metavar="N",
    default=3,
    show_default=True,
    help="How many synthetic bundles.",
)
@click.option(
    "--events",
    type=Whole(0, 10**9),
    metavar="N",
    default=200,
    show_default=True,
    help="Records in each of them.",
)
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
    common: Common,
    *,
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
    and no Fullstory account. The API key is no secret: it guards nothing. With -v each request is
    told on stderr; with -q the configuration comes without comments.
    """
    from hauserpy.config.durations import parse_duration
    from hauserpy.mockapi.api import DEFAULT_KEY, MockApi

    console = Console(common)
    if common.config_path is not None:
        console.warning("mock-api reads no configuration; -c has no effect.")
    try:
        length = parse_duration(window)
    except ValueError as error:
        raise ConfigError(f"--window {window!r}: {error}.", "Write it as 24h or 30m.") from error
    stop = threading.Event()
    with (
        handled_by(lambda *_: stop.set()),
        MockApi(
            bundles=bundles,
            events=events,
            bundle_bytes=_size(bundle_bytes),
            seed=seed,
            data=data,
            window=length,
            token=token or DEFAULT_KEY,
            port=port,
            faults=faults,
            heard=lambda request: console.detail(_told(request)),
        ) as api,
    ):
        click.echo(_printed(api, bare=common.quiet))
        stop.wait()


def _printed(api: MockApi, *, bare: bool) -> str:
    """The configuration, and unless it is ``bare`` what else there is to say, as comments."""
    if bare:
        return api.config("bundles").rstrip("\n")
    count = len(api.bundles)
    other = "".join(f"# {line}\n" for line in api.config("segments").splitlines())
    return (
        f"# {api.url} serves {count} {'bundle' if count == 1 else 'bundles'}; Ctrl-C stops it.\n"
        f"{api.config('bundles')}\n# Or, with generation 2 of the API:\n{other}"
    )


def _told(request: Request) -> str:
    """A request in one line: ``list: GET /api/v1/export/list?start=0 answered with 200``."""
    answered = f"answered with {request.status}" if request.status else "not answered, by a fault"
    return f"{request.endpoint or 'nothing'}: {request.method} {request.raw_target} {answered}"


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"--bundle-bytes {text!r} is no size.", "Write it as 500MB or 2GB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])
