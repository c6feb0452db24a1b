"""Two configurations at one SaveDir, as whoever set them up sees it."""

from __future__ import annotations

import json

import pytest

from tests.cli.place import Place, names


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync",), ("sync", "--dry-run"), ("backfill", "--since", "2026-09-01"), ("status",),
        ("bundles",),
        ("skip", "--since", "2026-09-01", "--until", "2026-09-02", "--reason", "x"),
    ],
)  # fmt: skip
def test_the_second_is_refused_by_each_command(place: Place, arguments: tuple[str, ...]) -> None:
    place.run("sync", "--max-bundles", "1")
    before = place.ledger()
    place.configure(FilePrefix='"shop_"')
    told = place.run(*arguments, code=2).err
    assert 'ledger of FilePrefix "", and the configuration says "shop_"' in told
    assert "SaveDir" in told and "ledger.json" in told
    assert place.ledger() == before and place.names() == names(0)


def test_check_tells_the_second(place: Place) -> None:
    place.run("sync")
    place.configure(FilePrefix='"shop_"')
    told = json.loads(place.run("check", "--json", code=8).out)
    (found,) = [c for c in told["checks"] if not c["ok"]]
    assert found["name"] == "ledger" and "FilePrefix" in found["detail"]
    assert "of its own" in found["remedy"]


def test_who_means_it_takes_the_scope_out_and_goes_on(place: Place) -> None:
    place.run("sync", "--max-bundles", "1")
    document = place.ledger()
    assert document.pop("scope") == {"SegmentId": "everyone", "FilePrefix": ""}
    (place.data / ".hauserpy" / "ledger.json").write_text(json.dumps(document))
    place.configure(FilePrefix='"shop_"')
    place.run("sync")
    assert place.names() == names(0, 1, 2)
    assert place.ledger()["scope"]["FilePrefix"] == "shop_"


def test_other_formats_and_folders_are_one_and_the_same_ledger(place: Place) -> None:
    place.run("sync", "--max-bundles", "1")
    place.configure(Format='"jsonl"', Compression='"gzip"')
    place.run("sync")
    assert place.names() == names(0, 1, 2)
