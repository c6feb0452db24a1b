"""What people do in a synthetic session: scripts whose records are rendered but for ids and times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import orjson

from hauserpy.mockapi import vocabulary as words

SCRIPTS = 500
PROFILES = 300
_ACCOUNTS = 12  # kinds of profile that differ in which fields they have
LONGEST = 15 * 60 * 1000
"""No session lasts longer, in milliseconds."""

PERSON = b"\x00"
"""Stands for the person's number in the text of a profile; JSON cannot hold it otherwise."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page view: when it begins, in ms of the session, and the text of its fields."""

    start: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Script:
    """One session. ``steps``: ms of the session, number of the page, text of the event's fields."""

    pages: tuple[Page, ...]
    steps: tuple[tuple[int, int, bytes], ...]
    size: int
    """Bytes of all that is rendered here, page fields repeated on each event."""


def render(fields: Mapping[str, Any], *, ascii: bool = False) -> bytes:
    """The fields as the inside of a JSON object; ``ascii`` as Go and others escape (``\\u0026``)."""
    if not ascii:
        return orjson.dumps(fields)[1:-1]
    text = json.dumps(fields, separators=(",", ":")).encode()
    for mark in (b"<", b">", b"&"):
        text = text.replace(mark, b"\\u%04x" % ord(mark))
    return text[1:-1]


@lru_cache(maxsize=4096)
def profile(seed: int, number: int) -> bytes:
    """The fields of a kind of person, with PERSON for the number of the person."""
    rng = Random(f"{seed}/profile/{number}")
    account = Random(f"{seed}/account/{number % _ACCOUNTS}")
    mark = "\x01"
    fields: dict[str, Any] = {}
    known = account.random()
    if known < 0.5:
        fields["UserAppKey"] = f"cust-{mark}"
        fields["UserEmail"] = f"customer{mark}@mail.example"
        fields["UserCreated"] = f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T09:30:00Z"
    elif known < 0.75:
        fields["UserAppKey"] = ""
        fields["UserEmail"] = ""
    fields["UserDisplayName"] = rng.choice(words.NAMES) or f"User {mark}"
    extra: dict[str, Any] = {
        "user_plan_str": rng.choice(("free", "plus", "größer", "business")),
        "user_seats_int": rng.randint(1, 400),
        "user_lifetimeValue_real": rng.choice((0, 12, 99.95, 1204.5)),
        "user_trial_bool": rng.random() < 0.3,
        "user_signedUp_date": f"2024-{rng.randint(1, 12):02}-11T00:00:00Z",
        "user_roles_strs": rng.sample(["buyer", "editor", "admin", "Gärtner"], 2),
        "user_visits_ints": [rng.randint(1, 9) for _ in range(3)],
        "user_scores_reals": [0.5, 1, round(rng.random(), 4)],
        "user_optIns_bools": [True, rng.random() < 0.5],
        "user_renewals_dates": ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"],
        "acct_adminDisabled_bool": rng.random() < 0.1,
        "acct_tier_str": rng.choice(("bronze", "silver", "gold\u2728")),
        "cartValue_real": round(rng.random() * 200, 2),
    }
    for name in account.sample(sorted(extra), account.randint(2, 4)):
        fields[name] = extra[name]
    return render(fields, ascii=rng.random() < 0.2).replace(b"\\u0001", PERSON)


@lru_cache(maxsize=4096)
def script(seed: int, number: int) -> Script:
    """The script of that number, the same for the same seed."""
    rng = Random(f"{seed}/script/{number}")
    draft = _Draft(rng)
    plot = rng.choices((_browse, _buy, _rage, _stumble, _search), weights=(40, 20, 12, 14, 14))[0]
    draft.visit(*rng.choice(words.PAGES))
    _browse(draft)
    if plot is not _browse:
        plot(draft)
    return draft.finish()


def _browse(draft: _Draft) -> None:
    rng = draft.rng
    for _ in range(rng.randint(1, 2)):
        draft.visit(*rng.choice(words.PAGES))
        for _ in range(rng.randint(1, 3)):
            draft.see()
            draft.click()
        good = rng.choice(words.GOODS)
        draft.visit(f"/shop/item/{good[0]}?ref=list&pos={rng.randint(1, 40)}", "Product")
        draft.custom("Product Viewed", good)
        if rng.random() < 0.6:
            draft.click(text=rng.choice(words.LONG), dead=rng.random() < 0.3)


def _buy(draft: _Draft) -> None:
    good = draft.rng.choice(words.GOODS)
    draft.click(text="Add to cart")
    draft.custom("Product Added", good)
    draft.visit("/cart", "Cart")
    draft.click(text="Checkout")
    draft.visit("/checkout?step=address", "Checkout")
    for _ in range(3):
        draft.event("change", target="input", EventTargetText=draft.rng.choice(words.REMARKS))
    draft.request(201, "/api/orders")
    draft.custom("Order Completed", good)


