"""The quotas of the demo's past: what a worker that asked every hour would have kept."""

import json
import sqlite3
from collections.abc import Iterator

from demo import auth_files, pool
from demo.providers import VIEWS
from demo.proxy import Proxy
from demo.quota import Quotas
from ledger import transaction
from quota.accounts import bind
from quota.identity import from_listing
from quota.members import keep_members
from quota.model import Answer, Reading
from quota.providers import PROVIDERS
from quota.source import Found
from quota.store import Attempt, write
from runtime.proxies import find

EVERY_SECONDS = 3600.0


def keep(
    conn: sqlite3.Connection, proxy: Proxy, quotas: Quotas, *, start: float, end: float
) -> None:
    """Write what every account's provider would have answered, every hour; unix seconds."""
    accounts = {account.file: account for account in proxy.accounts}
    entries = auth_files.listing(proxy.accounts, proxy.tally, since=start)
    found = [Found(one, "demo") for one in map(from_listing, entries) if one]
    members = bind(conn, find(conn, f"127.0.0.1:{proxy.port}"), found)
    keep_members(conn, members, "management")
    with transaction(conn):
        for account_id, of in members.items():
            account = accounts[of[0].credential.file_name]
            if account is not pool.ERIN:
                for reading in readings(account, quotas, start=start, end=end):
                    at = reading.observed_at
                    write(conn, account_id, reading, Attempt(at, at, "management", "demo"))


def readings(
    account: pool.Account, quotas: Quotas, *, start: float, end: float
) -> Iterator[Reading]:
    """Give what an account's provider would have answered, oldest first."""
    view = next(view for (name, _, _), view in VIEWS.items() if name == account.provider)
    at = start
    while at < end:
        body = json.dumps(view(account, quotas, at))
        yield PROVIDERS[account.provider].parse(Answer(200, {}, body, int(at * 1000)), None)
        at += EVERY_SECONDS
