"""The table's rows, group by group; each is declared beside the code that measures it."""

from __future__ import annotations

from . import mixing

ROWS = (*mixing.ROWS,)
