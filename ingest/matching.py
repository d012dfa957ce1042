"""Find attempts that the ledger already has, recorded by another program.

Equal bytes have equal hashes. Another program's record of an attempt has other bytes: two records
are of the same attempt when they agree in every field that both contain, and in the millisecond.
When several records agree equally well, each is matched with one event at most.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ingest.dimensions import Ids
from ingest.parse import Usage

LIVE = "live"
# A lower rank is a more complete record: the proxy's own event, then keeper's row, which is derived
# from it, then the attempt in the proxy's old statistics.
RANKS = {LIVE: 0, "events": 0, "original": 0, "keeper": 1, "export": 2}
CREATE_MATCHED = "create temp table if not exists matched (event_id integer primary key)"
CLEAR_MATCHED = "delete from temp.matched"
ADD_MATCHED = "insert into temp.matched (event_id) values (?)"
ADD_MATCHED_AFTER = """
  insert into temp.matched (event_id)
  select id from usage_events where id > ?
"""
FIND = """
  select
    usage_events.id,
    event_hash,
    occurred_at,
    coalesce(imports.origin, 'live'),
    matched.event_id is not null,
    -- An address stands where the event had no index.
    iif(credentials.auth_index like '%@%', '', credentials.auth_index),
    model_id,
    failed,
    latency_ms,
    request_id,
    client_id,
    total_tokens,
    output_tokens
  from json_each(:moments) as moments
  cross join usage_events on occurred_at = moments.value
  join credentials on credentials.id = usage_events.credential_id
  left join imports on imports.id = usage_events.import_id
  left join temp.matched on matched.event_id = usage_events.id
"""


class Traits(NamedTuple):
    """The fields that distinguish attempts of one millisecond; None and empty are unknown."""

    auth_index: str
    model_id: int
    failed: int
    latency_ms: int | None
    request_id: str | None
    client_id: int | None
    total_tokens: int
    output_tokens: int


class Stored(NamedTuple):
    """An event in the ledger; `is_matched` if this run has added or matched it already."""

    id: int
    hash: bytes
    occurred_at: int
    origin: str
    is_matched: bool
    traits: Traits


class Attempt(NamedTuple):
    """An attempt that may be in the ledger."""

    hash: bytes
    traits: Traits


Agree = Callable[[Traits, Traits], bool]


def start_matching(conn: sqlite3.Connection) -> None:
    """Empty the list of the events that a run has matched; the connection keeps the list."""
    conn.execute(CREATE_MATCHED)
    conn.execute(CLEAR_MATCHED)


def mark_added(conn: sqlite3.Connection, after_id: int) -> None:
    """Mark all events with higher ids as matched: this run has added them."""
    conn.execute(ADD_MATCHED_AFTER, (after_id,))


def mark_matched(conn: sqlite3.Connection, events: Iterable[Stored]) -> None:
    """Mark events as matched."""
    ids = {event.id for event in events if not event.is_matched}
    conn.executemany(ADD_MATCHED, [(event_id,) for event_id in ids])


def is_better(origin: str, stored: Stored, usage: Usage) -> bool:
    """Return whether an attempt's record is more complete than the one in the ledger."""
    return usage.hash != stored.hash and RANKS[origin] < RANKS[stored.origin]


def find_stored(
    conn: sqlite3.Connection, usages: list[Usage], ids: list[Ids], *, origin: str
) -> list[Stored | None]:
    """Return the ledger's event of each attempt; None for a new attempt.

    Each event matches once in a run. The queue never delivers an attempt twice, so a live attempt
    can only match a less complete record.
    """
    by_moment = stored_at(conn, [usage.occurred_at for usage in usages])
    attempts: dict[int, dict[int, Attempt]] = defaultdict(dict)
    for index, usage in enumerate(usages):
        if usage.occurred_at in by_moment:
            attempts[usage.occurred_at][index] = Attempt(usage.hash, traits_of(usage, ids[index]))
    matches: dict[int, Stored] = {}
    for moment, attempts_of_moment in attempts.items():
        matches |= Candidates(by_moment[moment], origin).match(attempts_of_moment)
    if origin != LIVE:
        mark_matched(conn, matches.values())
    return [matches.get(index) for index in range(len(usages))]


def stored_at(conn: sqlite3.Connection, moments: list[int]) -> dict[int, list[Stored]]:
    """Return the events in the ledger at some instants, by instant."""
    by_moment: dict[int, list[Stored]] = defaultdict(list)
    rows = conn.execute(FIND, {"moments": json.dumps(moments)})
    for event_id, event_hash, moment, origin, is_matched, *traits in rows:
        stored = Stored(event_id, event_hash, moment, origin, bool(is_matched), Traits(*traits))
        by_moment[moment].append(stored)
    return by_moment


class Candidates:
    """The events in the ledger of one millisecond."""

    def __init__(self, events: list[Stored], origin: str) -> None:
        self._by_hash = {event.hash: event for event in events}
        self._free = {
            event.id: event
            for event in events
            if not event.is_matched and (origin != LIVE or RANKS[event.origin] > RANKS[origin])
        }

    def match(self, attempts: dict[int, Attempt]) -> dict[int, Stored]:
        """Return the event of each attempt: by equal bytes first, then by the best agreement."""
        matches: dict[int, Stored] = {}
        for index, attempt in attempts.items():
            if stored := self._by_hash.get(attempt.hash):
                matches[index] = stored
                self._free.pop(stored.id, None)
        for agree in (agree_fully, agree_closely):
            for index, attempt in attempts.items():
                if index not in matches and (stored := self._take(attempt.traits, agree)):
                    matches[index] = stored
        return matches

    def _take(self, traits: Traits, agree: Agree) -> Stored | None:
        """Remove and return the first event that agrees."""
        for event_id, event in self._free.items():
            if agree(traits, event.traits):
                return self._free.pop(event_id)
        return None


def traits_of(usage: Usage, ids: Ids) -> Traits:
    """Return the traits of an attempt, in the form of the stored ones."""
    return Traits(
        auth_index=usage.payload.auth_index,
        model_id=ids.model_id,
        failed=int(usage.payload.failed),
        latency_ms=usage.payload.latency_ms,
        request_id=usage.payload.request_id or None,
        client_id=ids.client_id,
        total_tokens=usage.tokens.total,
        output_tokens=usage.tokens.output,
    )


def agree(first: Traits, second: Traits) -> bool:
    """Return whether two records have no contradictory fields; token counts are not compared."""
    if (first.model_id, first.failed) != (second.model_id, second.failed):
        return False
    pairs = (
        (first.auth_index, second.auth_index),
        (first.latency_ms, second.latency_ms),
        (first.request_id, second.request_id),
        (first.client_id, second.client_id),
    )
    return all(a == b for a, b in pairs if a not in (None, "") and b not in (None, ""))


def agree_fully(first: Traits, second: Traits) -> bool:
    """Return whether two records agree, token counts included."""
    is_equal = (first.total_tokens, first.output_tokens) == (
        second.total_tokens,
        second.output_tokens,
    )
    return is_equal and agree(first, second)


def agree_closely(first: Traits, second: Traits) -> bool:
    """Return whether two records agree and both have a latency or a request id."""
    have_latency = bool(first.latency_ms and second.latency_ms)
    have_request_id = bool(first.request_id and second.request_id)
    return (have_latency or have_request_id) and agree(first, second)
