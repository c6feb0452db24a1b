"""Files as objects in a bucket: one load algorithm over any store that honours preconditions.

`store` says what a store must promise, `destination` has the load, `document` the ledger object,
`names` how objects are called, `presence` whether they are there, `leftovers` what dead runs left,
`checks` what `hauserpy check` tries.
"""

from hauserpy.destinations.objects.destination import Objects
from hauserpy.destinations.objects.store import ABSENT, Conflict, Object, ObjectStore, Upload

__all__ = ["ABSENT", "Conflict", "Object", "ObjectStore", "Objects", "Upload"]
