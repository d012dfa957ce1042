"""Brute force over raw events: what every window, range and filter must come to."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ingest.parse import parse
from ingest.spool import Batch
from ingest.store import Store
from ledger import rollups
from ledger.data_folder import prepare
from ledger.integrity import check_all
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from ledger.prices.overrides import Price
from ledger.queries import ask, database_of
from runtime.proxies import find
from tests.support.home import set_clock

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_795_500_000_000
LENGTHS = {"1h": HOUR, "5h": 5 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWN = {"own-*": Price(input=2.0, output=8.0, cache_read=0.5)}
MEASURES = (
    "requests",
    "failed",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "total_tokens",
    "unpriced",
)
# The measures, the cost and the saving of no event.
NOTHING = (0,) * (len(MEASURES) + 2)

PROXY = "192.0.2.1:8317"
# Each example asks hundreds of queries: shrinking one takes minutes.
LONG_ONES = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)

Event = dict
Sums = dict[object, tuple[int, ...]]


def drawn(*, most: int, **fields: st.SearchStrategy) -> st.SearchStrategy[list[Event]]:
    """Draw up to so many events, whose `fields` a test chooses; the others are anything."""
    usual = {
        "input": st.integers(0, 1000),
        "output": st.integers(0, 1000),
        "latency": st.integers(0, 100_000),
        "failed": st.booleans(),
        "id": st.uuids().map(str),
    }
    return st.lists(st.fixed_dictionaries(usual | fields), min_size=1, max_size=most)


def random_uses(count: int, *, models: int = 3, seed: int = 5, days: int = 60) -> list[dict]:
    """Return random events of the days before `NOW`."""
    chance = Random(seed)
    return [
        {
            "at": NOW - chance.randrange(days * DAY),
            "account": chance.choice(["ann", "bob"]),
            "model": f"own-{chance.randrange(models)}",
            "client": chance.choice(["", "alpha1"]),
            "input": chance.randrange(1000),
            "output": chance.randrange(1000),
            "latency": 10,
            "failed": chance.random() < 0.2,
            "id": f"{seed}-{number}",
        }
        for number in range(count)
    ]


def local(at: int, zone: str) -> datetime:
    """Return an instant (ms) as local time."""
    return (EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))


def midnight(day: date, zone: str) -> int:
    """Return the first instant (ms) of a local day, found by a search."""
    at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) - 16 * HOUR
    while local(at, zone).date() < day:
        at += 15 * MINUTE
    return at


def span(now: int, zone: str, window: str) -> tuple[int, int]:
    """Return (start, end) of a named window at an instant."""
    if window == "today":
        return midnight(local(now, zone).date(), zone), now
    start = now - LENGTHS[window]
    return start - start % (MINUTE if LENGTHS[window] <= DAY else HOUR), now


def payload(event: Event) -> bytes:
    """Return an event as the proxy sends it."""
    at = EPOCH + timedelta(milliseconds=event["at"])
    raw = {
        "timestamp": at.isoformat(timespec="milliseconds"),
        "latency_ms": event["latency"],
        "ttft_ms": event["latency"] // 2,
        "source": f"{event['account']}@example.com",
        "auth_index": event["account"],
        "tokens": {
            "input_tokens": event["input"],
            "cached_tokens": event["input"] // 3,
            "output_tokens": event["output"],
            "total_tokens": event["input"] + event["output"],
        },
        "failed": event["failed"],
        "provider": "codex",
        "model": event["model"],
        "api_key": event["client"] and f"sk-fake-client-{event['client']}",
        "request_id": event["id"],
    }
    return json.dumps(raw).encode()


def row(event: Event) -> tuple[int, ...]:
    """Return the value that one event adds to each measure."""
    total = event["input"] + event["output"]
    # A success without tokens has no cost that could be known.
    unpriced = not event["model"].startswith("own-") if total else not event["failed"]
    cached = event["input"] // 3
    failed = int(event["failed"])
    return (1, failed, event["input"], cached, event["output"], total, int(unpriced))


def cost(event: Event) -> int:
    """Return an event's cost in micro-dollars."""
    if not event["model"].startswith("own-"):
        return 0
    cached = event["input"] // 3
    return round((event["input"] - cached) * 2.0 + cached * 0.5 + event["output"] * 8.0)


