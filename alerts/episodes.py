"""Episodes: the stored time of a condition, from its beginning until it has ended for a while."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from alerts.conditions import Condition
from ledger import alert_rules, transaction
from ledger.database import translate_errors
from ledger.settings import AlertRule, Budget

# A condition must be gone this long before its episode ends: a value that fluctuates around its
# threshold is one episode.
CLEAR_MS = 600_000
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
    (
      rule, subject, severity, sentence, code, parameters, value, threshold, tells_over, own,
      began_at
    )
  values
    (
      :rule, :subject, :severity, :sentence, :code, :parameters, :value, :threshold, :tells_over,
      :custom, :now
    )
  returning id
"""
QUEUE_BEGIN = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select :alert_id, id, 'begin', :due_at
  from alert_receivers
  where configured = 1
"""
REWORD = """
  update alerts set
    sentence = :sentence,
    code = :code,
    parameters = :parameters,
    value = :value
  where id = :id
"""
CLEAR = "update alerts set clear_since = :now where id = :id"
RETURN = "update alerts set clear_since = null where id = :id"
END = "update alerts set ended_at = max(clear_since, began_at) where id = :id"
# A condition that began in quiet hours and was gone before their end is not sent.
DROP_HELD_BACK = """
  delete from alert_deliveries
  where alert_id = :id
    and sent_at is null
    and due_at > (select clear_since from alerts where id = :id)
"""
QUEUE_END = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select alert_id, receiver_id, 'over', :due_at
  from alert_deliveries
  join alerts on alerts.id = alert_id
  join alert_receivers on alert_receivers.id = receiver_id
  where alert_id = :id and part = 'begin' and tells_over = 1 and configured = 1
"""
# The episodes of a disabled rule end without a message: it is unknown whether the cause has ended.
DROP_RULE = """
  delete from alert_deliveries
  where sent_at is null
    and alert_id in (select id from alerts where ended_at is null and rule = :rule)
"""
END_RULE = """
  update alerts set ended_at = max(began_at, :now) where ended_at is null and rule = :rule
"""
INSERT_BUDGET = """
  insert into budgets (budget, scope, named, unit, amount, per)
  values (:budget, :scope, :named, :unit, :amount, :per)
"""
# Messages that were never sent are deleted with their episode.
PRUNE = "delete from alerts where ended_at < ?"
KEPT_MS = 90 * 86_400_000
FROM = "insert into settings (name, value) values ('alerts_from', ?) on conflict do nothing"


class Episode(NamedTuple):
    """An open episode; `clear_since` (ms) is the time since which its condition has not held.

    `is_sent`: a receiver has got it, or there is no receiver.
    """

    id: int
    rule: str
    subject: str
    sentence: str
    custom: bool
    clear_since: int | None
    is_sent: bool


class Changes(NamedTuple):
    """The differences since the last check; the integers are ids of episodes."""

    begun: list[Condition]
    reworded: list[tuple[int, Condition]]
    returned: list[int]
    cleared: list[int]
    ended: list[Episode]

    @property
    def are_none(self) -> bool:
        """Whether nothing has changed."""
        return not any(self)


def compare(conditions: Iterable[Condition], episodes: Iterable[Episode], now: int) -> Changes:
    """Return the changes between open episodes and the conditions that hold at `now` (ms)."""
    holding = {(condition.rule, condition.subject): condition for condition in conditions}
    remembered = {(episode.rule, episode.subject): episode for episode in episodes}
    ongoing = [(episode, holding[key]) for key, episode in remembered.items() if key in holding]
    gone = [episode for key, episode in remembered.items() if key not in holding]
    return Changes(
        begun=[condition for key, condition in holding.items() if key not in remembered],
        # An alert that was not sent yet is sent in its latest wording.
        reworded=[
            (episode.id, condition)
            for episode, condition in ongoing
            if not episode.is_sent and episode.sentence != condition.sentence
        ],
        returned=[episode.id for episode, _ in ongoing if episode.clear_since is not None],
        cleared=[episode.id for episode in gone if episode.clear_since is None],
        ended=[episode for episode in gone if is_over(episode, now)],
    )


def is_over(episode: Episode, now: int) -> bool:
    """Return whether the condition of an episode has been gone for long enough."""
    return episode.clear_since is not None and now - episode.clear_since >= CLEAR_MS


def read_open(conn: sqlite3.Connection) -> list[Episode]:
    """Read every open episode. Raises `Unavailable`."""
    with translate_errors():
        rows = conn.execute(OPEN).fetchall()
    return [
        Episode(
            id=row[0],
            rule=row[1],
            subject=row[2],
            sentence=row[3],
            custom=bool(row[4]),
            clear_since=row[5],
            is_sent=bool(row[6]),
        )
        for row in rows
    ]


def write(conn: sqlite3.Connection, changes: Changes, now: int, quiet_until: int | None) -> None:
    """Write changes at an instant (ms) and queue their messages, in one transaction.

    Severe beginnings are due at once; other beginnings, and all ends, at the end of quiet hours.
    Raises `Unavailable`.
    """
    later = quiet_until or now
    with transaction(conn):
        for condition in changes.begun:
            begin(conn, condition, now, now if condition.severity == "severe" else later)
        for number, condition in changes.reworded:
            conn.execute(REWORD, {**condition._asdict(), "id": number})
        conn.executemany(RETURN, [{"id": number} for number in changes.returned])
        conn.executemany(CLEAR, [{"id": number, "now": now} for number in changes.cleared])
        for episode in changes.ended:
            conn.execute(END, {"id": episode.id})
            conn.execute(DROP_HELD_BACK, {"id": episode.id})
            conn.execute(QUEUE_END, {"id": episode.id, "due_at": later})


def begin(conn: sqlite3.Connection, condition: Condition, now: int, due_at: int) -> None:
    """Begin an episode, inside the caller's transaction."""
    row = {**condition._asdict(), "custom": condition.custom, "now": now}
    (number,) = conn.execute(BEGIN, row).fetchone()
    conn.execute(QUEUE_BEGIN, {"alert_id": number, "due_at": due_at})


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Delete the episodes that ended long before an instant (ms). Raises `Unavailable`."""
    with transaction(conn):
        conn.execute(PRUNE, (now - KEPT_MS,))


def write_settings(
    conn: sqlite3.Connection, rules: Iterable[AlertRule], budgets: Iterable[Budget], now: int
) -> None:
    """Write rules and budgets for the views, end the episodes of disabled rules.

    The first call also stores `now` (ms): events before it cause no alerts. Raises `Unavailable`.
    """
    current = list(rules)
    with transaction(conn):
        conn.execute(FROM, (str(now),))
        alert_rules.replace(conn, current)
        conn.execute("delete from budgets")
        for rule in current:
            if not rule.enabled:
                conn.execute(DROP_RULE, {"rule": rule.rule})
                conn.execute(END_RULE, {"rule": rule.rule, "now": now})
        conn.executemany(INSERT_BUDGET, map(budget_row, budgets))


def budget_row(budget: Budget) -> dict[str, object]:
    """Return a budget as a row of its table."""
    return {
        "budget": budget.title,
        "scope": "client" if budget.client else "account" if budget.account else "total",
        "named": budget.client or budget.account,
        "unit": "tokens" if budget.tokens else "dollars",
        "amount": budget.tokens or budget.dollars,
        "per": budget.per,
    }
