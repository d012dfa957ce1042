"""Find the events that the ledger has already, though they came from another program's record.

The same bytes have the same hash. Another program's record of the same attempt has other bytes: it
is the same attempt when everything that both records tell agrees, to the millisecond; of several
alike, as many are the same as there are on both sides.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from ingest.parse import Usage

LIVE = "live"
# How good a record is: the proxy's own event, what keeper made of it, what the proxy's old
# statistics kept of it.
RANKS = {LIVE: 0, "events": 0, "original": 0, "keeper": 1, "export": 2}
CLAIMED = "create temp table if not exists claimed (event_id integer primary key)"
FIND = """
  select
    usage_events.id,
    event_hash,
    occurred_at,
    coalesce(imports.origin, 'live'),
    claimed.event_id is not null,
    credentials.auth_index,
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
  left join temp.claimed on claimed.event_id = usage_events.id
"""
CLAIM_AFTER = """
  insert into temp.claimed (event_id)
  select id from usage_events where id > ?
"""
# Where the columns of a row of `usage_events` stand, in the order of the insert.
MODEL, CLIENT, FAILED, LATENCY, OUTPUT, TOTAL, REQUEST = 3, 5, 10, 13, 18, 21, 22


class Mark(NamedTuple):
    """What tells an attempt from others of the same millisecond; None or empty is not told."""

    auth_index: str
    model_id: int
    failed: int
    latency_ms: int | None
    request_id: str | None
    client_id: int | None
    total: int
    output: int


class Known(NamedTuple):
    """An event in the ledger, and whether this run has met it already."""

    id: int
    hash: bytes
    occurred_at: int
    origin: str
    is_claimed: bool
    mark: Mark


Row = tuple[object, ...]
Agree = Callable[[Mark, Mark], bool]


def begin(conn: sqlite3.Connection) -> None:
    """Make room for noting which events a run has met; it lasts as long as the connection."""
    conn.execute(CLAIMED)
    conn.execute("delete from temp.claimed")


def claim_after(conn: sqlite3.Connection, event_id: int) -> None:
    """Note that this run has brought every event with a higher id."""
    conn.execute(CLAIM_AFTER, (event_id,))


def claim(conn: sqlite3.Connection, found: list[Known | None]) -> None:
    """Note that this run has met these events."""
    ids = {known.id for known in found if known and not known.is_claimed}
    conn.executemany("insert into temp.claimed values (?)", [(number,) for number in ids])


def is_better(origin: str, known: Known, usage: Usage) -> bool:
    """Tell whether an attempt's record says more than the one that the ledger has of it."""
    return usage.hash != known.hash and RANKS[origin] < RANKS[known.origin]


def find(
    conn: sqlite3.Connection, usages: list[Usage], rows: list[Row], *, origin: str
) -> list[Known | None]:
    """Give the event in the ledger that each attempt is; None where it is new.

    An event in the ledger answers once in a run. What comes from the queue, which never delivers
    an attempt twice, can only be a poorer record's.
    """
    moments = json.dumps([usage.occurred_at for usage in usages])
    pools: dict[int, list[Known]] = defaultdict(list)
    for event_id, digest, moment, way, claimed, *mark in conn.execute(FIND, {"moments": moments}):
        known = Known(event_id, digest, moment, way, bool(claimed), Mark(*mark))
        pools[moment].append(known)
    found: list[Known | None] = [None] * len(usages)
    wanted: dict[int, list[int]] = defaultdict(list)
    for at, usage in enumerate(usages):
        if usage.occurred_at in pools:
            wanted[usage.occurred_at].append(at)
    for moment, positions in wanted.items():
        pool = Pool(pools[moment], origin)
        marks = {at: (usages[at].hash, mark_of(usages[at], rows[at])) for at in positions}
        for at, known in pool.answers(marks).items():
            found[at] = known
    if origin != LIVE:
        claim(conn, found)
    return found


class Pool:
    """The events of one millisecond."""

    def __init__(self, known: list[Known], origin: str) -> None:
        self._by_hash = {each.hash: each for each in known}
        self._left = {
            each.id: each
            for each in known
            if not each.is_claimed and (origin != LIVE or RANKS[each.origin] > RANKS[origin])
        }

    def answers(self, marks: dict[int, tuple[bytes, Mark]]) -> dict[int, Known]:
        """Give the event that each attempt is: the same bytes first, then the best agreement."""
        found: dict[int, Known] = {}
        for at, (digest, _) in marks.items():
            if known := self._by_hash.get(digest):
                found[at] = known
                self._left.pop(known.id, None)
        for agree in (agrees_in_all, agrees_enough):
            for at, (_, mark) in marks.items():
                known = None if at in found else self._take(mark, agree)
                if known:
                    found[at] = known
        return found

    def _take(self, mark: Mark, agree: Agree) -> Known | None:
        number = next((i for i, known in self._left.items() if agree(mark, known.mark)), None)
        return None if number is None else self._left.pop(number)


def mark_of(usage: Usage, row: Row) -> Mark:
    """Give the mark of an attempt from its row."""
    return Mark(
        usage.payload.auth_index,
        row[MODEL],
        int(bool(row[FAILED])),
        row[LATENCY],
        row[REQUEST],
        row[CLIENT],
        row[TOTAL],
        row[OUTPUT],
    )


def agrees(one: Mark, other: Mark) -> bool:
    """Tell whether two marks contradict each other nowhere, token counts aside."""
    if (one.model_id, one.failed) != (other.model_id, other.failed):
        return False
    pairs = (
        (one.auth_index, other.auth_index),
        (one.latency_ms, other.latency_ms),
        (one.request_id, other.request_id),
        (one.client_id, other.client_id),
    )
    return all(a == b for a, b in pairs if a not in (None, "") and b not in (None, ""))


def agrees_in_all(one: Mark, other: Mark) -> bool:
    """Tell whether two marks agree, and in their token counts too."""
    counts = (one.total, one.output) == (other.total, other.output)
    return counts and agrees(one, other)


def agrees_enough(one: Mark, other: Mark) -> bool:
    """Tell whether two marks agree and something rare is the same, however tokens were counted."""
    is_telling = bool(
        (one.latency_ms and other.latency_ms) or (one.request_id and other.request_id)
    )
    return is_telling and agrees(one, other)
