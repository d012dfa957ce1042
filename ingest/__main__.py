"""`python -m ingest [--once]`: collect the proxies' usage events; `python -m ingest replay`."""

import sys
from functools import partial
from typing import NamedTuple

from ingest import former, proxies, replay
from ingest.asking import Asker, Told
from ingest.job import Collector, Parts
from ingest.management import Management
from ingest.reconcile import Reconciliation
from ingest.source import source
from ingest.spool import Spool, file_of
from ingest.store import Store
from ingest.thinning import Thinning
from ledger import Unavailable
from ledger.file import NAME
from ledger.keys import Salt, load_salt
from ledger.presence import Presence
from ledger.prices import Prices
from ledger.settings import Proxy, require_key
from ledger.wal import Wal
from runtime.proxies import find_all
from runtime.refusals import Refusals
from runtime.start import Given, Task, start_tasks
from runtime.tasks import for_each


class Known(NamedTuple):
    """What every collector is told: the salt, the prices, whose last collector was killed."""

    salt: Salt
    prices: Prices
    killed: frozenset[int]


def collectors(given: Given) -> list[Task]:
    """Plan a collector for each proxy, once what former ones left behind is in the ledger."""
    conn, settings = given.conn, given.settings
    require_key(settings)
    salt, prices = load_salt(settings.data_folder), Prices(settings.prices)
    pool = settings.pool
    ids = find_all(conn, pool)
    killed = frozenset(id_ for id_ in ids if proxies.was_killed(conn, id_))

    def store(proxy_id: int) -> Store:
        return Store(conn, proxy_id, salt, prices)

    former.settle(conn, settings.data_folder, ids, store)
    make = partial(collector, Known(salt, prices, killed))
    return for_each("ingest", zip(ids, pool, strict=True), make)


def collector(known: Known, given: Given, proxy_id: int, proxy: Proxy) -> Collector:
    """Wire the collector of one proxy."""
    conn, settings = given.conn, given.settings
    collection = proxies.Collection(conn, proxy_id)
    refusals = Refusals(conn, proxy_id, known.salt.key(proxy.key))
    told = Told(collection, Reconciliation(conn, proxy_id), refusals)
    file = settings.data_folder / NAME
    parts = Parts(
        source=source(proxy, settings.usage_source),
        asker=Asker(Management(proxy.url, proxy.key), told),
        spool=Spool(file_of(settings.data_folder, proxy_id)),
        store=Store(conn, proxy_id, known.salt, known.prices),
        collection=collection,
        refusals=refusals,
        presence=Presence(file),
        wal=Wal(conn, file),
        thinning=Thinning(conn, settings.keep_events_days),
    )
    job = Collector(parts, batch_size=settings.batch_size)
    try:
        job.recover(was_killed=proxy_id in known.killed)
    except Unavailable:
        job.close()
        raise
    return job


def main() -> None:
    """Run the worker, or replay rejected records."""
    if sys.argv[1:] == ["replay"]:
        replay.main()
        return
    start_tasks("ingest", collectors, rest=lambda settings: settings.poll_interval_seconds)


if __name__ == "__main__":
    main()
