"""`python -m ingest replay`: parse rejected records again, after an upgrade.

A record that is stored is counted under the source `replay`, and the rejected one is marked in the
same transaction; one that is still rejected stays unchanged.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import NamedTuple

from ingest.parse import Rejected, Usage, parse
from ingest.spool import Batch
from ingest.store import TOO_OLD, Store
from ledger import SchemaMismatch, Unavailable, retention, settings
from ledger.data_folder import prepare
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from runtime.heartbeat import now

CHUNK = 500
SOURCE = "replay"
NEXT_RECORDS = """
  select id, proxy_id, record
  from rejected_events
  where replayed_at is null and form = 'json' and id > ?
  order by id
  limit ?
"""


class Record(NamedTuple):
    """A rejected record."""

    id: int
    proxy_id: int
    text: str


def replay(conn: sqlite3.Connection, make_store: Callable[[int], Store]) -> Counter[str]:
    """Replay every record that is not replayed yet.

    Returns the numbers of `stored` and `duplicate` ones, and of the others by reason.
    """
    result: Counter[str] = Counter()
    for chunk in chunks(conn):
        oldest = retention.complete_from(conn)
        for proxy_id in sorted({record.proxy_id for record in chunk}):
            of_proxy = [record for record in chunk if record.proxy_id == proxy_id]
            result += replay_chunk(make_store(proxy_id), of_proxy, oldest)
    return result


def chunks(conn: sqlite3.Connection) -> Iterator[list[Record]]:
    """Yield lists of records that are not replayed yet."""
    after = 0
    while rows := conn.execute(NEXT_RECORDS, (after, CHUNK)).fetchall():
        yield [Record(*row) for row in rows]
        after = rows[-1][0]


def replay_chunk(store: Store, records: list[Record], oldest: int) -> Counter[str]:
    """Store the records that are valid now, and mark them, in one transaction."""
    result: Counter[str] = Counter()
    valid: list[tuple[Record, Usage]] = []
    for record in records:
        parsed = parse(record.text.encode())
        if isinstance(parsed, Rejected):
            result[parsed.reason] += 1
        elif parsed.occurred_at < oldest:
            result[TOO_OLD] += 1
        else:
            valid.append((record, parsed))
    if valid:
        batch = Batch(0, SOURCE, now(), [record.text.encode() for record, _ in valid])
        usages, ids = [usage for _, usage in valid], [record.id for record, _ in valid]
        counts = store.replay(batch, usages, ids)
        result["stored"] += counts.stored
        result["duplicate"] += counts.duplicate
    return result


def main() -> None:
    """Replay, and print the result."""
    current = settings.load()
    try:
        with closing(
            prepare(current.data_folder, timezone=current.zone_name, names=current.aliases)
        ) as conn:
            salt, prices = load_salt(current.data_folder), Prices.configured(current)
            result = replay(conn, cache(lambda proxy_id: Store(conn, proxy_id, salt, prices)))
    except (Unavailable, SchemaMismatch) as error:
        raise SystemExit(f"Not replayed: {error}.") from error
    stored, duplicate = result.pop("stored", 0), result.pop("duplicate", 0)
    print(f"{stored:,} stored, {duplicate:,} duplicate, {result.total():,} still rejected.")
    for reason, count in result.most_common():
        print(f"  {count:,}  {reason}")
