"""Print quotas in the shape that users of the original script know."""

import json
import sqlite3
from typing import TextIO

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
