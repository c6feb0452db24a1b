"""Tables on Redshift are made, extended and taken over from the Go hauser, never bent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hauserpy.config import RedshiftSettings, Settings
from hauserpy.destinations.redshift import Redshift
from hauserpy.entries import EntryKind
from hauserpy.errors import (
    ConfigError,
    DestinationRefused,
    HauserHasRun,
    LedgerMoved,
    LedgerUnreadable,
)
from hauserpy.fields import catalogue
from hauserpy.layout import CustomVarsKind
from hauserpy.ledger import BASELINE_LOAD, steps_for
from hauserpy.model import BEGINNING, Bundle, Window
from tests.bundles import kinds
from tests.destinations.redshift_world import DAY, World, events, expected_texts, window

# The 34 columns of hauser 1.x's table on Redshift, as the catalog shows them.
HAUSER = """
    eventcustomname varchar(max), eventstart timestamp, eventtype varchar(max),
    eventtargettext varchar(max), eventtargetselectortok varchar(max), eventmodfrustrated bigint,
    eventmoddead bigint, eventmoderror bigint, eventmodsuspicious bigint, indvid bigint,
    pageclusterid bigint, pageurl varchar(max), pageduration bigint, pageactiveduration bigint,
    pagerefererurl varchar(max), pagelatlong varchar(max), pageagent varchar(max),
    pageip varchar(max), pagebrowser varchar(max), pagedevice varchar(max),
    pageoperatingsystem varchar(max), pagenuminfos bigint, pagenumwarnings bigint,
    pagenumerrors bigint, sessionid bigint, pageid bigint, userappkey varchar(max),
    useremail varchar(max), userdisplayname varchar(max), userid bigint, customvars varchar(max),
    loaddomcontenttime bigint, loadfirstpainttime bigint, loadeventtime bigint
""".replace("varchar(max)", "varchar(65535)")


def columns(world: World, table: str = "fsexport") -> dict[str, str]:
    return dict(
        world.standin.sql(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0",
            table,
        )
    )


def owned(world: World, sql: str) -> None:
    """As the user's own doing, so that the user owns what is made."""
    world.standin.sql(f"SET ROLE hauser; {sql}; RESET ROLE")


@pytest.fixture
def hauser(world: World) -> World:
    """What hauser leaves behind: three windows, their sync rows with ID -1, and of a fourth window
    rows without a sync row, since it crashed between its two transactions."""
    owned(world, f"CREATE TABLE fsexport ({HAUSER})")
    owned(world, "CREATE TABLE fssync (id bigint, processed timestamp, bundleendtime timestamp)")
    for number in range(4):
        for record in events(number):
            world.standin.sql(
                "INSERT INTO fsexport (eventstart, eventtargettext, customvars)"
                " VALUES (%s, %s, '{}')",
                record["EventStart"][:19],
                f"hauser {record['EventTargetText']}",
            )
        if number < 3:
            stop = window(number).stop.replace(tzinfo=None)
            world.standin.sql("INSERT INTO fssync VALUES (-1, now(), %s)", stop)
    return world


def left(*numbers: int) -> list[str]:
    return sorted(f"hauser {text}" for text in expected_texts(*numbers))


def test_a_new_table_has_the_types_of_the_catalogue(world: World) -> None:
    world.ready(world.settings(var_char_max=1000))
    made = columns(world)
    assert len(made) == len(catalogue()) + 1
    assert made["indvid"] == "bigint"
    assert made["pagenumevents"] == "integer"
    assert made["eventcumulativelayoutshift"] == "double precision"
    assert made["eventstart"] == made["bundlestarttime"] == "timestamp without time zone"
    assert made["pageurl"] == made["customvars"] == "character varying(1000)"
    (create,) = [s for s in world.standin.log if "CREATE TABLE" in s and "fsexport" in s]
    assert create.endswith("SORTKEY (eventstart)") and "ENCODE" not in create
    assert columns(world, "fssync") == {
        "id": "bigint",
        "processed": "timestamp without time zone",
        "bundleendtime": "timestamp without time zone",
    }


def test_hauser_is_continued_and_its_crash_is_repaired(hauser: World) -> None:
    world = hauser
    before = world.ledger()
    assert [(e.kind, e.window, e.load) for e in before.entries] == [
        (EntryKind.HAUSER, Window(BEGINNING, window(2).stop), BASELINE_LOAD)
    ]
    assert before.checkpoint == window(2).stop
    assert len(columns(world)) == 34

    destination, layout = world.ready()
    assert world.ledger() == before
    world.load(destination, layout, 3)
    assert world.texts() == sorted(left(0, 1, 2) + expected_texts(3))
    ledger = world.ledger()
    assert [e.kind for e in ledger.entries] == ["hauser", "sync"]
    assert ledger.checkpoint == window(3).stop
    assert [i for i, _ in world.sync_rows()] == [-1, -1, -1, int(window(3).start.timestamp())]
    adds = [s for s in world.standin.log if s.startswith("ALTER")]
    assert len(adds) == len(catalogue()) + 1 - 34 and all(s.count("ADD COLUMN") == 1 for s in adds)
    assert "pageuseragent" not in columns(world) and "pageagent" in columns(world)


