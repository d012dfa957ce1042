"""`python -m ledger status`: how things are, in one line for a prompt or a status bar."""

import argparse
import json
import sqlite3
from contextlib import closing
from typing import Any

from ledger import Unavailable, connect_read_only, settings
from ledger.errors import translated
from ledger.file import NAME
from ledger.status_line import line, words

PATIENCE_MS = 1000
TODAY = """
  select
    coalesce(sum(requests), 0)                                            as requests,
    coalesce(sum(failed), 0)                                              as failed,
    coalesce(sum(input_tokens + output_tokens + unclassified_tokens), 0)  as total_tokens,
    coalesce(sum(cost_microdollars), 0) / 1e6                             as cost_dollars,
    coalesce(sum(unpriced), 0)                                            as unpriced
  from total_pieces
  where window = 'today' and from_day = '' and to_day = '' and is_series = 0
"""
BEST = """
  select
    verdicts.account          as account,
    verdicts.provider         as provider,
    verdicts.usable           as usable,
    verdicts.reason           as reason,
    verdicts.effective_left   as left_percent,
    states.label              as limit_name,
    states.resets_at          as resets_at,
    verdicts.next_usable_at   as next_usable_at,
    verdicts.unknown          as unknown_accounts
  from (
    select
      *,
      sum(usable is null) over () as unknown
    from account_verdicts
    order by sort_group, sort_value, account, account_id
    limit 1
  ) as verdicts
  left join quota_window_states as states
    on states.account_id = verdicts.account_id
    and states.left_percent = verdicts.effective_left
    and states.gating = 1
  order by states.resets_at
  limit 1
"""
NEXT_RESET = """
  select
    account    as account,
    provider   as provider,
    label      as limit_name,
    resets_at  as resets_at
  from quota_window_states
  cross join clock
  where gating = 1 and started is not 0 and resets_at > now
  order by resets_at, account
  limit 1
"""
WRONG = "select subject, sentence from problems"
ALERTS = """
  select
    rule,
    severity,
    sentence
  from alerts
  where ended_at is null and severity <> 'notice'
  order by severity = 'severe' desc, began_at
"""
LOCAL = """
  select datetime((:at + coalesce(
    (select offset_ms from zone_offsets where starts_at <= :at and :at < ends_at),
    0
  )) / 1000, 'unixepoch')
"""

Row = dict[str, Any]


def found(conn: sqlite3.Connection) -> Row:
    """Read everything from one state of the ledger; instants are ms (UTC), with local time."""
    conn.execute("begin")
    (now,) = conn.execute("select now from clock").fetchone()
    status: Row = {
        "now": now,
        "today": rows(conn, TODAY)[0],
        "best": next(iter(rows(conn, BEST)), None),
        "next_reset": next(iter(rows(conn, NEXT_RESET)), None),
        "wrong": rows(conn, WRONG),
        "alerts": rows(conn, ALERTS),
    }
    for part in filter(None, (status, status["best"], status["next_reset"])):
        for name in ("now", "resets_at", "next_usable_at"):
            if name in part:
                at = {"at": part[name]}
                (part[f"{name.removesuffix('_at')}_local"],) = conn.execute(LOCAL, at).fetchone()
    conn.rollback()
    return status


def rows(conn: sqlite3.Connection, sql: str) -> list[Row]:
    """Give a question's rows as mappings."""
    cursor = conn.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def read() -> Row:
    """Read the ledger of the settings, waiting for a second at the most.

    Raises `Unavailable` with a sentence when it cannot be read.
    """
    file = settings.read().data_folder / NAME
    if not file.exists():
        raise Unavailable(f"there is no ledger at {file}; `make init` creates one")
    try:
        with translated(), closing(connect_read_only(file)) as conn:
            conn.execute(f"pragma busy_timeout = {PATIENCE_MS:d}")
            return found(conn)
    except sqlite3.DatabaseError as error:
        sentence = f"the ledger cannot be read ({error}); an older one is upgraded by `make init`"
        raise Unavailable(sentence) from error


def arguments(given: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m ledger status", description=__doc__)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="everything, as JSON")
    shape.add_argument("--format", metavar="TEXT", help="such as '{tokens} {cost} {best} {left}'")
    parser.add_argument("--check", action="store_true", help="status 1 when something is wrong")
    return parser.parse_args(given)


def main(given: list[str]) -> int:
    """Print the status; give 1 when there is none, or something is wrong and that was asked."""
    chosen = arguments(given)
    try:
        status = read()
    except (Unavailable, SystemExit) as error:
        # A status bar shows what is printed, and nothing else.
        print(json.dumps({"error": str(error)}) if chosen.json else f"! {error}")
        return 1
    print(shown(status, chosen))
    return int(chosen.check and bool(status["wrong"] or status["alerts"]))


def shown(status: Row, chosen: argparse.Namespace) -> str:
    """Write the status in the form that was asked for."""
    if chosen.json:
        return json.dumps(status, ensure_ascii=False, indent=2)
    if chosen.format is None:
        return line(status)
    try:
        return chosen.format.format_map(words(status))
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        names = ", ".join(words(status))
        raise SystemExit(f"The format is malformed; it may name, in braces: {names}.") from None
