"""A ledger in memory for quota tests: the whole schema, the views, a fixed clock."""

import sqlite3
from dataclasses import astuple
from typing import Any

from ledger import schema
from quota.history import COLUMNS
from quota.model import Window
from tests.support.brute import HOUR, NOW
from tests.support.home import ROOT, set_clock
from tests.support.quota_samples import AT

VIEW_FILES = sorted(ROOT.glob("views*.sql"))
RESETS = {"5h": AT + 2 * HOUR, "7d": AT + 50 * HOUR}


def views() -> str:
    """Return the script of all views."""
    return "".join(file.read_text("utf-8") for file in VIEW_FILES)


def ledger(now: int) -> sqlite3.Connection:
    """Return an empty ledger whose views take this instant as now."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("pragma foreign_keys = on")
    for _, script in schema.steps():
        conn.executescript(script)
    conn.executescript(views())
    conn.execute("insert into proxies (name) values ('127.0.0.1:8317')")
    set_clock(conn, now)
    return conn


def add_account(conn: sqlite3.Connection, provider: str = "codex", **state: Any) -> int:
    """Add an account with one credential, and a row of its state for `state`."""
    label = f"user{conn.execute('select count(*) from known_accounts').fetchone()[0]}@example.com"
    sql = "insert into known_accounts (provider, label) values (?, ?) returning id"
    (account_id,) = conn.execute(sql, (provider, label)).fetchone()
    conn.execute(
        "insert into credentials (proxy_id, auth_index, provider, auth_type, account_id) "
        "values (1, ?, ?, 'oauth', ?)",
        (f"{account_id:016x}", provider, account_id),
    )
    conn.execute(
        "insert into credential_files (proxy_id, name, provider, account_id, disabled) "
        "values (1, ?, ?, ?, 0)",
        (f"{account_id}.json", provider, account_id),
    )
    if state:
        columns = ", ".join(state)
        marks = ", ".join("?" * len(state))
        conn.execute(
            f"insert into quota_accounts (account_id, {columns}) values (?, {marks})",
            (account_id, *state.values()),
        )
    return account_id


def add_windows(conn: sqlite3.Connection, account_id: int, windows: list[Window]) -> None:
    """Add current windows of an account, without a history."""
    marks = ", ".join("?" * len(COLUMNS))
    conn.executemany(
        f"insert into quota_windows (account_id, {', '.join(COLUMNS)}) values (?, {marks})",
        [(account_id, *astuple(window)) for window in windows],
    )


def limit(used: float | None, key: str = "5h", **more: Any) -> Window:
    """Return a limit of an account, observed at `NOW`."""
    fields = {"scope": "account", "label": key, "resets_at": NOW + HOUR, "gating": True, **more}
    return Window(window_key=key, used_percent=used, observed_at=NOW, **fields)


def gating_window(key: str, used: float | None, **more: Any) -> Window:
    """Return a gating window of the account, observed at the instant of the samples."""
    fields = {
        "scope": "account",
        "label": key,
        "resets_at": RESETS.get(key),
        "gating": True,
        "observed_at": AT,
        **more,
    }
    return Window(window_key=key, used_percent=used, **fields)


def rows(conn: sqlite3.Connection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Return a query's rows as dictionaries."""
    cursor = conn.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
