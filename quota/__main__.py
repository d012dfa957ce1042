"""`python -m quota [--once] [--force]`: keep the quotas of all accounts fresh."""

import sqlite3
import sys

from ledger import transaction
from quota.asking import Asker
from quota.choice import KeyProof, source_of
from quota.job import Parts, Poller
from quota.listening import Listener
from quota.report import print_quotas, refresh_elsewhere
from worker import proxies, settings
from worker.lock import Held
from worker.loop import Job
from worker.start import Given, arguments, start

FLAGS = {"force": "ask every account now that may be asked; with --once, print all quotas"}
REST_SECONDS = 1.0
# After so many missed polls a number is too old to say "usable" by; an hour at least.
MISSED, STALE_MS = 3, 3_600_000


def poller(given: Given) -> Job:
    """Wire the quota worker of the configured proxy."""
    conn, chosen = given.conn, given.settings
    where = proxies.address(chosen.cliproxy_host, chosen.cliproxy_port)
    proxy_id = proxies.find(conn, where.partition("://")[2])
    note_staleness(conn, chosen.quota_refresh_seconds)
    source = source_of(given, where, proxy_id)
    if source is None:
        return Listener(conn)
    asker = Asker(
        conn,
        source,
        refresh_ms=chosen.quota_refresh_seconds * 1000,
        urls=chosen.provider_urls,
    )
    parts = Parts(conn, proxy_id, source, asker)
    if chosen.management_key and source.name != "files" and not given.options.once:
        parts = parts._replace(may_ask=KeyProof(conn, proxy_id))
    return Poller(parts, force=given.options.force)


def note_staleness(conn: sqlite3.Connection, refresh_seconds: int) -> None:
    """Tell the views from what age on a quota says nothing about now."""
    stale_ms = max(STALE_MS, MISSED * refresh_seconds * 1000)
    with transaction(conn):
        conn.execute(
            "insert or replace into settings (name, value) values ('quota_stale_ms', ?)",
            (str(stale_ms),),
        )


def main() -> None:
    """Run the worker; where one runs already, let that one refresh for `--once --force`."""
    try:
        start("quota", poller, rest=lambda _: REST_SECONDS, flags=FLAGS, finish=finish)
    except Held:
        options = arguments("quota", FLAGS)
        if not (options.once and options.force):
            raise
        refresh_elsewhere(settings.load(), sys.stdout)


def finish(given: Given) -> None:
    """Print the quotas where they were asked for."""
    if given.options.once and given.options.force:
        print_quotas(given.conn, sys.stdout)


if __name__ == "__main__":
    main()
