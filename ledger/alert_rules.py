"""The alert rules of the settings as a table, so that every view knows the thresholds."""

import sqlite3
from collections.abc import Iterable

from ledger.settings import AlertRule, effective_rules

INSERT = "insert into alert_rules (rule, enabled, threshold) values (?, ?, ?)"
INSERT_MISSING = f"{INSERT} on conflict do nothing"


def insert_missing(conn: sqlite3.Connection) -> None:
    """Add the rules that the table lacks, with their defaults, inside the caller's transaction."""
    conn.executemany(INSERT_MISSING, effective_rules({}))


def replace(conn: sqlite3.Connection, rules: Iterable[AlertRule]) -> None:
    """Rewrite the table, inside the caller's transaction."""
    conn.execute("delete from alert_rules")
    conn.executemany(INSERT, rules)
