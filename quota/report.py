"""Print quotas in the shape that users of the original script know, and the next account."""

import json
import sqlite3
import time
from contextlib import closing
from typing import TextIO

from ledger import connect
from ledger.database import FILE_NAME
from ledger.queries import ask, database_of
from ledger.settings import Settings
from quota.refresh_requests import add_request, is_answered
from runtime.heartbeat import now

WAIT_SECONDS, CHECK_SECONDS = 120.0, 0.2

SHAPE = (
    "email",
    "plan",
    "allowed",
    "limit_reached",
    "primary_used_percent",
    "primary_remaining_percent",
    "primary_reset_at",
    "secondary_used_percent",
    "secondary_remaining_percent",
    "secondary_reset_at",
    "credits_balance",
    "timestamp",
    "ts_epoch",
)
QUOTAS = f"select {', '.join(SHAPE)} from account_quotas order by email, plan"


def print_quotas(conn: sqlite3.Connection, out: TextIO) -> None:
    """Write every account's quota as JSON; null is unknown."""
    rows = [dict(zip(SHAPE, row, strict=True)) for row in conn.execute(QUOTAS)]
    print(json.dumps({"quotas": rows}, ensure_ascii=False, indent=2), file=out)


def print_next_account(settings: Settings, out: TextIO, *, provider: str, model: str) -> int:
    """Write the account to use next as JSON; returns 0, or 1 where none is usable now."""
    with closing(connect(settings.data_folder / FILE_NAME)) as conn:
        rows = ask(database_of(conn), "next_account", provider=provider, model=model)
    best = rows[0] if rows else None
    print(json.dumps({"next": best}, ensure_ascii=False, indent=2), file=out)
    return 0 if best and best["usable"] == "yes" else 1


def refresh_by_running_worker(settings: Settings, out: TextIO) -> None:
    """Let the worker that is running refresh every account, then print all quotas."""
    with closing(connect(settings.data_folder / FILE_NAME)) as conn:
        request_id = add_request(conn, now=now())
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until and not is_answered(conn, request_id):
            time.sleep(CHECK_SECONDS)
        print_quotas(conn, out)
