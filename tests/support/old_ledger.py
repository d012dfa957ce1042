"""Ledgers of schema version 9, the last before its steps were squashed into one."""

import gzip
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ledger.schema import steps
from tests.support.home import DATA

OLD, NEWEST = 9, steps()[-1][0]
FROZEN = DATA / "frozen" / "ledger-0009.db.gz"
SEEDS = {"grains", "ladders", "latency_buckets", "rollup_state"}
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


def frozen_ledger(file: Path) -> Path:
    """Write the frozen ledger of made-up traffic to a file."""
    with gzip.open(FROZEN) as source, file.open("wb") as target:
        shutil.copyfileobj(source, target)
    return file


def old_ledger(data: Path) -> Path:
    """Create a ledger of schema version 9 in a new folder: 600 events of 40 days, without sums."""
    data.mkdir(mode=0o700)
    file = data / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("pragma journal_mode = wal").fetchone()
        conn.execute("attach ? as frozen", (str(frozen_ledger(data / "frozen.db")),))
        for name, kind, sql in conn.execute(
            "select name, type, sql from frozen.sqlite_schema where sql <> '' and type <> 'view' "
            "and name not like 'sqlite_%' order by type = 'index'"
        ).fetchall():
            conn.execute(sql)
            if kind == "table" and name in SEEDS:
                conn.execute(f"insert into {name} select * from frozen.{name}")
        conn.execute(
            "update rollup_state set last_event_id = 0, recent_from = 0, events_deleted = 0"
        )
        conn.execute("detach frozen")
        conn.execute(f"pragma user_version = {OLD}")
        conn.executescript(NAMED)
        conn.execute("begin")
        conn.executemany(EVENT, map(event, range(600)))
        conn.execute("commit")
        conn.executescript(RECEIVED)
    (data / "frozen.db").unlink()
    file.chmod(0o600)
    return file


def event(number: int) -> dict[str, int | bytes | bool]:
    """Return one of the events: every hundredth minute, the newest now."""
    return {
        "at": time.time_ns() // 1_000_000 - number * 100 * 60_000,
        "hash": number.to_bytes(16),
        "tokens": 100 + number,
        "failed": number % 7 == 0,
    }


def select(file: Path, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a query of a ledger file."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        return conn.execute(sql).fetchall()
