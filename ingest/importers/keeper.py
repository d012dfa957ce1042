"""Read the database of cpa-usage-keeper, whose token columns are normalised: input includes cache.

File format: `internal/entities/usage_event.go` of cpa-usage-keeper, and the table
`redis_usage_inboxes`, which holds popped payloads until keeper has processed them.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingest.importers.reader import Record, columns, count_rows, fetch, is_client_key

EVENT_TABLES = ("usage_events", "usage_events_archive")
INBOX = "redis_usage_inboxes"
SELECT_INBOX = f"select id, raw_message from {INBOX} order by id"
# keeper's column by the field of the proxy's event, in the order of the proxy.
TEXTS = {
    "timestamp": "timestamp",
    "source": "source",
    "auth_index": "auth_index",
    "provider": "provider",
    "executor_type": "executor_type",
    "model": "model",
    "alias": "model_alias",
    "endpoint": "endpoint",
    "auth_type": "auth_type",
    "api_key": "api_group_key",
    "request_id": "request_id",
    "reasoning_effort": "reasoning_effort",
    "service_tier": "service_tier",
    "response_service_tier": "response_service_tier",
}
DURATIONS = ("latency_ms", "ttft_ms")
FLAGS = ("failed", "generate")
# In this order, since the hash of the event's bytes is its identity.
COUNTS = (
    *("input_tokens", "output_tokens", "reasoning_tokens"),
    *("cached_tokens", "cache_read_tokens", "cache_creation_tokens", "total_tokens"),
)
COLUMNS = ("id", *TEXTS.values(), *DURATIONS, *FLAGS, *COUNTS)
Row = Mapping[str, Any]


class Keeper:
    """keeper's `app.db`; columns that an older one lacks are unknown."""

    origin, program = "keeper", "cpa-usage-keeper"

    def __init__(self, file: Path, conn: sqlite3.Connection) -> None:
        self._name, self._conn = file.name, conn
        self._tables = [name for name in EVENT_TABLES if columns(conn, name)]
        self._has_inbox = bool(columns(conn, INBOX))

    def count(self) -> int:
        """Return the number of rows."""
        tables = [*self._tables, *([INBOX] if self._has_inbox else [])]
        return sum(count_rows(self._conn, self._name, name) for name in tables)

    def parts(self) -> list[Iterator[Record]]:
        """Return the rows as events, then the inbox's payloads, which may have rows already."""
        return [self._events(), *([self._inbox()] if self._has_inbox else [])]

    def _events(self) -> Iterator[Record]:
        for table in self._tables:
            existing = columns(self._conn, table)
            names = ", ".join(name for name in COLUMNS if name in existing)
            sql = f"select {names} from {table} order by id"
            for row in fetch(self._conn, self._name, sql):
                values = dict(row)
                yield Record(f"{table} {values['id']}", msgspec.json.encode(event(values)))

    def _inbox(self) -> Iterator[Record]:
        for row in fetch(self._conn, self._name, SELECT_INBOX):
            yield Record(f"{INBOX} {row['id']}", str(row["raw_message"] or "").encode())

    def close(self) -> None:
        """Close the file."""
        self._conn.close()


def event(row: Row) -> dict[str, Any]:
    """Return a row in the proxy's wire format, without fields that are null."""
    values = {field: row.get(column) for field, column in TEXTS.items()}
    values |= {field: row.get(field) for field in DURATIONS}
    # In place of the client's key that an attempt lacks, keeper has its provider or its path.
    api_key = values["api_key"]
    if api_key in (values["provider"], values["endpoint"]) or not is_client_key(str(api_key or "")):
        values["api_key"] = None
    result = {field: value for field, value in values.items() if value is not None}
    for flag in FLAGS:
        if row.get(flag) is not None:
            result[flag] = bool(row[flag])
    result["tokens"] = tokens(row)
    parts = breakdown(result["tokens"])
    return {**result, "token_breakdown": parts} if parts else result


def tokens(row: Row) -> dict[str, int]:
    """Return the counts of a row; older rows have one column for all cached tokens."""
    cache_read = row.get("cache_read_tokens") or row.get("cached_tokens") or 0
    counts = {name: row.get(name) or 0 for name in COUNTS}
    return {**counts, "cached_tokens": cache_read, "cache_read_tokens": cache_read}


def breakdown(counts: dict[str, Any]) -> dict[str, Any] | None:
    """Return normalised counts as a breakdown; None where they contradict each other.

    In that case keeper did not normalise them, and the provider's own rules apply.
    """
    if not all(isinstance(count, int) and count >= 0 for count in counts.values()):
        return None
    cache_read, cache_write = counts["cache_read_tokens"], counts["cache_creation_tokens"]
    uncached = counts["input_tokens"] - cache_read - cache_write
    visible = counts["output_tokens"] - counts["reasoning_tokens"]
    rest = counts["total_tokens"] - counts["input_tokens"] - counts["output_tokens"]
    if min(uncached, visible, rest) < 0:
        return None
    return {
        "schema_version": 2,
        "input": {
            "total_tokens": counts["input_tokens"],
            "uncached_tokens": uncached,
            "cache_read_tokens": cache_read,
            "cache_write_tokens": cache_write,
        },
        "output": {
            "total_tokens": counts["output_tokens"],
            "non_reasoning_tokens": visible,
            "reasoning_tokens": counts["reasoning_tokens"],
        },
        "total_tokens": counts["total_tokens"],
        "unclassified_tokens": rest,
    }
