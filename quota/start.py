"""Start the quota worker: a poller for each proxy."""

import sys
from functools import partial

from ledger import settings
from ledger.keys import load_salt
from ledger.locks import LockHeld
from ledger.settings import Proxy
from quota.account_list import listed_accounts
from quota.account_sync import delete_other_proxies
from quota.decisions import store_staleness
from quota.pace import Pace
from quota.poll import AccountPoller, PollLocks
from quota.refresh_requests import RefreshProgress
from quota.report import print_quotas, refresh_by_running_worker
from quota.sources.choice import KeyDelay, choose_source, require_source
from quota.verdict import STALE_MS
from quota.worker import PollerParts, ProxyPoller, Shared, SignalReader, SignalWatch
from runtime.loop import Job
from runtime.proxies import find_all
from runtime.tasks import Context, Task, for_each, start_tasks

REST_SECONDS = 1.0


def plan_tasks(force: bool, context: Context) -> list[Task]:
    """Return a poller for each proxy, or only the signal reader where nothing is polled."""
    conn, settings = context.conn, context.settings
    if settings.quota_source == "off":
        store_staleness(conn, STALE_MS)
        return [Task("quota", lambda context: SignalReader(context.conn))]
    require_source(settings)
    ids = find_all(conn, settings.pool)
    delete_other_proxies(conn, ids)
    # Threads must not create the salt at the same time.
    load_salt(settings.data_folder)
    pace = Pace(settings.quota_calls_per_minute)
    shared = Shared(RefreshProgress(listed_accounts(conn, ids)), PollLocks(), pace)
    make = partial(make_poller, shared, force)
    return for_each("quota", zip(ids, settings.pool, strict=True), make)


def make_poller(shared: Shared, force: bool, context: Context, proxy_id: int, proxy: Proxy) -> Job:
    """Return the poller of one proxy."""
    conn, settings = context.conn, context.settings
    watch = SignalWatch(conn, context.stop.check)
    salt = load_salt(settings.data_folder)
    source = choose_source(context, salt, proxy, proxy_id=proxy_id, should_stop=watch)
    account_poller = AccountPoller(
        conn,
        source,
        refresh_ms=settings.quota_refresh_seconds * 1000,
        urls=settings.provider_urls,
    )
    rest = context.stop.rest if context.once else None
    parts = PollerParts(conn, proxy_id, source, account_poller, rest=rest)
    if proxy.key and source.name != "files" and not context.once:
        parts = parts._replace(may_poll=KeyDelay(conn, proxy_id).is_over)
    return ProxyPoller(parts, force=force, shared=shared)


def main(*, once: bool, force: bool) -> None:
    """Run the worker; where one is running already, let it refresh for `once` with `force`."""
    try:
        start_tasks(
            "quota",
            partial(plan_tasks, force),
            rest=lambda _: REST_SECONDS,
            once=once,
            finish=print_all if once and force else None,
        )
    except LockHeld:
        if not (once and force):
            raise
        refresh_by_running_worker(settings.load(), sys.stdout)


def print_all(context: Context) -> None:
    """Print the quotas."""
    print_quotas(context.conn, sys.stdout)
