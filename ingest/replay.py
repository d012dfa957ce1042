"""`python -m ingest replay`: try records again that an earlier version did not understand.

A record that is stored is counted under the source `replay`, and the rejected one is marked in the
same transaction; one that is still not understood stays as it is.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator

from ingest.parse import Rejected, Usage, parse
from ingest.spool import Batch
from ingest.store import UNKEPT, Store
from ledger import NewerLedger, Unavailable, prepare, retention, settings
from ledger.keys import load_salt
from ledger.prices import Prices
from runtime.heartbeat import now

AT_ONCE = 500
SOURCE = "replay"
LEFT = """
  select id, proxy_id, record
  from rejected_events
  where replayed_at is null and form = 'json' and id > ?
  order by id
  limit ?
"""

Left = tuple[int, int, str]


def replay(conn: sqlite3.Connection, make_store: Callable[[int], Store]) -> Counter[str]:
    """Replay every record that can be; give how many were stored, were duplicates, and why not."""
    told: Counter[str] = Counter()
    for some in stretches(conn):
        for proxy_id in sorted({proxy_id for _, proxy_id, _ in some}):
            of_proxy = [left for left in some if left[1] == proxy_id]
            told += replay_some(make_store(proxy_id), of_proxy, retention.complete_from(conn))
    return told


def stretches(conn: sqlite3.Connection) -> Iterator[list[Left]]:
    """Give the records that are left, some at a time."""
    after = 0
    while some := conn.execute(LEFT, (after, AT_ONCE)).fetchall():
        yield some
        after = some[-1][0]


def replay_some(store: Store, some: list[Left], kept_from: int) -> Counter[str]:
    """Store what is understood now, with its marks, in one transaction."""
    told: Counter[str] = Counter()
    understood: list[tuple[int, bytes, Usage]] = []
    for number, _, record in some:
        found = parse(record.encode())
        if isinstance(found, Rejected):
            told[found.reason] += 1
        elif found.occurred_at < kept_from:
            told[UNKEPT] += 1
        else:
            understood.append((number, record.encode(), found))
    if understood:
        records = [record for _, record, _ in understood]
        marks = [(number,) for number, _, _ in understood]
        counts = store.replay(Batch(0, SOURCE, now(), records), [u for *_, u in understood], marks)
        told["stored"] += counts.stored
        told["duplicate"] += counts.duplicate
    return told


class StoreMaker:
    """Makes the store of a proxy, once."""

    def __init__(self, conn: sqlite3.Connection, chosen: settings.Settings) -> None:
        self._conn = conn
        self._salt = load_salt(chosen.data_folder)
        self._prices = Prices(chosen.prices)
        self._made: dict[int, Store] = {}

    def __call__(self, proxy_id: int) -> Store:
        """Give the store of a proxy."""
        if proxy_id not in self._made:
            self._made[proxy_id] = Store(self._conn, proxy_id, self._salt, self._prices)
        return self._made[proxy_id]


def main() -> None:
    """Replay, and say what came of it."""
    chosen = settings.load()
    try:
        conn = prepare(chosen.data_folder, timezone=chosen.zone_name, names=chosen.aliases)
        told = replay(conn, StoreMaker(conn, chosen))
        conn.close()
    except (Unavailable, NewerLedger) as error:
        raise SystemExit(f"Not replayed: {error}.") from error
    stored, duplicate = told.pop("stored", 0), told.pop("duplicate", 0)
    print(f"{stored:,} stored, {duplicate:,} duplicate, {told.total():,} still rejected.")
    for reason, many in told.most_common():
        print(f"  {many:,}  {reason}")
