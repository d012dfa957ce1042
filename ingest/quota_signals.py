"""Store the quota headers of usage events for the quota worker: allow-listed, the newest only.

`response_headers` is the upstream's whole header map, cookies included, on events of
router-for-me/CLIProxyAPI since v7.1.13; newer proxies have the same names in `quota.signals`.
Headers of failures other than 429 may belong to the account that the proxy tried before: of those
failures only an error body about used-up quota counts. A refusal is stored by its model, so that
no success replaces it before the quota worker has read it.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from math import isfinite
from typing import NamedTuple

import msgspec

from ingest.parse import Usage
from ingest.payload import Payload
from ledger.quota_headers import allowed

PROVIDERS = ("codex", "claude", "antigravity", "kimi", "xai")
# The providers whose successes carry quota headers.
WITH_HEADERS = ("codex", "claude")
TOO_MANY_REQUESTS = 429
# Statuses with which providers refuse a request because quota or credits are used up.
REFUSING_STATUSES = (400, 402, 403, TOO_MANY_REQUESTS)
FAMILY = "x-codex-active-limit"
REFUSED = "refused "
EXHAUSTED = ("usage_limit_reached", "usage_not_included", "QUOTA_EXHAUSTED")
ERROR_FIELDS = (
    "type",
    "code",
    "status",
    "reason",
    "model",
    "resets_at",
    "resets_in_seconds",
    "quotaResetTimeStamp",
    "quotaResetDelay",
    "retryDelay",
)
NESTED = ("error", "details", "metadata")
# Texts of refusals that have no code.
PHRASES = re.compile(
    r"out of extra usage|run out of credits|used all available credits"
    r"|exhausted your (?:capacity|quota)|usage limit|billing cycle"
    r"|5[ -]hour|weekly|7[ -]day|monthly"
)
REFUSING_PHRASES = (
    "out of extra usage",
    "run out of credits",
    "used all available credits",
    "exhausted your capacity",
    "exhausted your quota",
    "usage limit",
    "billing cycle",
)
MAX_BODY_LENGTH, MAX_TEXT_LENGTH = 10_000, 60
MAX_DEPTH = 5
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
signals_decoder = msgspec.json.Decoder(dict[str, str | list[str]])
quota_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

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
        # Requests of one model count against one limit, so older requests add nothing.
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
        return payload.fail is not None and payload.fail.status_code in REFUSING_STATUSES
    return payload.provider in WITH_HEADERS and has_headers(payload)


def has_headers(payload: Payload) -> bool:
    """Return whether one of the header maps is more than `{}`."""
    return len(bytes(payload.response_headers)) > 2 or len(bytes(payload.quota)) > 2


def signal_of(payload: Payload) -> Signal | None:
    """Return the quota data of an event; None when it has none."""
    error = limit_error(payload) if payload.failed else None
    is_foreign = payload.failed and payload.fail and payload.fail.status_code != TOO_MANY_REQUESTS
    headers = {} if is_foreign else allowed_headers(payload)
    if not headers and error is None:
        return None
    family = headers.get(FAMILY, "").lower()
    if payload.failed:
        family = REFUSED + payload.model.lower()
    return Signal(family[:MAX_TEXT_LENGTH], headers, error)


def allowed_headers(payload: Payload) -> dict[str, str]:
    """Return the first value of each allowed header, names in lower case."""
    try:
        headers = allowed(decoder.decode(payload.response_headers or b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        headers = {}
    return {**signals(payload), **headers}


def signals(payload: Payload) -> dict[str, str]:
    """Return the allowed entries of `quota.signals`."""
    if len(bytes(payload.quota)) <= 2:
        return {}
    try:
        content = quota_decoder.decode(payload.quota).get("signals", msgspec.Raw(b"{}"))
        values = signals_decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return allowed({name: [v] if isinstance(v, str) else v for name, v in values.items()})


def limit_error(payload: Payload) -> ErrorFields | None:
    """Return fields of an error body about used-up quota; None for other bodies."""
    body = payload.fail.body[:MAX_BODY_LENGTH] if payload.fail else ""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    fields: ErrorFields = {}
    _collect(content, fields, MAX_DEPTH)
    phrases = sorted(set(PHRASES.findall(body.lower())))
    codes = (fields.get("type"), fields.get("code"), fields.get("reason"))
    is_code = any(code in EXHAUSTED for code in codes)
    if not is_code and not any(phrase in REFUSING_PHRASES for phrase in phrases):
        return None
    return {**fields, "phrases": "; ".join(phrases)} if phrases else fields


def _collect(content: object, fields: ErrorFields, depth: int) -> None:
    """Collect the allowed fields of an error object, the innermost first."""
    if depth and isinstance(content, list):
        for element in content:
            _collect(element, fields, depth - 1)
    if not depth or not isinstance(content, dict):
        return
    for name in NESTED:
        _collect(content.get(name), fields, depth - 1)
    for name in ERROR_FIELDS:
        value = content.get(name)
        if isinstance(value, str):
            fields.setdefault(name, value[:MAX_TEXT_LENGTH])
        elif isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
            fields.setdefault(name, value)


def signal_row(observed_at: int, payload: Payload, signal: Signal) -> tuple[object, ...]:
    """Return the values of a signal in the order of `STORE_SIGNAL`, after its key."""
    return (
        observed_at,
        payload.failed,
        payload.fail.status_code if payload.failed and payload.fail else None,
        json.dumps(signal.headers),
        None if signal.error is None else json.dumps(signal.error, allow_nan=False),
    )
