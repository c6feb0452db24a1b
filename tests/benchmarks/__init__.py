"""How fast and how big: ``python -m tests.benchmarks`` from the checkout; see ``--help``.

Every speed is told as a share of what Python's own zlib takes to gunzip the same bodies, measured
just before it in the same run: on a machine that others use too, ratios keep where seconds do not.
"""
