"""From the spool to parts on disk: decode, transform and stage a bundle over all cores.

The parent gunzips, cuts batches and writes files; everything between is a pure function of a batch
(`convert`, mostly by way of `copier`), which runs in worker processes when a bundle is large enough
to be worth it (`pool`).
"""