def test_backfill_can_replace_part_of_what_hauser_loaded(hauser: World) -> None:
    world = hauser
    destination, layout = world.ready()
    world.load(destination, layout, 1, events(1, tag="b"), kind=EntryKind.BACKFILL)
    assert world.texts() == sorted(left(0, 2, 3) + expected_texts(1, tag="b"))
    ledger = world.ledger()
    assert [(e.kind, e.window.start, e.window.stop) for e in ledger.entries] == [
        ("hauser", BEGINNING, window(1).start),
        ("backfill", window(1).start, window(1).stop),
        ("hauser", window(1).stop, window(2).stop),
    ]
    assert ledger.checkpoint == window(2).stop
    assert len(world.sync_rows()) == 3
    world.load(destination, layout, 1, events(1, tag="c"), kind=EntryKind.BACKFILL)
    world.load(destination, layout, 3)
    assert world.texts() == sorted(left(0, 2) + expected_texts(1, tag="c") + expected_texts(3))


def test_a_clipped_bundle_replaces_only_its_own_part(hauser: World) -> None:
    world = hauser
    destination, layout = world.ready()
    whole = Bundle("7", window(2, hours=3))
    (step,) = steps_for(destination.ledger(), whole)
    assert step.window == window(3, hours=2) and step.clip is not None
    records = [r for number in (2, 3, 4) for r in events(number)]
    staged = world.staged(layout, step.window, records, step.clip)
    destination.load(
        world.entry(step.window, staged),
        staged.parts,
        expected=step.expected,
        checkpoint=step.window.stop,
    )
    assert world.texts() == sorted(left(0, 1, 2) + expected_texts(3, 4))