def saved(event: Event) -> int:
    """Return what the cache saved of an event's cost, in micro-dollars."""
    return round(event["input"] // 3 * 1.5) if event["model"].startswith("own-") else 0


def summed(events: Iterable[Event], key: Callable[[Event], object]) -> Sums:
    """Sum every measure, the cost and the saving by a key."""
    sums: dict[object, list[int]] = defaultdict(lambda: list(NOTHING))
    for event in events:
        parts = (*row(event), cost(event), saved(event))
        sums[key(event)] = [a + b for a, b in zip(sums[key(event)], parts, strict=True)]
    return {name: tuple(parts) for name, parts in sums.items()}


def asked(rows: list[dict], *key: str) -> Sums:
    """Return a query's rows in the same form, rows of one key together."""
    sums: dict[object, list[int]] = defaultdict(lambda: list(NOTHING))
    for row in rows:
        at = tuple(row[name] for name in key) if len(key) > 1 else row[key[0]]
        dollars = (round(row[name] * 1e6) for name in ("cost_dollars", "saved_dollars"))
        parts = (*(row[name] for name in MEASURES), *dollars)
        sums[at] = [a + b for a, b in zip(sums[at], parts, strict=True)]
    return {name: tuple(parts) for name, parts in sums.items()}


class Ledger:
    """A ledger in a folder of its own, fed in batches, with a clock that tests set."""

    def __init__(
        self,
        folder: Path,
        zone: str,
        *,
        recent_from: int | None = None,
        prices: dict[str, Price] = OWN,
    ) -> None:
        self.conn = prepare(folder, timezone=zone)
        if recent_from is not None:
            self.conn.execute("update rollup_state set recent_from = ?", (recent_from,))
        self.salt = load_salt(folder)
        self.prices = prices
        self.stores: dict[str, Store] = {}
        self.store = self.at(PROXY)
        self.number = 0

    def at(self, proxy: str) -> Store:
        """Return the store of a proxy's events."""
        if proxy not in self.stores:
            proxy_id = find(self.conn, proxy)
            self.stores[proxy] = Store(self.conn, proxy_id, self.salt, Prices(self.prices))
        return self.stores[proxy]

    def keep(self, events: list[Event], *, popped_at: int = 0) -> None:
        """Store a batch of each proxy through the product's own parse and store."""
        self.number += 1
        for proxy in dict.fromkeys(event.get("proxy", PROXY) for event in events) or [PROXY]:
            records = [payload(one) for one in events if one.get("proxy", PROXY) == proxy]
            batch = Batch(self.number, "resp", popped_at, records)
            self.at(proxy).write(batch, map(parse, records))

    def set_clock(self, now: int) -> None:
        """Set the clock to an instant (ms)."""
        set_clock(self.conn, now)

    def ask(self, name: str, **given: str) -> list[dict]:
        """Return the rows of a canned query."""
        return ask(database_of(self.conn), name, **given)

    def close(self) -> None:
        """Close the file."""
        self.conn.close()


def old_events(count: int, seed: int = 3) -> list[dict]:
    """Return events of the 60 days before `NOW`."""
    chance = Random(seed)
    return [
        {
            "at": NOW - chance.randrange(60 * DAY),
            "account": chance.choice(["ann", "bob"]),
            "model": chance.choice(["own-large", "own-small", "unknown-model"]),
            "client": chance.choice(["", "alpha1", "beta22"]),
            "input": chance.randrange(1000),
            "output": chance.randrange(1000),
            "latency": chance.randrange(100_000),
            "failed": chance.random() < 0.2,
            "id": f"{seed}-{n}",
        }
        for n in range(count)
    ]


def dump(conn: sqlite3.Connection, table: str) -> list[tuple]:
    """Return a table's rows, sorted."""
    with closing(conn.execute(f"select * from {table}")) as cursor:
        return sorted(cursor.fetchall())


def rollup_contents(ledger: Ledger) -> dict[str, list[tuple]]:
    """Return every rollup's rows."""
    names = (*rollups.tables(), "last_failures")
    return {name: dump(ledger.conn, name) for name in names}


def everything_holds(ledger: Ledger) -> bool:
    """Return whether the ledger's own check finds no problem."""
    return not [question for question, problem in check_all(ledger.conn) if problem]
