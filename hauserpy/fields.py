"""The catalogue of Fullstory's export fields, and its reconciliation with a table's columns.

The facts come from Fullstory's Data Export and Segment Export pages; the order is that of the
columns that hauser 1.5.1 writes, then those that it misses, then the mobile ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from hauserpy.errors import DestinationRefused
from hauserpy.layout import Column, FieldType

CUSTOM_VARS = "CustomVars"
BUNDLE_START = "BundleStartTime"
EVENT_START = "EventStart"
PAGE_USER_AGENT = "PageUserAgent"
PAGE_AGENT = "PageAgent"
"""Generation 1's name of PageUserAgent: the two are one column, and yields to it in a record."""

WILDCARDS = ("user_*", "evt_*", "page_*")
"""How generation 2 is asked for custom variables."""

ONLY_GENERATION_1 = frozenset({"EventTargetSelectorTok"})
"""What generation 2 does not know, and might refuse when it is asked for it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the catalogue: ``name`` as the API spells it."""

    name: str
    type: FieldType
    mobile: bool = False


_TYPES = {
    "i": FieldType.INT64,
    "w": FieldType.INT32,
    "f": FieldType.FLOAT64,
    "s": FieldType.STRING,
    "t": FieldType.TIME,
    "c": FieldType.CUSTOM_VARS,
}

# hauser 1.5.1's 59 columns, in its order.
_HAUSER = """
IndvId i, UserId i, SessionId i, PageId i,
UserCreated t, UserAppKey s, UserDisplayName s, UserEmail s,
EventStart t, EventType s, EventSubType s, EventCustomName s,
EventTargetText s, EventTargetSelector s, EventPageOffset i, EventSessionOffset i,
EventModFrustrated i, EventModDead i, EventModError i, EventModSuspicious i,
EventVarErrorKind s, EventVarFields s, EventWebSourceFileUrl s,
EventFirstInputDelay i, EventCumulativeLayoutShift f,
SessionStart t,
PageName s, PageStart t, PageDuration i, PageActiveDuration i,
PageUrl s, PageRefererUrl s, PageIp s, PageLatLong s,
PageUserAgent s, PageBrowser s, PageBrowserVersion s,
PageDevice s, PagePlatform s, PageOperatingSystem s,
PageScreenWidth i, PageScreenHeight i, PageViewportWidth i, PageViewportHeight i,
PageNumEvents w, PageNumDerivedEvents w, PageNumInfos i, PageNumWarnings i, PageNumErrors i,
PageClusterId i, PageMaxScrollDepthPercent i,
LoadDomContentTime i, LoadEventTime i, LoadFirstPaintTime i, LoadLargestPaintTime i,
ReqUrl s, ReqMethod s, ReqStatus i,
CustomVars c
"""
_MISSED_BY_HAUSER = "EventTargetSelectorTok s, EventDuration i, EventSecondaryDuration i"
_MOBILE = """
AppName s, AppPackageName s, AppDeviceModel s, AppDeviceVendor s,
AppVersion s, AppOsVersion s, AppViewName s, EventMobileSourceFile s
"""


def _parse(text: str, mobile: bool = False) -> tuple[Field, ...]:
    pairs = (item.split() for item in text.split(","))
    return tuple(Field(name, _TYPES[kind], mobile) for name, kind in pairs)


_WEB = _parse(_HAUSER) + _parse(_MISSED_BY_HAUSER)


@cache
def catalogue(mobile: bool = False) -> tuple[Field, ...]:
    """Every known field with CustomVars among them; the mobile ones when ``mobile``."""
    return _WEB + _parse(_MOBILE, mobile=True) if mobile else _WEB


def request_fields(fields: Iterable[Field]) -> list[str]:
    """What to ask generation 2 for: known fields by name, custom variables by wildcard."""
    names = [f.name for f in fields if f.type is not FieldType.CUSTOM_VARS]
    return [*(name for name in names if name not in ONLY_GENERATION_1), *WILDCARDS]


