"""The conditions that hold now: problems worth a message, and the user's custom rules."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from ledger import connect_read_only, text
from ledger.database import FILE_NAME as LEDGER
from ledger.database import split_statements, translate_errors
from ledger.settings import ALERT_RULES

SEVERITIES = ("severe", "warning", "notice")
PROBLEMS = """
  select rule, alert_key, severity, code, parameters, value, threshold, tells_over
  from problems
  where notify
"""

CUSTOM_RULES = "custom_rules.sql"
OLD_CUSTOM_RULES = "own_alerts.sql"
MAX_ROWS, MAX_QUERY_SECONDS, MAX_SENTENCE_LENGTH = 100, 1.0, 500
# SQLite instructions between two checks of the time.
STEPS = 10_000
ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


class Condition(NamedTuple):
    """A condition to report; its subject does not change while it holds.

    Without a code it is one of a custom rule; `parameters` are JSON.
    """

    rule: str
    subject: str
    severity: str
    sentence: str
    value: float | None
    threshold: float | None
    tells_over: bool
    code: str | None = None
    parameters: str | None = None

    @property
    def custom(self) -> bool:
        """Whether it is one of a custom rule."""
        return self.code is None


def current(conn: sqlite3.Connection, language: str) -> list[Condition]:
    """Return every problem that is worth a message. Raises `Unavailable`."""
    with translate_errors():
        rows = conn.execute(PROBLEMS).fetchall()
    return [
        Condition(
            rule=rule,
            subject=subject,
            severity=severity,
            sentence=text.sentence(code, json.loads(parameters), language),
            value=value,
            threshold=threshold,
            tells_over=bool(tells_over),
            code=code,
            parameters=parameters,
        )
        for rule, subject, severity, code, parameters, value, threshold, tells_over in rows
    ]


def clock(conn: sqlite3.Connection) -> int:
    """Return the instant (ms) that the views use as now. Raises `Unavailable`."""
    with translate_errors():
        now: int = conn.execute("select now from clock").fetchone()[0]
        return now


class InvalidRow(Exception):
    """The result of a custom rule cannot be used; the text is the reason."""


class CustomRules:
    """The user's queries in the data folder; `problem` is the error of the last check."""

    def __init__(self, folder: Path) -> None:
        self._ledger = folder / LEDGER
        self._file = folder / CUSTOM_RULES
        self._old_file = folder / OLD_CUSTOM_RULES
        self.problem: str | None = None

    def current(self) -> list[Condition] | None:
        """Run every query; empty without a file, None when one of them failed.

        Raises `Unavailable`.
        """
        self.problem = None
        try:
            script = self._file.read_text("utf-8")
            with translate_errors(), closing(self._open()) as conn:
                return [row for query in split_statements(script) for row in run(conn, query)]
        except FileNotFoundError:
            if self._old_file.exists():
                self.problem = f"{OLD_CUSTOM_RULES} is not read: rename it to {CUSTOM_RULES}"
            return []
        except (OSError, ValueError, sqlite3.Error, InvalidRow) as error:
            is_slow = "interrupted" in str(error)
            reason = f"it takes over {MAX_QUERY_SECONDS:g} s" if is_slow else error
            self.problem = f"{CUSTOM_RULES}: {reason}"
            return None

    def _open(self) -> sqlite3.Connection:
        """Open the ledger for queries that only read and are interrupted when they take long."""
        conn = connect_read_only(self._ledger)
        deadline = time.monotonic() + MAX_QUERY_SECONDS
        conn.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        conn.set_authorizer(authorize)
        return conn


def authorize(action: int, *_: str | None) -> int:
    """Allow a query to read, and deny everything else."""
    return sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY


def run(conn: sqlite3.Connection, query: str) -> Iterator[Condition]:
    """Run one query of a custom rule; raises `InvalidRow` or `sqlite3.Error`."""
    cursor = conn.execute(query)
    columns = [column[0] for column in cursor.description or ()]
    # A statement that is only a comment has no columns.
    if columns and not {"subject", "sentence"} <= set(columns):
        raise InvalidRow("each query must return subject and sentence")
    rows = cursor.fetchmany(MAX_ROWS + 1)
    if len(rows) > MAX_ROWS:
        raise InvalidRow(f"a query returns more than {MAX_ROWS} rows")
    for row in rows:
        yield parse(dict(zip(columns, row, strict=True)))


def parse(row: dict[str, Any]) -> Condition:
    """Parse one row of a custom rule; raises `InvalidRow`."""
    rule, severity = row.get("rule") or "custom", row.get("severity") or "warning"
    if rule in ALERT_RULES:
        raise InvalidRow(f"the rule {rule} is built in: use another name")
    if severity not in SEVERITIES:
        raise InvalidRow(f"severity must be {', '.join(SEVERITIES)}")
    sentence = " ".join(str(row["sentence"] or "").split())[:MAX_SENTENCE_LENGTH]
    if not sentence or row["subject"] is None:
        raise InvalidRow("subject and sentence must not be empty")
    return Condition(
        rule=str(rule),
        subject=str(row["subject"]),
        severity=severity,
        sentence=sentence,
        value=number(row.get("value")),
        threshold=number(row.get("threshold")),
        tells_over=bool(row.get("tells_over")),
    )


def number(value: Any) -> float | None:
    """Return a number, None for any other value."""
    return float(value) if isinstance(value, int | float) else None
