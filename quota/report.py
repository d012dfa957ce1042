"""Print quotas in the shape that users of the original script know."""

import json
import sqlite3
import time
from contextlib import closing
from typing import TextIO

from ledger import connect, transaction
from ledger.file import NAME
from runtime.heartbeat import now
from runtime.settings import Settings

PATIENCE_SECONDS, LOOK_SECONDS = 120.0, 0.2

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


def print_quotas(conn: sqlite3.Connection, to: TextIO) -> None:
    """Write every account's quota as JSON; null is unknown."""
    rows = [dict(zip(SHAPE, row, strict=True)) for row in conn.execute(QUOTAS)]
    print(json.dumps({"quotas": rows}, ensure_ascii=False, indent=2), file=to)


def refresh_elsewhere(chosen: Settings, to: TextIO) -> None:
    """Let the worker that is running refresh every account, then print all quotas."""
    with closing(connect(chosen.data_folder / NAME)) as conn:
        with transaction(conn):
            asked = conn.execute(
                "insert into quota_requests (requested_at) values (?)", (now(),)
            ).lastrowid
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and not is_answered(conn, asked):
            time.sleep(LOOK_SECONDS)
        print_quotas(conn, to)


def is_answered(conn: sqlite3.Connection, asked: int | None) -> bool:
    """Tell whether a request has its answer."""
    sql = "select answered_at is not null from quota_requests where id = ?"
    return bool(conn.execute(sql, (asked,)).fetchone()[0])
