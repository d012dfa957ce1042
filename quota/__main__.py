"""`python -m quota [--once] [--force]`: keep the quotas of all accounts fresh."""

import sqlite3
import sys

from ledger import transaction
from quota.asking import Asker
from quota.choice import KeyProof, source_of
from quota.job import Parts, Poller
from quota.listening import Listener
from quota.report import print_quotas
from worker import proxies
from worker.loop import Job
from worker.start import Given, start

REST_SECONDS = 1.0
# After so many missed polls a number is too old to say "usable" by; an hour at least.
MISSED, STALE_MS = 3, 3_600_000


def poller(given: Given) -> Job:
    """Wire the quota worker of the configured proxy."""
    conn, settings = given.conn, given.settings
    where = proxies.address(settings.cliproxy_host, settings.cliproxy_port)
    proxy_id = proxies.find(conn, where.partition("://")[2])
    note_staleness(conn, settings.quota_refresh_seconds)
    source = source_of(given, where, proxy_id)
    if source is None:
        return Listener(conn)
    asker = Asker(
        conn,
        source,
        refresh_ms=settings.quota_refresh_seconds * 1000,
        urls=settings.provider_urls,
    )
    waits = settings.management_key and not given.options.once
    proof = KeyProof(conn, proxy_id) if waits else lambda: True
    return Poller(Parts(conn, proxy_id, source, asker, proof), force=given.options.force)


def note_staleness(conn: sqlite3.Connection, refresh_seconds: int) -> None:
    """Tell the views from what age on a quota says nothing about now."""
    stale_ms = max(STALE_MS, MISSED * refresh_seconds * 1000)
    with transaction(conn):
        conn.execute(
            "insert or replace into settings (name, value) values ('quota_stale_ms', ?)",
            (str(stale_ms),),
        )


def main() -> None:
    """Run the worker."""
    start(
        "quota",
        poller,
        rest=lambda settings: REST_SECONDS,
        flags={"force": "ask every account now that may be asked; with --once, print all quotas"},
        finish=finish,
    )


def finish(given: Given) -> None:
    """Print the quotas where they were asked for."""
    if given.options.once and given.options.force:
        print_quotas(given.conn, sys.stdout)


if __name__ == "__main__":
    main()
