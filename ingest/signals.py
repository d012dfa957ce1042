"""Leave the quota headers of usage events for the quota worker: allow-listed, the newest only.

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
REFUSED = 429
FAMILY = "x-codex-active-limit"
EXHAUSTED = ("usage_limit_reached", "usage_not_included")
ERROR_FIELDS = ("type", "code", "resets_at", "resets_in_seconds")
LONGEST_BODY = 10_000
KEEP = """
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


class Told(NamedTuple):
    """What one event tells of its account's quota."""

    family: str
    headers: dict[str, str]
    error: dict[str, str | int | float] | None


def keep_signals(
    conn: sqlite3.Connection,
    usages: Iterable[Usage],
    *,
    credential: Callable[[Payload], int],
    popped_at: int,
) -> None:
    """Keep the newest signal of each credential and limit family, in the caller's transaction."""
    telling = [usage for usage in usages if may_tell(usage)]
    looked, found = set(), {}
    for usage in sorted(telling, key=lambda usage: usage.occurred_at, reverse=True):
        payload = usage.payload
        # Requests of one model count against one limit, so older ones tell nothing new.
        of = (payload.auth_index, payload.provider, payload.model, payload.failed)
        if of in looked or (signal := told(payload)) is None:
            continue
        looked.add(of)
        at = (credential(payload), signal.family)
        found.setdefault(at, (min(usage.occurred_at, popped_at), payload, signal))
    conn.executemany(KEEP, [(*at, *row(*rest)) for at, rest in found.items()])


def may_tell(usage: Usage) -> bool:
    """Tell whether an event can be believed about the quota of its own account."""
    payload = usage.payload
    if payload.auth_type != "oauth" or payload.provider not in PROVIDERS:
        return False
    if payload.failed:
        return payload.fail is not None and payload.fail.status_code == REFUSED
    return len(bytes(payload.response_headers)) > 2


def told(payload: Payload) -> Told | None:
    """Pick what an event tells of quotas; None when that is nothing."""
    headers = quota_headers(payload.response_headers)
    error = exhaustion(payload) if payload.failed else None
    if not headers and error is None:
        return None
    return Told(headers.get(FAMILY, "").lower()[:60], headers, error)


def quota_headers(raw: msgspec.Raw) -> dict[str, str]:
    """Return the first value of each allowed header, names in lower case."""
    try:
        return allowed(decoder.decode(raw)) if len(bytes(raw)) > 2 else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def exhaustion(payload: Payload) -> dict[str, str | int | float] | None:
    """Pick why a generation was refused, when it was because the plan's limit is reached."""
    try:
        body = json.loads(payload.fail.body[:LONGEST_BODY]) if payload.fail else None
    except (ValueError, RecursionError):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    if error.get("type") not in EXHAUSTED and error.get("code") not in EXHAUSTED:
        return None
    picked = {name: error.get(name) for name in ERROR_FIELDS}
    return {
        name: value[:60] if isinstance(value, str) else value
        for name, value in picked.items()
        if isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
    }


def row(observed_at: int, payload: Payload, signal: Told) -> tuple[object, ...]:
    """Give the values of a signal, in the order of the insert."""
    return (
        observed_at,
        payload.failed,
        payload.fail.status_code if payload.failed and payload.fail else None,
        json.dumps(signal.headers),
        None if signal.error is None else json.dumps(signal.error, allow_nan=False),
    )
