"""Store the quota headers of usage events for the quota worker: allow-listed, the newest only.

`response_headers` is the upstream's whole header map, cookies included, on events of
router-for-me/CLIProxyAPI since v7.1.13. Headers of failures other than 429 may belong to the
account that the proxy tried before.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from math import isfinite
from typing import NamedTuple

import msgspec

from ingest.parse import Usage
from ingest.payload import Payload
from ledger.quota_headers import allowed

PROVIDERS = ("codex", "claude")
TOO_MANY_REQUESTS = 429
FAMILY = "x-codex-active-limit"
EXHAUSTED = ("usage_limit_reached", "usage_not_included")
ERROR_FIELDS = ("type", "code", "resets_at", "resets_in_seconds")
LONGEST_BODY, LONGEST_TEXT = 10_000, 60
STORE_SIGNAL = """
  insert into quota_signals
    (credential_id, family, observed_at, failed, status_code, headers, error)
  values (?, ?, ?, ?, ?, ?, ?)
  on conflict (credential_id, family) do update set
    observed_at = excluded.observed_at,
    failed = excluded.failed,
    status_code = excluded.status_code,
    headers = excluded.headers,
    error = excluded.error,
    taken = 0
  where excluded.observed_at > quota_signals.observed_at
"""
decoder = msgspec.json.Decoder(dict[str, list[str]])

ErrorFields = dict[str, str | int | float]


class Signal(NamedTuple):
    """The quota data of one event: its limit family, its headers, its error if a limit is hit."""

    family: str
    headers: dict[str, str]
    error: ErrorFields | None


def store_signals(
    conn: sqlite3.Connection,
    usages: Iterable[Usage],
    *,
    credential_id: Callable[[Payload], int],
    popped_at: int,
) -> None:
    """Store the newest signal of each credential and limit family, in the caller's transaction."""
    candidates = [usage for usage in usages if is_candidate(usage.payload)]
    candidates.sort(key=lambda usage: usage.occurred_at, reverse=True)
    seen: set[tuple[object, ...]] = set()
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for usage in candidates:
        payload = usage.payload
        # Requests of one model count against one limit, so older ones add nothing.
        source = (payload.auth_index, payload.provider, payload.model, payload.failed)
        if source in seen or (signal := signal_of(payload)) is None:
            continue
        seen.add(source)
        key = (credential_id(payload), signal.family)
        if key not in rows:
            rows[key] = signal_row(min(usage.occurred_at, popped_at), payload, signal)
    conn.executemany(STORE_SIGNAL, [(*key, *row) for key, row in rows.items()])


def is_candidate(payload: Payload) -> bool:
    """Return whether an event may carry quota data of its own account."""
    if payload.auth_type != "oauth" or payload.provider not in PROVIDERS:
        return False
    if payload.failed:
        return payload.fail is not None and payload.fail.status_code == TOO_MANY_REQUESTS
    return has_headers(payload)


def has_headers(payload: Payload) -> bool:
    """Return whether the header map is more than `{}`."""
    return len(bytes(payload.response_headers)) > 2


def signal_of(payload: Payload) -> Signal | None:
    """Return the quota data of an event; None when it has none."""
    headers = allowed_headers(payload)
    error = limit_error(payload) if payload.failed else None
    if not headers and error is None:
        return None
    return Signal(headers.get(FAMILY, "").lower()[:LONGEST_TEXT], headers, error)


def allowed_headers(payload: Payload) -> dict[str, str]:
    """Return the first value of each allowed header, names in lower case."""
    if not has_headers(payload):
        return {}
    try:
        return allowed(decoder.decode(payload.response_headers))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def limit_error(payload: Payload) -> ErrorFields | None:
    """Return fields of the error body when the plan's limit was reached; None for others."""
    try:
        body = json.loads(payload.fail.body[:LONGEST_BODY]) if payload.fail else None
    except (ValueError, RecursionError):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    if error.get("type") not in EXHAUSTED and error.get("code") not in EXHAUSTED:
        return None
    fields = {name: error.get(name) for name in ERROR_FIELDS}
    return {
        name: value[:LONGEST_TEXT] if isinstance(value, str) else value
        for name, value in fields.items()
        if isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
    }


def signal_row(observed_at: int, payload: Payload, signal: Signal) -> tuple[object, ...]:
    """Return the values of a signal in the order of `STORE_SIGNAL`, after its key."""
    return (
        observed_at,
        payload.failed,
        payload.fail.status_code if payload.failed and payload.fail else None,
        json.dumps(signal.headers),
        None if signal.error is None else json.dumps(signal.error, allow_nan=False),
    )
