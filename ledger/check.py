"""Prove that the ledger adds up."""

import sqlite3
from collections.abc import Iterator

from ledger import schema

QUESTIONS = {
    "received = stored + duplicate + rejected": """
        select sum(received), sum(stored + duplicate + rejected) from ingest_ledger
    """,
    "stored = events in the ledger": """
        select (select sum(stored) from ingest_ledger), (select count(*) from usage_events)
    """,
    "rejected = rejected records kept": """
        select (select sum(rejected) from ingest_ledger), (select count(*) from rejected_events)
    """,
    "failed events = failure details kept": """
        select
          (select count(*) from usage_events where failed = 1),
          (select count(*) from failure_details)
    """,
    "no event without its credential, model or client": """
        select 0, (select count(*) from pragma_foreign_key_check)
    """,
}


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
        yield from disagreements(conn)


def disagreements(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Compare each pair of numbers that must be equal, all in one snapshot."""
    conn.execute("begin")
    for question, sql in QUESTIONS.items():
        left, right = (value or 0 for value in conn.execute(sql).fetchone())
        yield question, "" if left == right else f"{left:,} is not {right:,}"
    conn.execute("commit")
