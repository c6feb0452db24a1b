"""Sync, backfill and skip over the protocols of source and destination.

`plans` say what there is to load; `runs` keep the promises about order and checkpoint, and plan
again when another run came first; `line` fetches, stages and hands over bundle after bundle, each
stage in its own thread; `report` is what a run tells while it goes and at its end.
"""