def table_columns(fields: Sequence[Field], *, max_bytes: int | None = None) -> tuple[Column, ...]:
    """The columns of a new SQL table: the fields, then BundleStartTime."""
    made = [
        Column(
            f.name,
            f.name,
            f.type,
            max_bytes if f.type in (FieldType.STRING, FieldType.CUSTOM_VARS) else None,
        )
        for f in fields
    ]
    return (*made, Column(BUNDLE_START, BUNDLE_START, FieldType.WINDOW_START))


_EXPORTED = """
IndvId UserId SessionId PageId EventStart EventType
LoadDomContentTime LoadFirstPaintTime LoadEventTime LoadLargestPaintTime EventCumulativeLayoutShift
EventCustomName EventVarFields ReqUrl ReqMethod ReqStatus EventDuration EventSecondaryDuration
EventSubType EventTargetText EventFirstInputDelay EventTargetSelector EventTargetSelectorTok
EventVarErrorKind EventWebSourceFileUrl EventMobileSourceFile
EventModFrustrated EventModDead EventModError EventModSuspicious EventPageOffset EventSessionOffset
PageNumEvents PageNumDerivedEvents PageNumInfos PageNumWarnings PageNumErrors
PageMaxScrollDepthPercent
SessionStart PageStart PageDuration PageActiveDuration PageUrl PageRefererUrl PageIp PageLatLong
PageUserAgent PageBrowser PageDevice PageOperatingSystem PageScreenWidth PageScreenHeight
PageName PageBrowserVersion PagePlatform PageViewportWidth PageViewportHeight PageClusterId
AppName AppPackageName AppDeviceModel AppDeviceVendor AppVersion AppOsVersion AppViewName
UserAppKey UserDisplayName UserEmail UserCreated CustomVars BundleStartTime
"""


def as_exported(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns in about the order in which exports have their fields, for a format in which their
    order means nothing: so most members of a record stand where they are written, and are copied
    several at once."""
    place = {field: n for n, field in enumerate(_EXPORTED.split())}
    return tuple(sorted(columns, key=lambda column: place[column.field]))


def reconcile(
    wanted: Sequence[Column], existing: Sequence[Column], table: str
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Match wanted columns with a table's own, by name in any case.

    ``existing`` are the table's columns with the types that they can hold (``field`` is ignored; a
    column of a type that hauserpy does not know need not be listed unless its name is wanted).
    PageAgent in the table serves as PageUserAgent. Returns (columns to fill under the table's own
    names, columns to add). An existing column may be wider than wanted (int64 for int32), never of
    another type: DestinationRefused names every one that is.
    """
    by_name = {c.name.casefold(): c for c in existing}
    filled: list[Column] = []
    missing: list[Column] = []
    drifted: list[str] = []
    for column in wanted:
        found = by_name.get(column.name.casefold())
        if found is None and column.field == PAGE_USER_AGENT:
            found = by_name.get(PAGE_AGENT.casefold())
        if found is None:
            missing.append(column)
        elif not _holds(found.type, column.type):
            drifted.append(f"{found.name} is {found.type.value}, must be {column.type.value}")
        else:
            filled.append(Column(found.name, column.field, _narrower(found.type, column.type),
                                 found.max_bytes))  # fmt: skip
    if drifted:
        raise DestinationRefused(
            f"table {table} has columns of the wrong type: {'; '.join(drifted)}.",
            "Change or rename them, or choose another ExportTable; nothing was uploaded.",
        )
    return tuple(filled), tuple(missing)


def _holds(have: FieldType, want: FieldType) -> bool:
    if have is want:
        return True
    integers = (FieldType.INT64, FieldType.INT32)
    if have in integers and want in integers:
        return True
    if have is FieldType.STRING and want is FieldType.CUSTOM_VARS:
        return True
    return have is FieldType.TIME and want is FieldType.WINDOW_START


def _narrower(have: FieldType, want: FieldType) -> FieldType:
    return FieldType.INT32 if have is FieldType.INT32 else want
