"""From records to rows: which value goes to which column, and what becomes of the rest. Pure.

`values` says what fits a column, `times` reads instants, `careful` turns any record into a row and
counts what it alters, `columns` does the same for the records that need no care, whole columns at
once, with `folding` for what is left over; `rows` chooses between these ways.
"""

from hauserpy.transform.columns import fields_of
from hauserpy.transform.rows import Counts, Rows, TooDeep, Transformer

__all__ = ["Counts", "Rows", "TooDeep", "Transformer", "fields_of"]
