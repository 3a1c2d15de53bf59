"""The table's rows, group by group; each is declared beside the code that measures it."""

from __future__ import annotations

from . import bulk, exactness, hooks, loading, memory, mixing, one_shot, padding

ROWS = (
    *mixing.ROWS,
    *padding.ROWS,
    *loading.ROWS,
    *one_shot.ROWS,
    *exactness.ROWS,
    *bulk.ROWS,
    *memory.ROWS,
    *hooks.ROWS,
)
