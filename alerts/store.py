"""Remember episodes, and what each receiver is still to be told of them."""

import sqlite3
from collections.abc import Iterable

from alerts.model import Condition, Episode
from alerts.rules import Changes
from ledger import transaction
from ledger.errors import translated
from ledger.settings import AlertRule, Budget

OPEN = """
  select
    id,
    rule,
    subject,
    sentence,
    own,
    clear_since,
    not exists (
      select 1 from alert_deliveries where alert_id = alerts.id and sent_at is null
    ) or exists (
      select 1 from alert_deliveries where alert_id = alerts.id and sent_at is not null
    )
  from alerts
  where ended_at is null
"""
BEGIN = """
  insert into alerts
    (rule, subject, severity, sentence, value, threshold, tells_over, own, began_at)
  values
    (:rule, :subject, :severity, :sentence, :value, :threshold, :tells_over, :own, :at)
  returning id
"""
TELL = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select :alert_id, id, 'begin', :due_at
  from alert_receivers
  where configured = 1
"""
REWORD = """
  update alerts set
    sentence = :sentence,
    value = :value
  where id = :id
"""
AWAY = "update alerts set clear_since = :at where id = :id"
BACK = "update alerts set clear_since = null where id = :id"
END = "update alerts set ended_at = max(clear_since, began_at) where id = :id"
# What began in quiet hours and was away before their end is not told.
SPARE = """
  delete from alert_deliveries
  where alert_id = :id
    and sent_at is null
    and due_at > (select clear_since from alerts where id = :id)
"""
TELL_OVER = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select alert_id, receiver_id, 'over', :due_at
  from alert_deliveries
  join alerts on alerts.id = alert_id
  join alert_receivers on alert_receivers.id = receiver_id
  where alert_id = :id and part = 'begin' and tells_over = 1 and configured = 1
"""
# A rule that was switched off is over without a word: nobody knows whether its cause is gone.
DROP_RULE = """
  delete from alert_deliveries
  where sent_at is null
    and alert_id in (select id from alerts where ended_at is null and rule = :rule)
"""
END_RULE = """
  update alerts set ended_at = max(began_at, :at) where ended_at is null and rule = :rule
"""
KEEP_RULE = "insert into alert_rules (rule, enabled, threshold) values (?, ?, ?)"
KEEP_BUDGET = """
  insert into budgets (budget, scope, named, unit, amount, per)
  values (:budget, :scope, :named, :unit, :amount, :per)
"""
FROM = "insert into settings (name, value) values ('alerts_from', ?) on conflict do nothing"


def keep_settings(
    conn: sqlite3.Connection, rules: Iterable[AlertRule], budgets: Iterable[Budget], at: int
) -> None:
    """Let the views know rules and budgets, and from when on (ms) events are worth an alert.

    Raises `Unavailable`.
    """
    with transaction(conn):
        conn.execute(FROM, (str(at),))
        conn.execute("delete from alert_rules")
        conn.execute("delete from budgets")
        for rule in rules:
            conn.execute(KEEP_RULE, rule)
            if not rule.enabled:
                conn.execute(DROP_RULE, {"rule": rule.rule})
                conn.execute(END_RULE, {"rule": rule.rule, "at": at})
        conn.executemany(KEEP_BUDGET, map(row, budgets))


def row(budget: Budget) -> dict[str, object]:
    """Give a budget as the table has it."""
    return {
        "budget": budget.title,
        "scope": "client" if budget.client else "account" if budget.account else "total",
        "named": budget.client or budget.account,
        "unit": "tokens" if budget.tokens else "dollars",
        "amount": budget.tokens or budget.dollars,
        "per": budget.per,
    }


def episodes(conn: sqlite3.Connection) -> list[Episode]:
    """Give every episode that is not over. Raises `Unavailable`."""
    with translated():
        rows = conn.execute(OPEN).fetchall()
    return [Episode(*known[:4], bool(known[4]), known[5], bool(known[6])) for known in rows]


def keep(conn: sqlite3.Connection, changes: Changes, at: int, quiet_until: int | None) -> None:
    """Remember what has changed at an instant (ms), and what is to be told, in one transaction.

    What is not severe waits for the end of quiet hours, as does everything that is over.
    Raises `Unavailable`.
    """
    with transaction(conn):
        for found in changes.begun:
            begin(conn, found, at, at if found.severity == "severe" else quiet_until or at)
        for number, found in changes.reworded:
            conn.execute(REWORD, {**found._asdict(), "id": number})
        conn.executemany(BACK, [{"id": number} for number in changes.back])
        conn.executemany(AWAY, [{"id": number, "at": at} for number in changes.away])
        for known in changes.over:
            conn.execute(END, {"id": known.id})
            conn.execute(SPARE, {"id": known.id})
            conn.execute(TELL_OVER, {"id": known.id, "due_at": quiet_until or at})


def begin(conn: sqlite3.Connection, found: Condition, at: int, due_at: int) -> None:
    """Begin an episode, inside the caller's transaction."""
    (number,) = conn.execute(BEGIN, {**found._asdict(), "at": at}).fetchone()
    conn.execute(TELL, {"alert_id": number, "due_at": due_at})