def _rage(draft: _Draft) -> None:
    label = draft.rng.choice(words.LABELS)
    for count in range(1, draft.rng.randint(4, 9)):
        draft.pause(60, 280)
        draft.event("click", target="button", EventTargetText=label, EventModFrustrated=count)
    draft.event("mouse-thrash", EventDuration=draft.rng.randint(700, 4000))
    if draft.rng.random() < 0.5:
        draft.event("abandon", EventDuration=draft.rng.randint(2000, 60000))


def _stumble(draft: _Draft) -> None:
    kind, text = draft.rng.choice(words.ERRORS)
    draft.request(500, "/api/cart/items")
    draft.errors += 1
    draft.event(
        "exception",
        EventSubType=kind,
        EventTargetText=text,
        EventVarErrorKind=kind,
        EventWebSourceFileUrl=f"{words.SITE}/static/cart.js?v=7",
    )
    draft.event("click", target="button", EventTargetText="Try again", EventModError=1)
    draft.extra["evt_message_str"] = text
    draft.extra["evt_code_str"] = "AC10\\XY2"
    draft.event("custom_error", EventCustomName="Something went wrong")


def _search(draft: _Draft) -> None:
    draft.visit("/search?q=sp%C3%A4te+%26+fr%C3%BChe", "Search results")
    draft.event("change", target="input.search", EventTargetText='grüner tee "bio"')
    if draft.rng.random() < 0.05:
        draft.event("change", target="input.search", EventTargetText="' OR 1=1 --",
                    EventModSuspicious=1)  # fmt: skip
    draft.see()
    draft.event("highlight", target="p", EventTargetText=draft.rng.choice(words.LONG))
    draft.click(dead=True)


_PAGE_FIELDS = (
    "PageName", "PageBrowserVersion", "PagePlatform", "PageViewportWidth", "PageViewportHeight",
    "PageClusterId", "page_category_str", "page_position_int", "page_score_real",
    "page_landing_bool", "page_published_date", "page_experiments_strs", "page_hero.variant_str",
)  # fmt: skip
_RUNNING = (
    "EventModFrustrated", "EventModDead", "EventModError", "EventModSuspicious",
    "EventPageOffset", "EventSessionOffset", "PageNumEvents", "PageNumDerivedEvents",
    "PageNumInfos", "PageNumWarnings", "PageNumErrors", "PageMaxScrollDepthPercent",
)  # fmt: skip
_GOOD_FIELDS = (
    "evt_product_id_str", "evt_name_str", "evt_price_real", "evt_quantity_int",
    "evt_inStock_bool", "evt_restocked_date", "evt_tags_strs", "evt_sizes_ints",
    "evt_prices_reals", "evt_flags_bools", "evt_reminders_dates", "evt_order.items_real",
    "evt_order.total_real", "evt_order.order_id_str", "evt_description_str", "evt_coupon_str",
)  # fmt: skip


