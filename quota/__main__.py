"""`python -m quota [--once] [--force]`: keep the quotas of all accounts fresh."""

import sqlite3
import sys
import time

from ledger import transaction
from ledger.keys import load_salt
from quota.asking import Asker
from quota.job import Parts, Poller
from quota.listening import Listener
from quota.report import print_quotas
from quota.source import Source
from quota.source_auto import Auto
from quota.source_files import Files
from quota.source_management import Management
from worker import proxies
from worker.heartbeat import now
from worker.loop import Job
from worker.refusals import Refusals
from worker.start import Given, start

REST_SECONDS = 1.0
# The collector tries a new management key first: five wrong ones ban the address.
KEY_FIRST_SECONDS, KEY_PROOF_MS = 5.0, 60_000
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


def source_of(given: Given, where: str, proxy_id: int) -> Source | None:
    """Choose where quotas come from; None is nowhere."""
    settings = given.settings
    files = Files(settings.auth_folder, given.stop)
    if settings.quota_source == "off":
        return None
    if settings.quota_source == "files":
        return files
    if not settings.management_key:
        return files if settings.quota_source == "auto" else refuse()
    key = load_salt(settings.data_folder).key(settings.management_key)
    management = Management(
        address=where,
        key=settings.management_key,
        refusals=Refusals(given.conn, proxy_id, key),
        stop=given.stop,
    )
    return management if settings.quota_source == "management" else Auto(management, files)


def refuse() -> Source:
    """End with a sentence: the proxy does not talk to strangers."""
    raise SystemExit("quota_source is management, but management_key is not set.")


class KeyProof:
    """Tells whether the management key may be tried: the collector goes first."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._began_at = now()
        self._until = time.monotonic() + KEY_FIRST_SECONDS

    def __call__(self) -> bool:
        """Tell whether another worker's pop has just worked, or none has for a while."""
        if time.monotonic() >= self._until:
            return True
        sql = "select last_pop_at from proxies where id = ?"
        (popped_at,) = self._conn.execute(sql, (self._proxy_id,)).fetchone()
        return popped_at is not None and popped_at >= self._began_at - KEY_PROOF_MS


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
