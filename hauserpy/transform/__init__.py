"""From records to rows: which value goes to which column, and what becomes of the rest. Pure.

`values` says what fits a column, `times` reads instants, `careful` turns any record into a row and
counts what it alters, `columns` does the same for the records that need no care, whole columns at
once; `weaver` does so for events and their scenes apart, `blocks` holds what comes out, and `rows`
chooses between these ways.
"""

from hauserpy.transform.blocks import Block
from hauserpy.transform.columns import fields_of
from hauserpy.transform.rows import Rows, TooDeep, Transformer

__all__ = ["Block", "Rows", "TooDeep", "Transformer", "fields_of"]