class _Draft:
    """A script in the making; fields that belong to the whole page are known when it ends."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = 0
        self.errors = 0
        self.extra: dict[str, Any] = {}
        self._pages: list[tuple[int, dict[str, Any]]] = []
        self._steps: list[tuple[int, int, dict[str, Any]]] = []
        self._on_page = 0
        self._infos = rng.randint(0, 3)
        self._agent = rng.choice(words.AGENTS)
        self._place = rng.choice(words.PLACES)
        self._ip = f"203.0.113.{rng.randint(1, 254)}"
        self._referer = rng.choice(words.REFERERS)
        # Which fields are absent is settled a session: as in real data, shapes recur.
        self._filled = {name for name in _PAGE_FIELDS if rng.random() < 0.5}
        self._filled |= {name for name in _RUNNING if rng.random() < 0.8}
        self._bought = rng.sample(_GOOD_FIELDS, rng.randint(4, 8))

    def pause(self, least: int, most: int) -> None:
        self.now = min(self.now + self.rng.randint(least, most), LONGEST - 1)

    def visit(self, path: str, name: str) -> None:
        rng = self.rng
        self.pause(400, 6_000)
        agent, browser, version, device, platform, system, width, height = self._agent
        fields: dict[str, Any] = {
            "PageUrl": words.SITE + path,
            "PageRefererUrl": self._referer,
            "PageIp": self._ip,
            "PageLatLong": self._place,
            "PageAgent": agent,
            "PageBrowser": browser,
            "PageDevice": device,
            "PageOperatingSystem": system,
            "PageScreenWidth": width,
            "PageScreenHeight": height,
        }
        optional = {
            "PageName": name,
            "PageBrowserVersion": version,
            "PagePlatform": platform,
            "PageViewportWidth": width - rng.choice((0, 0, 17)),
            "PageViewportHeight": height - rng.randint(60, 180),
            "PageClusterId": rng.randint(1, 900),
            "page_category_str": rng.choice(("tea", "Gärten", "tools", "お茶")),
            "page_position_int": rng.randint(0, 40),
            "page_score_real": rng.choice((1, 0.25, round(rng.random(), 6))),
            "page_landing_bool": not self._pages,
            "page_published_date": "2026-02-03T08:00:00Z",
            "page_experiments_strs": ["new-cart", "hero-b"],
            "page_hero.variant_str": rng.choice(("a", "b", "c")),
        }
        fields |= {name: value for name, value in optional.items() if name in self._filled}
        self._referer = words.SITE + path
        self._pages.append((self.now, fields))
        self._on_page = 0
        self.event("navigate")
        if rng.random() < 0.8:
            dom = rng.randint(200, 2500)
            self.event(
                "load",
                LoadDomContentTime=dom,
                LoadFirstPaintTime=dom + rng.randint(5, 300),
                LoadEventTime=dom + rng.randint(300, 900),
                LoadLargestPaintTime=dom + rng.randint(100, 1500),
            )
        if rng.random() < 0.2:
            self.event("cls", EventCumulativeLayoutShift=round(rng.random() / 4, 6))

    def see(self) -> None:
        self.event(
            "seen", target="section", EventTargetText=self.rng.choice(words.LABELS + words.REMARKS)
        )

    def click(self, text: str | None = None, *, dead: bool = False) -> None:
        fields: dict[str, Any] = {
            "EventTargetText": text or self.rng.choice(words.LABELS + words.REMARKS)
        }
        if dead:
            fields["EventModDead"] = 1
        if self._on_page < 3:
            fields["EventFirstInputDelay"] = self.rng.randint(1, 90)
        self.event("click", target=self.rng.choice(("button", "a", "div.card")), **fields)

    def request(self, status: int, path: str) -> None:
        self.event("request", ReqUrl=words.SITE + path, ReqMethod="POST", ReqStatus=status,
                   EventDuration=self.rng.randint(20, 1800))  # fmt: skip

    def custom(self, name: str, good: tuple[str, str, float]) -> None:
        id, title, price = good
        rng = self.rng
        extra: dict[str, Any] = {
            "evt_product_id_str": id,
            "evt_name_str": title,
            "evt_price_real": price,
            "evt_quantity_int": rng.randint(1, 6),
            "evt_inStock_bool": rng.random() < 0.9,
            "evt_restocked_date": "2026-04-01T12:00:00.5Z",
            "evt_tags_strs": ["sale", "über\u00adgroß", 'say "hi"'],
            "evt_sizes_ints": [1, 2, 9007199254740993],
            "evt_prices_reals": [price, 0.1, 1e-7],
            "evt_flags_bools": [True, False],
            "evt_reminders_dates": ["2026-05-01T00:00:00Z"],
            "evt_order.items_real": rng.randint(1, 9),
            "evt_order.total_real": round(price * 3, 2),
            "evt_order.order_id_str": f"j{rng.getrandbits(36):x}",
            "evt_description_str": rng.choice(words.LONG),
            "evt_coupon_str": None,
        }
        for key in self._bought:
            self.extra[key] = extra[key]
        kinds = {key: key.rsplit("_", 1)[1] for key in self.extra}
        self.event("custom", EventCustomName=name, EventVarFields=json.dumps(kinds))

    def event(self, type: str, *, target: str | None = None, **fields: Any) -> None:
        self.pause(30, 9_000)
        rng = self.rng
        page = len(self._pages) - 1
        self._on_page += 1
        made: dict[str, Any] = {"EventType": type, **fields}
        if target is not None:
            trail = rng.sample(("main#app", "div.row.wide", "section.shop", "ul.list", "li:nth(3)"),
                               rng.randint(2, 4))  # fmt: skip
            selector = " > ".join(["html", "body", *trail, target])
            made["EventTargetSelector"] = selector
            made["EventTargetSelectorTok"] = selector.replace(" > ", " ").replace("-", "%2D")
        running = {
            "EventModFrustrated": 0,
            "EventModDead": 0,
            "EventModError": 0,
            "EventModSuspicious": 0,
            "EventPageOffset": self.now - self._pages[page][0],
            "EventSessionOffset": self.now,
            "PageNumEvents": self._on_page,
            "PageNumDerivedEvents": self._on_page // 3,
            "PageNumInfos": self._infos,
            "PageNumWarnings": self._on_page // 5,
            "PageNumErrors": self.errors,
            "PageMaxScrollDepthPercent": min(100, 7 * self._on_page),
        }
        for name, value in running.items():
            if name not in made and name in self._filled:
                made[name] = value
        if not self.extra and rng.random() < 0.15:
            self.extra["evt_note_str"] = rng.choice(words.REMARKS)
        self._steps.append((self.now, page, made | self.extra))
        self.extra = {}

    def finish(self) -> Script:
        pages = []
        for number, (start, fields) in enumerate(self._pages):
            stop = self._pages[number + 1][0] if number + 1 < len(self._pages) else self.now
            whole = {"PageDuration": stop - start, "PageActiveDuration": (stop - start) * 7 // 10}
            pages.append(Page(start, render(whole | fields)))
        steps = tuple(
            (moment, page, render(fields, ascii=self.rng.random() < 0.15) + b",")
            for moment, page, fields in self._steps
        )
        size = sum(len(text) + len(pages[page].text) for _, page, text in steps)
        return Script(tuple(pages), steps, size)
