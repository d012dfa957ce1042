"""The user's own conditions: a file of queries, run for reading only and for a moment."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from alerts.model import SEVERITIES, Condition
from ledger import connect_read_only
from ledger.errors import translated
from ledger.file import NAME as LEDGER
from ledger.settings import ALERT_RULES
from ledger.statements import statements

NAME = "own_alerts.sql"
MOST_ROWS, MOST_SECONDS, LONGEST_SENTENCE = 100, 1.0, 500
# How many instructions of SQLite pass between two looks at the time.
STEPS = 10_000
ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


class Malformed(Exception):
    """A query's answer is none that can be used; the text says why."""


class Own:
    """The queries beside the ledger; `trouble` says what was wrong with them at the last look."""

    def __init__(self, folder: Path) -> None:
        self._ledger = folder / LEDGER
        self._file = folder / NAME
        self.trouble: str | None = None

    def look(self) -> list[Condition] | None:
        """Run every query; nothing where there is no file, None where one could not be run.

        Raises `Unavailable`.
        """
        self.trouble = None
        try:
            script = self._file.read_text("utf-8")
            with translated(), closing(self._opened()) as conn:
                return [each for query in statements(script) for each in answers(conn, query)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, sqlite3.Error, Malformed) as error:
            slow = "interrupted" in str(error)
            self.trouble = f"{NAME}: {f'it takes over {MOST_SECONDS:g} s' if slow else error}"
            return None

    def _opened(self) -> sqlite3.Connection:
        """Open the ledger so that nothing can be changed and nothing takes long."""
        conn = connect_read_only(self._ledger)
        until = time.monotonic() + MOST_SECONDS
        conn.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        conn.set_authorizer(permitted)
        return conn


def permitted(action: int, *_: str | None) -> int:
    """Let a query read, and nothing else."""
    return sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY


def answers(conn: sqlite3.Connection, query: str) -> Iterator[Condition]:
    """Run one query; raises `Malformed` or `sqlite3.Error`."""
    cursor = conn.execute(query)
    names = [column[0] for column in cursor.description or ()]
    # A comment alone has no columns.
    if names and not {"subject", "sentence"} <= set(names):
        raise Malformed("each query must give subject and sentence")
    rows = cursor.fetchmany(MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise Malformed(f"a query gives more than {MOST_ROWS} rows")
    for row in rows:
        yield condition(dict(zip(names, row, strict=True)))


def condition(row: dict[str, Any]) -> Condition:
    """Read one row; raises `Malformed`."""
    rule, severity = row.get("rule") or "own", row.get("severity") or "warning"
    if rule in ALERT_RULES:
        raise Malformed(f"the rule {rule} is one of the ledger's own: take another name")
    if severity not in SEVERITIES:
        raise Malformed(f"severity must be {', '.join(SEVERITIES)}")
    sentence = " ".join(str(row["sentence"] or "").split())[:LONGEST_SENTENCE]
    if not sentence or row["subject"] is None:
        raise Malformed("subject and sentence must not be empty")
    return Condition(
        rule=str(rule),
        subject=str(row["subject"]),
        severity=severity,
        sentence=sentence,
        value=number(row.get("value")),
        threshold=number(row.get("threshold")),
        tells_over=bool(row.get("tells_over")),
        own=True,
    )


def number(value: Any) -> float | None:
    """Give a number, or none where there is something else."""
    return float(value) if isinstance(value, int | float) else None
