"""A database as cpa-usage-keeper would have made it of the proxy's events."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ingest.parse import Usage, parse

COLUMNS = (
    "event_key",
    "api_group_key",
    "provider",
    "endpoint",
    "auth_type",
    "request_id",
    "model",
    "model_alias",
    "executor_type",
    "timestamp",
    "source",
    "auth_index",
    "failed",
    "latency_ms",
    "ttft_ms",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "total_tokens",
)
KEEP = f"insert into usage_events ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"


def write(file: Path, raws: Iterable[bytes]) -> None:
    """Make a database of the one table that holds events."""
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("pragma synchronous = off")
        columns = ", ".join(COLUMNS)
        conn.execute(f"create table usage_events (id integer primary key, {columns})")
        fill(conn, raws)
        conn.commit()


def fill(conn: sqlite3.Connection, raws: Iterable[bytes]) -> None:
    """Add events to a database that has the table."""
    conn.executemany(KEEP, (row(raw) for raw in raws))


def row(raw: bytes) -> tuple[object, ...]:
    """Give what keeper has of an event: its tokens normalised, the client's key in clear."""
    usage = parse(raw)
    if not isinstance(usage, Usage):
        raise ValueError(usage.reason)
    payload, tokens = usage.payload, usage.tokens
    return (
        payload.request_id,
        payload.api_key,
        payload.provider,
        payload.endpoint,
        payload.auth_type,
        payload.request_id,
        payload.model,
        payload.alias or payload.model,
        payload.executor_type,
        payload.timestamp,
        payload.source,
        payload.auth_index,
        payload.failed,
        payload.latency_ms or 0,
        payload.ttft_ms,
        tokens.input,
        tokens.output,
        tokens.reasoning,
        tokens.cached,
        tokens.cached,
        tokens.cache_write,
        tokens.input + tokens.output,
    )
