"""`python -m ingest [--once]`: collect the proxy's usage events; `python -m ingest replay`."""

import sys

from ingest import proxies, replay
from ingest.asking import Asker, Told
from ingest.job import Collector, Parts
from ingest.management import Management
from ingest.reconcile import Reconciliation
from ingest.source import source
from ingest.spool import Spool
from ingest.store import Store
from ingest.thinning import Thinning
from ledger.file import NAME
from ledger.keys import load_salt
from ledger.presence import Presence
from ledger.prices import Prices
from ledger.wal import Wal
from worker.proxies import address, find
from worker.refusals import Refusals
from worker.settings import require_key
from worker.start import Given, start


def collector(given: Given) -> Collector:
    """Wire the collector of the configured proxy."""
    conn, settings = given.conn, given.settings
    require_key(settings)
    salt = load_salt(settings.data_folder)
    where = address(settings.cliproxy_host, settings.cliproxy_port)
    name = where.partition("://")[2]
    proxy_id = find(conn, name)
    collection = proxies.Collection(conn, proxy_id)
    refusals = Refusals(conn, proxy_id, salt.key(settings.management_key))
    told = Told(collection, Reconciliation(conn, proxy_id), refusals)
    file = settings.data_folder / NAME
    parts = Parts(
        source=source(settings),
        asker=Asker(Management(where, settings.management_key), told),
        spool=Spool(settings.data_folder / "ingest.spool"),
        store=Store(conn, proxy_id, salt, Prices(settings.prices)),
        collection=collection,
        refusals=refusals,
        presence=Presence(file),
        wal=Wal(conn, file),
        thinning=Thinning(conn, settings.keep_events_days),
    )
    job = Collector(parts, batch_size=settings.batch_size)
    job.recover(was_killed=proxies.was_killed(conn))
    return job


def main() -> None:
    """Run the worker, or replay rejected records."""
    if sys.argv[1:] == ["replay"]:
        replay.main()
        return
    start("ingest", collector, rest=lambda settings: settings.poll_interval_seconds)


if __name__ == "__main__":
    main()
