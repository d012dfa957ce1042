"""Check that the ledger is intact and that its sums agree."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ledger import schema
from ledger.database import Damaged, SchemaMismatch

# Not in a view, since it takes longer than the dashboard lets a query run.
ORPHANS = "select count(*) from pragma_foreign_key_check"
CHECKS = "select question, expected, actual, holds from integrity_checks"
REBUILD = "run `python -m ledger rebuild`"


class Check(NamedTuple):
    """A statement that must be true; `problem` is the reason why it is not, or empty."""

    statement: str
    problem: str


def check_all(conn: sqlite3.Connection) -> Iterator[Check]:
    """Run every check of an open ledger."""
    messages = [row[0] for row in conn.execute("pragma integrity_check")]
    yield Check("the file is intact", "" if messages == ["ok"] else "; ".join(messages[:5]))
    newest, current = schema.steps()[-1][0], schema.version(conn)
    outdated = f"it is {current}; start a worker or run `make init`"
    yield Check(f"the schema is version {newest}", "" if current == newest else outdated)
    if current == newest:
        (orphans,) = conn.execute(ORPHANS).fetchone()
        missing = f"{orphans:,} do not" if orphans else ""
        yield Check("every reference leads to a row", missing)
        yield from check_sums(conn)


def check_sums(conn: sqlite3.Connection) -> Iterator[Check]:
    """Run every check of the view `integrity_checks` on one snapshot."""
    for question, expected, actual, holds in conn.execute(CHECKS).fetchall():
        advice = f"; {REBUILD}" if "rollup" in question else ""
        yield Check(question, "" if holds else f"{expected} is not {actual}{advice}")


def require_intact(file: Path) -> None:
    """Raise `Damaged` unless a file is an intact ledger that this program can read."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
            messages = [row[0] for row in conn.execute("pragma integrity_check(5)")]
            version = schema.version(conn)
            conn.execute("select count(*) from ingest_ledger").fetchone()
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{file.name} is not a ledger: {error}") from error
    if messages != ["ok"]:
        raise Damaged(f"{file.name} is damaged: {'; '.join(messages)}")
    if version == 0:
        raise Damaged(f"{file.name} is not a ledger: it has no schema version")
    try:
        schema.missing_steps(version)
    except SchemaMismatch as error:
        raise Damaged(f"{file.name} cannot be used. {error}") from error
