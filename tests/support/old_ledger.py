"""A ledger as an older program left it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ledger import schema
from ledger.schema import steps

NEWEST = steps()[-1][0]
NAMED = """
  insert into proxies (name) values ('127.0.0.1:8317');
  insert into known_accounts (provider, label) values ('codex', 'ann@example.com');
  insert into known_models (name) values ('gpt-5');
  insert into known_clients (key_hash, label) values (x'0102', '…3f7a');
  insert into credentials (proxy_id, auth_index, provider, auth_type, account_id)
  values (1, '0123456789abcdef', 'codex', 'oauth', 1);
"""
EVENT = """
  insert into usage_events (
    occurred_at, event_hash, credential_id, model_id, client_id, failed, warm_up,
    input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, total_tokens
  )
  values (:at, :hash, 1, 1, 1, :failed, 0, :tokens, 0, 0, 50, 0, 0, :tokens + 50)
"""
RECEIVED = """
  insert into failure_details (event_id) select id from usage_events where failed = 1;
  insert into ingest_ledger (hour_at, proxy_id, source, batches, received, stored)
  values (0, 1, 'resp', 2, 600, 600);
"""
# A schema with events, rollups, quotas and the comparison with the proxy.
OLD = 4


def old_ledger(data: Path, version: int) -> Path:
    """Write a ledger of an older schema, with 600 events of 40 days; return its file."""
    data.mkdir(mode=0o700)
    file = data / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("pragma journal_mode = wal").fetchone()
        for number, script in steps():
            if number <= version:
                schema.apply(conn, number, script)
        conn.executescript(NAMED)
        conn.execute("begin")
        conn.executemany(EVENT, map(event, range(600)))
        conn.execute("commit")
        conn.executescript(RECEIVED)
    return file


def event(number: int) -> dict[str, object]:
    """Return the n-th event: one every hundred minutes, the newest now."""
    return {
        "at": time.time_ns() // 1_000_000 - number * 100 * 60_000,
        "hash": number.to_bytes(16),
        "tokens": 100 + number,
        "failed": number % 7 == 0,
    }


def select(file: Path, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a query on a ledger file."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        return conn.execute(sql).fetchall()
