"""What is still to be told, and to whom: sent again until it is, and once it is, never again."""

import sqlite3
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from alerts.model import Part, Result
from ledger import transaction
from ledger.errors import translated

FIRST_WAIT_MS, LONGEST_WAIT_MS = 15_000, 900_000
# A condition that is away for a moment is not told before it is back, or over.
WAITING = """
  select
    receiver_id,
    alert_id,
    group_concat(part),
    alert_episodes.severity,
    alert_episodes.sentence,
    alert_episodes.ended_local
  from alert_deliveries
  join alert_receivers on alert_receivers.id = receiver_id
  join alert_episodes on alert_episodes.id = alert_id
  join alerts on alerts.id = alert_id
  where sent_at is null
    and due_at <= :at
    and configured = 1
    and next_try_at <= :at
    and (not :quiet or alerts.severity = 'severe' and part = 'begin')
    and (part = 'over' or clear_since is null or alerts.ended_at is not null)
  group by receiver_id, alert_id
  order by receiver_id, alert_id
"""
SENT = """
  update alert_deliveries set sent_at = :at
  where receiver_id = :receiver_id and alert_id = :alert_id and part = :part
"""
WORKED = """
  update alert_receivers set
    failures = 0,
    next_try_at = 0,
    last_error = null,
    last_sent_at = :at
  where id = :receiver_id
"""
FAILED = """
  update alert_receivers set
    failures = failures + 1,
    next_try_at = :at + min(:first * (1 << min(failures, 10)), :longest),
    last_error = :error
  where id = :receiver_id
"""
TROUBLED = """
  select service, last_error, failures
  from alert_receivers
  where configured = 1 and failures > 0
"""


def waiting(conn: sqlite3.Connection, at: int, *, is_quiet: bool) -> Mapping[int, list[Part]]:
    """Give what each receiver is to be told at an instant (ms). Raises `Unavailable`."""
    with translated():
        rows = conn.execute(WAITING, {"at": at, "quiet": is_quiet}).fetchall()
    return {
        receiver: [Part(row[1], tuple(row[2].split(",")), *row[3:]) for row in found]
        for receiver, found in groupby(rows, key=lambda row: row[0])
    }


def keep(conn: sqlite3.Connection, results: Iterable[tuple[Result, list[Part]]], at: int) -> None:
    """Remember what was sent and what was not, in one transaction.

    A receiver that fails is left alone for 15 seconds, then twice as long, up to a quarter of an
    hour. Raises `Unavailable`.
    """
    waits = {"first": FIRST_WAIT_MS, "longest": LONGEST_WAIT_MS}
    with transaction(conn):
        for result, parts in results:
            common: dict[str, Any] = {"receiver_id": result.receiver, "at": at}
            if result.error:
                conn.execute(FAILED, {**common, **waits, "error": result.error})
                continue
            conn.execute(WORKED, common)
            told = [(part.alert_id, name) for part in parts for name in part.parts]
            conn.executemany(
                SENT, [{**common, "alert_id": number, "part": name} for number, name in told]
            )


def troubles(conn: sqlite3.Connection) -> list[str]:
    """Say of each receiver that could not be told last time, why. Raises `Unavailable`."""
    with translated():
        found = conn.execute(TROUBLED).fetchall()
    return [
        f"{service} could not be told ({error}; {failures} times): try make alert-test"
        for service, error, failures in found
    ]
