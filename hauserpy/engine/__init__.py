"""Sync, backfill and skip over the protocols of source and destination.

`runs` decides what to load and keeps the promises about order and checkpoint; `line` fetches,
stages and hands over bundle after bundle, each stage in its own thread; `report` is what a run
tells while it goes and at its end.
"""
