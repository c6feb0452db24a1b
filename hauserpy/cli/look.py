"""What `status` and `bundles` need: the destination's ledger, read and nothing else."""

from __future__ import annotations

from hauserpy.cli.inforce import settings_to_run
from hauserpy.cli.options import Common
from hauserpy.cli.run import now
from hauserpy.config import Settings
from hauserpy.destinations import open_destination
from hauserpy.ledger import Ledger


def read_ledger(common: Common) -> tuple[Settings, str, Ledger]:
    """(settings, the destination's name, its ledger). Touches nothing."""
    settings = settings_to_run(common)
    destination = open_destination(settings)
    try:
        ledger = destination.ledger()
    finally:
        destination.close()
    ledger.refuse_future(now(), destination.name)
    return settings, destination.name, ledger
