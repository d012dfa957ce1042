"""How much disk an event takes, everything included."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bench.dataset import read_only
from bench.figures import Part, Section, at_most, number
from bench.plan import Plan
from ledger.file import NAME

BAR = 240
SHOWN = 12
SIZES = """
  select name, pgsize
  from dbstat
  where aggregate = true
  order by pgsize desc
"""


def measure(home: Path, plan: Plan) -> Part:
    """Weigh the file after a checkpoint, and each table and index in it."""
    size = (home / NAME).stat().st_size
    sizes = table_sizes(home)
    rows = [[name, number(held / plan.events)] for name, held in sizes[:SHOWN]]
    if sizes:
        rest = sum(held for _, held in sizes[SHOWN:])
        rows.append([f"{len(sizes) - SHOWN} smaller ones", number(rest / plan.events)])
    sentences = [f"The file has {number(size / 1e6)} MB for {plan.events:,} events."]
    return Part(
        [at_most("Disk, everything included", size / plan.events, BAR, "bytes/event")],
        [Section("Disk", sentences, ["table or index", "bytes per event"], rows)],
    )


def table_sizes(home: Path) -> list[tuple[str, int]]:
    """Give the bytes of each table and index, largest first; none where SQLite cannot tell."""
    with closing(read_only(home)) as conn:
        try:
            return conn.execute(SIZES).fetchall()
        except sqlite3.OperationalError:
            # Not every build of SQLite has dbstat.
            return []
