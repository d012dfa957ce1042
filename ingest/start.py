"""Start the collector: a task for each proxy."""

from functools import partial
from typing import NamedTuple, NoReturn

from ingest import price_updates, proxies
from ingest.collector import Collector, Parts
from ingest.idle import Retention, StatusPoll, StatusTarget
from ingest.management import Management
from ingest.reconcile import Reconciliation
from ingest.source import make_source
from ingest.spool import Spool, spool_file
from ingest.store import Store
from ledger import Unavailable
from ledger.database import FILE_NAME, FileIdentity, Wal
from ledger.keys import Salt, load_salt
from ledger.prices.calculator import Prices
from ledger.settings import Proxy, require_key
from runtime.proxies import find_all
from runtime.refusals import Refusals
from runtime.tasks import Context, Task, for_each, start_tasks


class Shared(NamedTuple):
    """What all collectors share: the salt, the prices, the proxies whose collector was killed."""

    salt: Salt
    prices: Prices
    killed: frozenset[int]


def collectors(context: Context) -> list[Task]:
    """Return a task for each proxy, after settling the removed proxies."""
    conn, settings = context.conn, context.settings
    require_key(settings)
    salt, prices = load_salt(settings.data_folder), Prices.configured(settings)
    price_updates.start(prices, settings, context.stop)
    pool = settings.pool
    ids = find_all(conn, pool)
    killed = frozenset(proxy_id for proxy_id in ids if proxies.was_killed(conn, proxy_id))

    def make_store(proxy_id: int) -> Store:
        return Store(conn, proxy_id, salt, prices)

    proxies.settle_removed(conn, settings.data_folder, ids, make_store)
    make = partial(make_collector, Shared(salt, prices, killed))
    return for_each("ingest", zip(ids, pool, strict=True), make)


def make_collector(shared: Shared, context: Context, proxy_id: int, proxy: Proxy) -> Collector:
    """Return the collector of one proxy."""
    conn, settings = context.conn, context.settings
    row = proxies.ProxyRow(conn, proxy_id)
    refusals = Refusals(conn, proxy_id, shared.salt.key(proxy.key))
    target = StatusTarget(row, Reconciliation(conn, proxy_id), refusals)
    file = settings.data_folder / FILE_NAME
    parts = Parts(
        source=make_source(proxy, settings.usage_source),
        spool=Spool(spool_file(settings.data_folder, proxy_id)),
        store=Store(conn, proxy_id, shared.salt, shared.prices),
        proxy=row,
        refusals=refusals,
        file_identity=FileIdentity(file),
        wal=Wal(conn, file),
        status_poll=StatusPoll(Management(proxy.url, proxy.key), target),
        retention=Retention(conn, settings.keep_events_days),
    )
    collector = Collector(parts, batch_size=settings.batch_size)
    try:
        collector.recover(was_killed=proxy_id in shared.killed)
    except Unavailable:
        collector.close()
        raise
    return collector


def main(*, once: bool) -> NoReturn:
    """Run the worker; with `once`, until nothing is left to do."""
    start_tasks(
        "ingest", collectors, rest=lambda settings: settings.poll_interval_seconds, once=once
    )
