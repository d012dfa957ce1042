"""The database of cpa-usage-keeper, whose token columns are normalised: input includes cache.

File format: `internal/entities/usage_event.go` of cpa-usage-keeper, and the table
`redis_usage_inboxes`, which holds payloads as popped until they are processed.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingest.importers import databases
from ingest.importers.clients import is_key
from ingest.importers.reader import Found

EVENTS = ("usage_events", "usage_events_archive")
INBOX = "redis_usage_inboxes"
READ_INBOX = f"select id, raw_message from {INBOX} order by id"
# Our name of each text column, in the order of the proxy's own event.
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
NUMBERS = ("latency_ms", "ttft_ms")
FLAGS = ("failed", "generate")
COUNTS = (
    *("input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"),
    *("cached_tokens", "cache_read_tokens", "cache_creation_tokens"),
)
READ = ("id", *TEXTS.values(), *NUMBERS, *FLAGS, *COUNTS)
Row = Mapping[str, Any]


class Keeper:
    """keeper's `app.db`; columns that an older one lacks are not told."""

    origin, program = "keeper", "cpa-usage-keeper"

    def __init__(self, file: Path, conn: sqlite3.Connection) -> None:
        self._name, self._conn = file.name, conn
        self._tables = [name for name in EVENTS if databases.columns(conn, name)]
        self._has_inbox = bool(databases.columns(conn, INBOX))

    def count(self) -> int:
        """Tell how many rows there are."""
        tables = [*self._tables, *([INBOX] if self._has_inbox else [])]
        return sum(databases.count(self._conn, self._name, name) for name in tables)

    def parts(self) -> list[Iterator[Found]]:
        """Give each row as an event; and the payloads of the inbox, which may have rows already."""
        return [self._events(), *([self._waiting()] if self._has_inbox else [])]

    def _events(self) -> Iterator[Found]:
        for table in self._tables:
            there = databases.columns(self._conn, table)
            names = ", ".join(name for name in READ if name in there)
            sql = f"select {names} from {table} order by id"
            for row in databases.rows(self._conn, self._name, sql):
                values = dict(row)
                yield Found(f"{table} {values['id']}", msgspec.json.encode(event(values)))

    def _waiting(self) -> Iterator[Found]:
        for row in databases.rows(self._conn, self._name, READ_INBOX):
            yield Found(f"{INBOX} {row['id']}", str(row["raw_message"] or "").encode())

    def close(self) -> None:
        """Let go of the file."""
        self._conn.close()


def event(row: Row) -> dict[str, Any]:
    """Give a row in the words of the proxy's own events; what is null is left out."""
    told = {name: row.get(column) for name, column in TEXTS.items()}
    told |= {name: row.get(name) for name in NUMBERS}
    # keeper groups an attempt without a client's key by what else it knows of it.
    elsewhere = (told["provider"], told["endpoint"])
    if told["api_key"] in elsewhere or not is_key(str(told["api_key"] or "")):
        told["api_key"] = None
    found = {name: value for name, value in told.items() if value is not None}
    for flag in FLAGS:
        if row.get(flag) is not None:
            found[flag] = bool(row[flag])
    found["tokens"] = tokens(row)
    parts = breakdown(found["tokens"])
    return {**found, "token_breakdown": parts} if parts else found


def tokens(row: Row) -> dict[str, int]:
    """Give the counts of a row; rows from before there were cache reads have one cache column."""
    read = row.get("cache_read_tokens") or row.get("cached_tokens") or 0
    return {
        "input_tokens": row.get("input_tokens") or 0,
        "output_tokens": row.get("output_tokens") or 0,
        "reasoning_tokens": row.get("reasoning_tokens") or 0,
        "cached_tokens": read,
        "cache_read_tokens": read,
        "cache_creation_tokens": row.get("cache_creation_tokens") or 0,
        "total_tokens": row.get("total_tokens") or 0,
    }


def breakdown(given: dict[str, Any]) -> dict[str, Any] | None:
    """Give normalised counts as parts; None where they contradict each other.

    Then they were not normalised, and mean what the provider's own do.
    """
    if not all(isinstance(count, int) and count >= 0 for count in given.values()):
        return None
    read, written = given["cache_read_tokens"], given["cache_creation_tokens"]
    uncached = given["input_tokens"] - read - written
    visible = given["output_tokens"] - given["reasoning_tokens"]
    rest = given["total_tokens"] - given["input_tokens"] - given["output_tokens"]
    if min(uncached, visible, rest) < 0:
        return None
    return {
        "schema_version": 2,
        "input": {
            "total_tokens": given["input_tokens"],
            "uncached_tokens": uncached,
            "cache_read_tokens": read,
            "cache_write_tokens": written,
        },
        "output": {
            "total_tokens": given["output_tokens"],
            "non_reasoning_tokens": visible,
            "reasoning_tokens": given["reasoning_tokens"],
        },
        "total_tokens": given["total_tokens"],
        "unclassified_tokens": rest,
    }
