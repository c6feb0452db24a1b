"""From the bytes of a bundle to batches of records, in order and with bounded memory.

`gunzip` turns the body into JSON text whatever the transport did to it; `split` cuts the text of
the array into batches of whole records by searching for borders; `records` parses a batch, which
proves its borders or shows that they were not real. `form` learns in what order (`order`) members
come, and `pattern` finds them so by one match, in `lines`, instead of parsing; `members` parses what
that leaves, and `reader` knows what was learned. None of them does I/O.
"""
