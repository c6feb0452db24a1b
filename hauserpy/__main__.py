"""``python -m hauserpy`` is ``hauserpy``."""

from hauserpy.cli import main

main()
