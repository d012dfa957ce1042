"""`python -m ingest [--once]`: collect the proxy's usage events."""

from ingest import proxies
from ingest.job import Collector, Parts
from ingest.management import Management
from ingest.source import source
from ingest.spool import Spool
from ingest.store import Store
from ledger.keys import load_salt
from ledger.prices import Prices
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
    parts = Parts(
        source=source(settings),
        management=Management(where, settings.management_key),
        spool=Spool(settings.data_folder / "ingest.spool"),
        store=Store(conn, proxy_id, salt, Prices(settings.prices)),
        collection=proxies.Collection(conn, proxy_id),
        refusals=Refusals(conn, proxy_id, salt.key(settings.management_key)),
    )
    job = Collector(parts, batch_size=settings.batch_size)
    job.recover(was_killed=proxies.was_killed(conn))
    return job


def main() -> None:
    """Run the worker."""
    start("ingest", collector, rest=lambda settings: settings.poll_interval_seconds)


if __name__ == "__main__":
    main()
