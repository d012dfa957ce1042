"""Prove that the ledger adds up."""

import sqlite3
from collections.abc import Iterator

from ledger import schema

SUMS = (
    "count(*), sum(failed), sum(input_tokens), sum(cached_tokens), sum(output_tokens), "
    "sum(unclassified_tokens), sum(coalesce(cost_microdollars, 0)), "
    "sum(cost_microdollars is null)"
)
ROLLED = (
    "sum(requests), sum(failed), sum(input_tokens), sum(cached_tokens), sum(output_tokens), "
    "sum(unclassified_tokens), sum(cost_microdollars), sum(unpriced)"
)
ROLLUPS = {
    "total_rollup": (2, 4),
    "model_rollup": (2, 4),
    "client_rollup": (2, 4),
    "credential_rollup": (3, 4),
    "credential_model_rollup": (4,),
    "client_model_rollup": (4,),
}
TIMED = """
  from usage_events
  where not failed and not warm_up and id <= (select last_event_id from rollup_state)
"""
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
    "every event is in the rollups": """
        select last_event_id, (select coalesce(max(id), 0) from usage_events) from rollup_state
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
        conn.execute("begin")
        yield from disagreements(conn)
        yield from wrong_rollups(conn)
        yield from wrong_histograms(conn)
        conn.execute("commit")


def disagreements(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Compare each pair of numbers that must be equal."""
    for question, sql in QUESTIONS.items():
        left, right = (value or 0 for value in conn.execute(sql).fetchone())
        yield question, "" if left == right else f"{left:,} is not {right:,}"


def wrong_rollups(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Compare the sums of every complete grain with the events."""
    known = "where id <= (select last_event_id from rollup_state)"
    events = conn.execute(f"select {SUMS} from usage_events {known}").fetchone()
    for table, grains in ROLLUPS.items():
        for grain in grains:
            rolled = conn.execute(
                f"select {ROLLED} from {table} where grain = ?", (grain,)
            ).fetchone()
            equal = [value or 0 for value in rolled] == [value or 0 for value in events]
            yield (
                f"{table} = events, at grain {grain}",
                "" if equal else "run `python -m ledger rebuild`",
            )


def wrong_histograms(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Compare how many attempts the histograms hold with the events."""
    timed = conn.execute(f"select count(latency_ms), count(ttft_ms) {TIMED}").fetchone()
    for table, grain in (("latency_rollup", 3), ("model_latency_rollup", 4)):
        sql = f"select sum(requests) from {table} where grain = ? and kind = ?"
        found = tuple(conn.execute(sql, (grain, kind)).fetchone()[0] or 0 for kind in (1, 2))
        equal = found == timed
        yield f"{table} = events", "" if equal else f"{found} is not {timed}"
