"""Prove that the ledger adds up."""

import sqlite3
from collections.abc import Iterator

from ledger import schema

# What the view cannot ask in the time that the dashboard gives a query.
ORPHANS = "select count(*) from pragma_foreign_key_check"
CHECKS = "select question, expected, actual, holds from integrity_checks"
REBUILD = "run `python -m ledger rebuild`"


def problems(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Ask everything that must be true; give (question, what is wrong, or "" when it holds)."""
    found = [row[0] for row in conn.execute("pragma integrity_check")]
    yield "the file is intact", "" if found == ["ok"] else "; ".join(found[:5])
    newest, current = schema.steps()[-1][0], schema.version(conn)
    yield (
        f"the schema is version {newest}",
        "" if current == newest else f"it is {current}; start a worker or run `make init`",
    )
    if current == newest:
        (orphans,) = conn.execute(ORPHANS).fetchone()
        yield (
            "no row without the rows that it names",
            f"{orphans:,} have none" if orphans else "",
        )
        yield from disagreements(conn)


def disagreements(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Return every check of the view `integrity_checks`, all of one snapshot."""
    for question, expected, actual, holds in conn.execute(CHECKS).fetchall():
        advice = f"; {REBUILD}" if "rollup" in question else ""
        yield question, "" if holds else f"{expected} is not {actual}{advice}"
