"""Raw batches are proved where that pays."""

from __future__ import annotations

import json

import pytest

from hauserpy.decode import proof
from hauserpy.decode.split import Batch
from hauserpy.layout import Layout, StageFormat
from hauserpy.pipeline.convert import Converter, Job
from tests.bundles import FILE_COLUMNS, WINDOW

LAYOUT = Layout(FILE_COLUMNS, format=StageFormat.RAW)
PROVED = Batch(b'{"EventStart":"2026-11-22T00:00:00Z"}', 1, last=True)
PARSED = Batch(b'{"EventStart":"2026-11-22T00:00:00Z","x":1e400}', 1, last=True)


def test_what_is_never_proved_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Batch] = []

    def noted(batch: Batch) -> list[str] | None:
        asked.append(batch)
        return starts_of(batch)

    starts_of = proof.starts_of
    monkeypatch.setattr(proof, "starts_of", noted)
    converter = Converter(Job(LAYOUT, WINDOW, None, 1 << 24))
    batches = [PARSED] * 3 + [PROVED] + [PARSED] * 4
    for batch in (*batches, PROVED, PARSED):
        assert converter.convert(batch).data is batch.text
    assert asked == batches


@pytest.mark.parametrize(
    "starts",
    [
        ["2026-11-22T05:00:00.000Z", "2026-11-22T04:00:00.000Z", "2026-11-22T06:00:00.000Z"],
        # The last by its text is no time; what is between the ends need not be one.
        ["2026-11-22T05:00:00.000Z", "2026-11-22T25:00:00.000Z", "2026-11-22T06:00:00.000Z"],
        ["2026-11-22T05:00:00.000Z", "2026-11-22T05:99:00.000Z", "2026-11-22T06:00:00.000Z"],
        ["2026-11-22T05:00:00.0000009Z", "2026-11-22T06:00:00.0000001Z"],
        ["2026-11-22T05:00:00+02:00", "2026-11-22T04:00:00Z", "2026-11-22 02:30:00Z"],
        ["never", "nowhen"],
        [""],
        ["2026-11-22T05:00:00Z", "2026-11-22T05:00:0\u0000Z"],
    ],
)
def test_what_is_told_of_their_times_is_what_the_parser_tells(starts: list[str]) -> None:
    text = ",".join(json.dumps({"EventStart": start}) for start in starts).encode()
    batch = Batch(text, 1, last=True)
    proved = Converter(Job(LAYOUT, WINDOW, None, 1 << 24))
    parsed = Converter(Job(LAYOUT, WINDOW, None, 1 << 24), learns=False)
    assert proved._proofs and not parsed._proofs
    assert proof.starts_of(batch) == starts
    assert proved.convert(batch) == parsed.convert(batch)
