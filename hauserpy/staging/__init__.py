"""Rows to the bytes of a file: CSV, JSON Lines or Parquet, plain or gzipped. Pure.

An encoder turns the rows of one batch into bytes that stand by themselves, so that batches can be
encoded in any process and their bytes put one behind the other in order. It also says which values
can be copied from JSON instead, since they would be written so (`copies`).
"""

from hauserpy.staging.base import Encoder, encoder_for

__all__ = ["Encoder", "encoder_for"]
