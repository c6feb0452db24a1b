"""From the bytes of a bundle to batches of records, in order and with bounded memory.

`gunzip` turns the body into JSON text whatever the transport did to it; `split` cuts the text of
the array into batches of whole records by searching for borders; `records` parses a batch, which
proves its borders or shows that they were not real; `scenes` does so faster, where records repeat
each other, once `cut` has learned where. None of them does I/O.
"""
