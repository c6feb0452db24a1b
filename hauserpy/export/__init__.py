"""The export API in its two generations, behind one `Source`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hauserpy.export.source import Body, BundleTooSlow, Source
from hauserpy.waiting import Timing, Waiter

if TYPE_CHECKING:
    from hauserpy.config import Settings
    from hauserpy.fields import Field
    from hauserpy.model import Bundle

__all__ = ["Body", "BundleTooSlow", "Source", "Timing", "Waiter", "open_source"]


def open_source(
    settings: Settings,
    fields: Sequence[Field],
    *,
    timing: Timing | None = None,
    preparing: Callable[[Bundle, int | None], None] | None = None,
) -> Source:
    """The source that ``ExportApi`` names. Asks the API nothing yet.

    ``fields`` are those of the catalogue that are wanted; generation 2 asks for them by name.
    ``timing`` is the clock and the sleep; a `Waiter` as its sleep lets a signal end every wait.
    ``preparing`` is told now and then how far generation 2's export of a bundle has come, in per
    cent, or None when the API does not say.

    Raises ConfigError for a URL, a token or a header that cannot be used.
    """
    # requests is imported when it is used: `hauserpy --help` needs none of it.
    from hauserpy.config import ExportApi

    if settings.export_api is ExportApi.SEGMENTS:
        from hauserpy.export.segments import Segments

        return Segments(settings, fields, timing=timing, preparing=preparing)
    from hauserpy.export.bundles import Bundles

    return Bundles(settings, timing=timing)
