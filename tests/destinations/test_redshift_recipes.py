"""The README's queries for Redshift run, and find what they say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hauserpy.model import Window
from tests.destinations.redshift_world import World

README = Path(__file__).parents[2] / "README.md"


def recipes() -> list[str]:
    section = README.read_text().split("### Amazon Redshift", 1)[1].split("\n### ", 1)[0]
    queries = [q for q in re.findall(r"```sql\n(.*?)```", section, re.DOTALL) if "FROM full" in q]
    # SUPER navigation is Redshift's alone.
    return [q for q in queries if "enable_case_sensitive" not in q]


def test_the_recipes_find_rage_clicks_the_funnel_and_custom_variables(world: World) -> None:
    world.standin.sql("CREATE SCHEMA fullstory AUTHORIZATION hauser")
    destination, layout = world.ready(world.settings(database_schema="fullstory"))
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    where = Window(start, start + timedelta(hours=1))

    def event(user: int, minute: int, **fields: Any) -> dict[str, Any]:
        moment = (start + timedelta(minutes=minute)).isoformat()
        return {"UserId": user, "SessionId": 1, "EventStart": moment, **fields}

    seen = {"EventType": "navigate"}
    records = [
        event(1, 0, EventType="click", PageUrl="https://x/a?q=1", EventModFrustrated=0),
        event(1, 1, EventType="click", PageUrl="https://x/a?q=2", EventModFrustrated=3),
        event(2, 1, EventType="click", PageUrl="https://x/b", EventModFrustrated=0),
        event(1, 2, PageUrl="https://x/product/1", user_plan_str="gold", **seen),
        event(2, 2, PageUrl="https://x/product/1", user_plan_str="free", **seen),
        event(1, 3, PageUrl="https://x/cart", user_plan_str="gold", **seen),
        event(2, 1, PageUrl="https://x/cart", user_plan_str="free", **seen),
        event(1, 4, PageUrl="https://x/thanks", user_plan_str="gold", **seen),
        event(3, 4, PageUrl="https://x/home", user_plan_str="gold", **seen),
    ]
    world.load(destination, layout, 0, records, where=where)
    rage, funnel, plans = (world.as_user(query) for query in recipes())
    assert rage == [("https://x/a", 2, 1, 1)]
    assert funnel == [(2, 1, 1)]
    assert dict(plans) == {"gold": 2, "free": 1, None: 2}