def test_a_later_run_of_hauser_stops_ours(hauser: World) -> None:
    world = hauser
    destination, layout = world.ready()
    world.load(destination, layout, 3)
    stop = window(4).stop.replace(tzinfo=None)
    world.standin.sql("INSERT INTO fssync VALUES (-1, now(), %s)", stop)
    with pytest.raises(HauserHasRun, match="fssync"):
        destination.ledger()
    staged = world.staged(layout, window(4), events(4))
    with pytest.raises(HauserHasRun):
        destination.load(
            world.entry(window(4), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    with pytest.raises(HauserHasRun):
        destination.advance(window(4).stop, expected=frozenset())


def test_hauser_meeting_our_first_backfill_is_noticed_too(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0, kind=EntryKind.BACKFILL)
    stop = window(4).stop.replace(tzinfo=None)
    world.standin.sql("INSERT INTO fssync VALUES (-1, now(), %s)", stop)
    with pytest.raises(HauserHasRun):
        destination.ledger()


def test_what_hauser_reads_of_us_is_what_it_wrote_itself(hauser: World) -> None:
    world = hauser
    destination, layout = world.ready()
    world.load(destination, layout, 3)
    ((last,),) = world.standin.sql("SELECT max(BundleEndTime) FROM fssync")
    assert last == window(3).stop.replace(tzinfo=None)
    ((later,),) = world.standin.sql("SELECT count(*) FROM fsexport WHERE eventstart > %s", last)
    assert later == 0


def test_a_crash_of_hauser_before_its_first_checkpoint_is_repaired(hauser: World) -> None:
    world = hauser
    world.standin.sql("TRUNCATE fssync")
    destination, layout = world.ready()
    assert destination.ledger().entries == ()
    for number in range(4):
        world.load(destination, layout, number)
    assert world.texts() == expected_texts(0, 1, 2, 3)


def test_the_users_own_columns_stay_and_are_null(world: World) -> None:
    owned(
        world,
        f"CREATE TABLE fsexport ({HAUSER}, team varchar(10), seen date NOT NULL DEFAULT now())",
    )
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    assert world.standin.sql("SELECT DISTINCT team, seen IS NULL FROM fsexport") == [(None, False)]
    assert "team" not in {c.name for c in layout.columns}


def test_a_column_of_the_users_own_that_cannot_be_null_is_refused(world: World) -> None:
    owned(world, f"CREATE TABLE fsexport ({HAUSER}, team varchar(10) NOT NULL)")
    with pytest.raises(DestinationRefused, match="team"):
        world.ready()


@pytest.mark.parametrize(
    ("drift", "told"),
    [
        ("eventstart varchar(100)", "eventstart is string, must be time"),
        ("userid varchar(100)", "userid is string, must be int64"),
        ("pageurl bigint", "pageurl is int64, must be string"),
        ("customvars bigint", "customvars is int64"),
        ("userid boolean", "userid is boolean"),
        ("pageurl character(20)", "pageurl is character"),
        ("pageagent numeric(18,0)", "pageagent is numeric"),
        # It holds half the digits of a double, and would lose the others without a word.
        ("eventcumulativelayoutshift real", "eventcumulativelayoutshift is real"),
    ],
)
def test_a_column_of_the_wrong_type_is_refused_before_anything_is_changed(
    world: World, drift: str, told: str
) -> None:
    owned(world, f"CREATE TABLE fsexport ({drift}, mine int)")
    with pytest.raises(DestinationRefused, match=told):
        world.ready()
    assert len(columns(world)) == 2
    assert not [s for s in world.standin.log if s.startswith("COPY")]


def test_an_existing_columns_own_length_bounds_its_text(world: World) -> None:
    owned(
        world, "CREATE TABLE fsexport (pageurl varchar(10), userid integer, eventstart timestamptz)"
    )
    destination, layout = world.ready()
    lengths = {c.field: c.max_bytes for c in layout.columns}
    assert lengths["PageUrl"] == 10 and lengths["PageIp"] == 65535
    record = {"PageUrl": "é" * 8, "UserId": 2**40, "EventStart": "2026-11-01T02:00:00+02:00"}
    stored = world.load(destination, layout, 0, [{"EventTargetText": "x", **record}])
    assert world.standin.sql("SELECT pageurl, userid, eventstart, customvars FROM fsexport") == [
        ("é" * 5, None, DAY, '{"UserId":1099511627776}')
    ]
    assert kinds(stored.changes) == {"text_cut": 1, "unfit": 1}


def test_mobile_fields_are_columns_when_they_are_asked_for(world: World) -> None:
    destination = world.destination()
    destination.prepare(catalogue())
    assert "appname" not in columns(world)
    destination.prepare(catalogue(mobile=True))
    assert columns(world)["appname"] == "character varying(65535)"


def test_hostile_text_arrives_as_it_is(world: World) -> None:
    texts = [
        r"\N", r"\000", r"\0", "", " ", '"', '""', "'", "a,b", "a\nb", "a\r\nb", "\r", "\t", "\\",
        "ends in \\", "\u2028", "NULL", "null", "🙂", "\x01", "%s %(x)s %", "'; drop table fsexport",
        "a\0b", "\ud83d cut", " leading and trailing ",
    ]  # fmt: skip
    destination, layout = world.ready()
    records: list[dict[str, Any]] = [
        {"UserId": n, "EventTargetText": t} for n, t in enumerate(texts)
    ]
    records.append({"UserId": len(texts)})
    world.load(destination, layout, 0, records)
    found = world.standin.sql("SELECT eventtargettext FROM fsexport ORDER BY userid")
    wanted = [t.replace("\0", "").replace("\ud83d", "\ufffd") for t in texts]
    assert [t for (t,) in found] == [*wanted, None]


def test_text_that_is_too_long_is_cut_between_characters_and_counted(world: World) -> None:
    destination, layout = world.ready()
    long = "🙂" * 17_500
    record = {"EventTargetText": long, "evt_note_str": long, "evt_n_int": 12345678901234567890}
    stored = world.load(destination, layout, 0, [record])
    ((text, size, custom),) = world.standin.sql(
        "SELECT eventtargettext, octet_length(eventtargettext), customvars::json FROM fsexport"
    )
    assert text == "🙂" * 16_383 and size == 65_532
    assert custom["evt_n_int"] == 12345678901234567890
    assert set(custom["evt_note_str"]) == {"🙂"}
    assert kinds(stored.changes) == {"custom_vars_cut": 1, "text_cut": 1}


def test_custom_variables_in_a_super_column(world: World) -> None:
    destination, layout = world.ready(world.settings(custom_vars_type="super"))
    assert columns(world)["customvars"] == "super"
    assert layout.custom_vars is CustomVarsKind.TYPED
    assert layout.custom_value_bytes == 65_535
    record = {
        "EventTargetText": "x",
        "user_plan_str": 'go"ld',
        "evt_big_int": 10**40 + 1,
        "evt_sum_real": 0.1,
        "evt_tags_strs": ["a", "b\nc"],
        "evt_note_str": "é" * 40_000,
        "evt_none": None,
    }
    stored = world.load(destination, layout, 0, [record])
    ((custom,),) = world.standin.sql("SELECT customvars FROM fsexport")
    assert custom["user_plan_str"] == 'go"ld'
    assert custom["evt_big_int"] == str(10**40 + 1)
    assert custom["evt_tags_strs"] == ["a", "b\nc"] and custom["evt_none"] is None
    assert len(custom["evt_note_str"].encode()) <= 65_535
    assert kinds(stored.changes) == {"custom_vars_cut": 1, "number_as_text": 1}


def test_the_type_of_an_existing_column_wins_over_the_setting(world: World) -> None:
    world.ready()
    _, layout = world.ready(world.settings(custom_vars_type="super"))
    assert layout.custom_vars is CustomVarsKind.TEXT and layout.custom_value_bytes is None
    assert columns(world)["customvars"].startswith("character varying")


def test_a_schema_of_ones_own(world: World) -> None:
    owned(world, "SELECT 1")
    world.standin.sql("CREATE SCHEMA analytics AUTHORIZATION hauser")
    destination, layout = world.ready(
        world.settings(database_schema="Analytics", export_table="FsExport", sync_table="FsSync")
    )
    world.load(destination, layout, 0)
    assert world.texts("analytics.fsexport") == expected_texts(0)
    where = f"{world.standin.host}:{world.standin.port}"
    assert destination.name == f"redshift {world.standin.database}.analytics.fsexport at {where}"
    with pytest.raises(ConfigError, match="nosuch"):
        world.ready(world.settings(database_schema="nosuch"))


def test_the_search_path_leads_to_the_schema(world: World) -> None:
    world.standin.sql("CREATE SCHEMA hauser AUTHORIZATION hauser")
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    assert world.texts("hauser.fsexport") == expected_texts(0)


@pytest.mark.parametrize("key", ["export_table", "sync_table", "database_schema"])
@pytest.mark.parametrize("name", ["x; drop table y", 'x"y', "", "1x", "x" * 128, "a.b", "x\0"])
def test_hostile_names_are_refused(key: str, name: str) -> None:
    with pytest.raises(ConfigError):
        Redshift(Settings(redshift=RedshiftSettings(**{key: name})))


def test_a_view_is_not_written_to(world: World) -> None:
    owned(world, "CREATE VIEW fsexport AS SELECT 1 AS a")
    with pytest.raises(DestinationRefused, match="not a table"):
        world.ready()


def test_a_sync_table_that_is_something_else_is_refused(world: World) -> None:
    owned(world, "CREATE TABLE fssync (a int)")
    with pytest.raises(DestinationRefused, match="BundleEndTime"):
        world.ready()


@pytest.mark.parametrize("kind", ["date", "varchar(30)"])
def test_a_sync_table_with_another_type_of_time_is_refused(world: World, kind: str) -> None:
    owned(world, f"CREATE TABLE fssync (id bigint, processed timestamp, bundleendtime {kind})")
    with pytest.raises(DestinationRefused, match=r"BundleEndTime that is no TIMESTAMP, but "):
        world.ready()
    with pytest.raises(DestinationRefused):
        world.ledger()
    failed = [c for c in world.destination().checks() if not c.ok]
    assert [c.name for c in failed] == ["Redshift tables"]


def test_a_ledger_that_has_lost_a_column_is_not_read(world: World) -> None:
    destination, layout = world.ready()
    world.load(destination, layout, 0)
    owned(world, "ALTER TABLE fssync_ledger DROP COLUMN version")
    with pytest.raises(LedgerUnreadable, match="lost the columns Version"):
        world.ledger()


def test_two_runs_may_prepare_at_once(
    world: World, together: Callable[[list[Callable[[], object]]], list[object]]
) -> None:
    layouts = together([lambda: world.ready()[1] for _ in range(4)])
    assert all(layout == layouts[0] for layout in layouts)


def test_a_run_with_an_older_look_at_the_table_still_loads(world: World) -> None:
    destination, layout = world.ready()
    world.destination().prepare(catalogue(mobile=True))
    world.load(destination, layout, 0)
    assert world.texts() == expected_texts(0)


def test_a_window_cut_out_of_the_baseline_is_compared_by_load_ids(hauser: World) -> None:
    world = hauser
    destination, layout = world.ready()
    staged = world.staged(layout, window(1), events(1))
    with pytest.raises(LedgerMoved):
        destination.load(
            world.entry(window(1), staged), staged.parts, expected=frozenset(), checkpoint=None
        )
    assert world.texts() == left(0, 1, 2, 3)
