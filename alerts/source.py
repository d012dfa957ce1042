"""What is worth an alert now, as the ledger's view says it."""

import sqlite3

from alerts.model import Condition
from ledger.errors import translated

CONDITIONS = """
  select rule, subject, severity, sentence, value, threshold, tells_over
  from alert_conditions
"""
NAMELESS = "select budget, named from budget_states where state = 'unknown name'"


def look(conn: sqlite3.Connection) -> list[Condition]:
    """Read every condition that holds. Raises `Unavailable`."""
    with translated():
        return [Condition(*row[:6], bool(row[6])) for row in conn.execute(CONDITIONS)]


def clock(conn: sqlite3.Connection) -> int:
    """Give the instant (ms) that the views go by. Raises `Unavailable`."""
    with translated():
        return conn.execute("select now from clock").fetchone()[0]


def unknown_names(conn: sqlite3.Connection) -> list[str]:
    """Say of each budget whose account or client the ledger does not know that it counts nothing.

    Raises `Unavailable`.
    """
    with translated():
        found = conn.execute(NAMELESS).fetchall()
    return [f"the budget {budget} counts nothing: {named} is not known" for budget, named in found]
