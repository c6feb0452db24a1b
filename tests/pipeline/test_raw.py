"""Raw batches are proved where that pays."""

from __future__ import annotations

import pytest

from hauserpy.decode import proof
from hauserpy.decode.records import Records
from hauserpy.decode.split import Batch
from hauserpy.layout import Layout, StageFormat
from hauserpy.pipeline.convert import Converter, Job
from tests.bundles import FILE_COLUMNS, WINDOW

LAYOUT = Layout(FILE_COLUMNS, format=StageFormat.RAW)
PROVED = Batch(b'{"EventStart":"2026-11-22T00:00:00Z"}', 1, last=True)
PARSED = Batch(b'{"EventStart":"2026-11-22T00:00:00Z","x":1e400}', 1, last=True)


def test_what_is_never_proved_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Batch] = []

    def noted(batch: Batch) -> Records | None:
        asked.append(batch)
        return starts_of(batch)

    starts_of = proof.starts_of
    monkeypatch.setattr(proof, "starts_of", noted)
    converter = Converter(Job(LAYOUT, WINDOW, None, 1 << 24))
    batches = [PARSED] * 3 + [PROVED] + [PARSED] * 4
    for batch in (*batches, PROVED, PARSED):
        assert converter.convert(batch).data is batch.text
    assert asked == batches
