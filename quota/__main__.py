"""`python -m quota [--once] [--force]`: keep the quotas of all accounts fresh."""

import sqlite3
import sys
from functools import partial

from ledger import transaction
from ledger.keys import Salt, load_salt
from quota.accounts import forget_others
from quota.asking import Asker
from quota.choice import KeyProof, require_source, source_of
from quota.claims import Claims
from quota.job import Parts, Poller, Shared
from quota.listening import Listener
from quota.members import listed
from quota.report import print_quotas, refresh_elsewhere
from quota.wishes import Wishes
from runtime import settings
from runtime.lock import Held
from runtime.loop import Job
from runtime.pool import Proxy
from runtime.proxies import find_all
from runtime.start import Given, Task, arguments, start_tasks
from runtime.tasks import for_each

FLAGS = {"force": "ask every account now that may be asked; with --once, print all quotas"}
REST_SECONDS = 1.0
# After so many missed polls a number is too old to say "usable" by; an hour at least.
MISSED, STALE_MS = 3, 3_600_000


def pollers(given: Given) -> list[Task]:
    """Plan a poller for each proxy, or none of them where nobody is to be asked."""
    conn, chosen = given.conn, given.settings
    note_staleness(conn, chosen.quota_refresh_seconds)
    if chosen.quota_source == "off":
        return [Task("quota", lambda given: Listener(given.conn))]
    require_source(chosen)
    ids = find_all(conn, chosen.pool)
    forget_others(conn, ids)
    salt, shared = load_salt(chosen.data_folder), Shared(Wishes(listed(conn, ids)), Claims())
    make = partial(poller, salt, shared)
    return for_each("quota", zip(ids, chosen.pool, strict=True), make)


def poller(salt: Salt, shared: Shared, given: Given, proxy_id: int, proxy: Proxy) -> Job:
    """Wire the poller of one proxy."""
    conn, chosen = given.conn, given.settings
    source = source_of(given, salt, proxy, proxy_id)
    asker = Asker(
        conn,
        source,
        refresh_ms=chosen.quota_refresh_seconds * 1000,
        urls=chosen.provider_urls,
    )
    parts = Parts(conn, proxy_id, source, asker)
    if proxy.key and source.name != "files" and not given.options.once:
        parts = parts._replace(may_ask=KeyProof(conn, proxy_id))
    return Poller(parts, force=given.options.force, shared=shared)


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
        start_tasks("quota", pollers, rest=lambda _: REST_SECONDS, flags=FLAGS, finish=finish)
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
