"""Delivery: the receivers, the alerts due to each, the text of their message, quiet hours.

An alert is sent to each receiver until it succeeds, then never again.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from alerts.conditions import SEVERITIES
from alerts.sender import Message, Result
from ledger import text, transaction
from ledger.database import translate_errors
from ledger.keys import load_salt

NAME = "cliproxy-ledger"
MAX_LINES = 10
FIRST_WAIT_MS, MAX_WAIT_MS = 15_000, 900_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DISABLE_ALL = "update alert_receivers set configured = 0"
UPSERT_RECEIVER = """
  insert into alert_receivers (url_hash, service)
  values (:url_hash, :service)
  on conflict (url_hash) do update set
    configured = 1,
    next_try_at = 0
  returning id
"""
# Unsent alerts of a removed address that still hold go to the receivers that never had them.
REASSIGN = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select alert_id, others.id, part, min(due_at)
  from alert_deliveries
  join alerts on alerts.id = alert_id and ended_at is null
  join alert_receivers as gone on gone.id = receiver_id and gone.configured = 0
  join alert_receivers as others on others.configured = 1
  where sent_at is null
    and part = 'begin'
    and not exists (
      select 1
      from alert_deliveries as theirs
      where theirs.alert_id = alert_deliveries.alert_id and theirs.receiver_id = others.id
    )
  group by alert_id, others.id
"""
DROP_REMOVED = """
  delete from alert_deliveries
  where sent_at is null
    and receiver_id in (select id from alert_receivers where configured = 0)
"""
# An alert whose condition is gone for the moment waits until it returns or its episode ends.
DUE = """
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
    and due_at <= :now
    and configured = 1
    and next_try_at <= :now
    and (not :quiet or alerts.severity = 'severe' and part = 'begin')
    and (part = 'over' or clear_since is null or alerts.ended_at is not null)
  group by receiver_id, alert_id
  order by receiver_id, alert_id
"""
SENT = """
  update alert_deliveries set sent_at = :now
  where receiver_id = :receiver_id and alert_id = :alert_id and part = :part
"""
SUCCEEDED = """
  update alert_receivers set
    failures = 0,
    next_try_at = 0,
    last_error = null,
    last_sent_at = :now
  where id = :receiver_id
"""
FAILED = """
  update alert_receivers set
    failures = failures + 1,
    next_try_at = :now + min(:first * (1 << min(failures, 10)), :longest),
    last_error = :error
  where id = :receiver_id
"""


class DueAlert(NamedTuple):
    """An alert due to a receiver; `parts` are `begin`, `over` or both."""

    alert_id: int
    parts: tuple[str, ...]
    severity: str
    sentence: str
    ended_local: str | None


def register(conn: sqlite3.Connection, urls: Iterable[str], folder: Path) -> Mapping[int, str]:
    """Write the receivers of the settings; return their addresses by id. Raises `Unavailable`.

    The ledger gets a salted hash of an address and the name of its service.
    """
    rows = receiver_rows(dict.fromkeys(urls), folder)
    by_id = {}
    with transaction(conn):
        conn.execute(DISABLE_ALL)
        for url, row in rows.items():
            by_id[conn.execute(UPSERT_RECEIVER, row).fetchone()[0]] = url
        conn.execute(REASSIGN)
        conn.execute(DROP_REMOVED)
    return by_id


def receiver_rows(urls: Collection[str], folder: Path) -> dict[str, dict[str, object]]:
    """Return the row of each address."""
    if not urls:
        return {}
    salt = load_salt(folder)
    return {url: {"url_hash": salt.key(url).hash, "service": service(url)} for url in urls}


def service(url: str) -> str:
    """Return the part of an address that may be shown."""
    return url.partition("://")[0].lower()


def due(conn: sqlite3.Connection, now: int, *, is_quiet: bool) -> Mapping[int, list[DueAlert]]:
    """Return the alerts due at an instant (ms) by receiver. Raises `Unavailable`."""
    with translate_errors():
        rows = conn.execute(DUE, {"now": now, "quiet": is_quiet}).fetchall()
    return {
        receiver: [DueAlert(row[1], tuple(row[2].split(",")), *row[3:]) for row in group]
        for receiver, group in groupby(rows, key=lambda row: row[0])
    }


def write_results(
    conn: sqlite3.Connection, results: Iterable[tuple[Result, list[DueAlert]]], now: int
) -> None:
    """Write which alerts were sent, in one transaction. Raises `Unavailable`.

    A receiver that fails is tried again after 15 seconds, then twice as long each time, up to a
    quarter of an hour.
    """
    waits = {"first": FIRST_WAIT_MS, "longest": MAX_WAIT_MS}
    with transaction(conn):
        for result, alerts in results:
            row: dict[str, object] = {"receiver_id": result.receiver, "now": now}
            if result.error:
                conn.execute(FAILED, {**row, **waits, "error": result.error})
                continue
            conn.execute(SUCCEEDED, row)
            parts = [(alert.alert_id, part) for alert in alerts for part in alert.parts]
            conn.executemany(
                SENT, [{**row, "alert_id": number, "part": part} for number, part in parts]
            )


def compose(receiver: int, url: str, alerts: Sequence[DueAlert], language: str) -> Message:
    """Return one message about all alerts that are due to a receiver."""
    ordered = sorted(alerts, key=rank)
    lines = [line(alert, language) for alert in ordered[:MAX_LINES]]
    left = len(ordered) - len(lines)
    if len(lines) > 1:
        lines = [f"- {each}" for each in lines]
    if left:
        lines.append(text.message("more", language, count=left))
    begun = [alert.severity for alert in alerts if "begin" in alert.parts]
    severity = min(begun, key=SEVERITIES.index, default="over")
    return Message(receiver, url, title(ordered, language), "\n".join(lines), severity)


def rank(alert: DueAlert) -> tuple[bool, int, int]:
    """Return a sort key: beginnings before ends, then by severity."""
    return "begin" not in alert.parts, SEVERITIES.index(alert.severity), alert.alert_id


def title(alerts: Sequence[DueAlert], language: str) -> str:
    """Return the title: how many alerts have begun, or that some are over."""
    count = sum("begin" in alert.parts for alert in alerts)
    name = "title_over" if not count else "title_one" if count == 1 else "title_many"
    return f"{NAME}: {text.message(name, language, count=count)}"


def line(alert: DueAlert, language: str) -> str:
    """Return the line of one alert."""
    values = {"sentence": alert.sentence, "ended": alert.ended_local}
    if "begin" not in alert.parts:
        return text.message("over", language, **values)
    if alert.ended_local:
        return text.message("begun_and_over", language, **values)
    return alert.sentence


def quiet_until(hours: str, zone: str, now: int) -> int | None:
    """Return when (ms) the quiet hours around `now` end; None outside of them.

    `hours` is two local times, `23:00-07:00`, or empty for none.
    """
    if not hours:
        return None
    begins, ends = map(time.fromisoformat, hours.split("-"))
    local_zone = ZoneInfo(zone)
    today = (EPOCH + timedelta(milliseconds=now)).astimezone(local_zone).date()
    for day in (today - timedelta(days=1), today):
        begin = datetime.combine(day, begins, local_zone)
        last = day + timedelta(days=int(ends <= begins))
        end = milliseconds(datetime.combine(last, ends, local_zone))
        if milliseconds(begin) <= now < end:
            return end
    return None


def milliseconds(moment: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970, UTC."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
