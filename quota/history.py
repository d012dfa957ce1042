"""Store windows and their history: newest observation first, in cycles, with few points.

A cycle is the time from one reset to the next. Reset instants jitter by seconds between polls,
resets happen off schedule (a banked reset, a gift), and Codex answers have been seen to swing
between two resets: a cycle starts before its time only after two observations in a row that agree.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any

from quota.model import Window

COLUMNS = tuple(field.name for field in fields(Window))
KEY = ("scope", "scope_key", "window_key")
VALUES = tuple(name for name in COLUMNS if name not in KEY)
FIND = """
  select
    id, observed_at, retired_at, cycle,
    last_at, last_used, last_resets_at,
    candidate_at, candidate_used, candidate_resets_at
  from quota_windows
  where account_id = ? and scope = ? and scope_key = ? and window_key = ?
"""
WRITE_WINDOW = f"""
  insert into quota_windows (account_id, {", ".join(COLUMNS)})
  values (?, {", ".join("?" * len(COLUMNS))})
  on conflict (account_id, scope, scope_key, window_key) do update set
    {", ".join(f"{name} = excluded.{name}" for name in VALUES)},
    retired_at = null
  returning id
"""
WRITE_CYCLE = """
  update quota_windows set
    cycle = ?,
    last_at = ?, last_used = ?, last_resets_at = ?,
    candidate_at = ?, candidate_used = ?, candidate_resets_at = ?
  where id = ?
"""
RETIRE = """
  update quota_windows set retired_at = :observed_at
  where account_id = :account_id and retired_at is null and observed_at < :observed_at
"""
LAST_POINT = """
  select observed_at, used_percent, resets_at
  from quota_points
  where window_id = ? and cycle = ?
  order by observed_at desc
  limit 1
"""
ADD_POINT = """
  insert into quota_points (window_id, cycle, observed_at, used_percent, resets_at)
  values (?, ?, ?, ?, ?)
  on conflict (window_id, cycle, observed_at) do nothing
"""
PRUNE = "delete from quota_points where observed_at < ?"
RETENTION_MS = 60 * 86_400_000
ROUND_MS = 300_000
POINT_INTERVAL_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Point:
    """One observation; without a reset while the window is not started."""

    observed_at: int
    used_percent: float
    resets_at: int | None = None


@dataclass(frozen=True, slots=True)
class CycleState:
    """A window's current cycle, its last point, and a change that is not confirmed yet.

    The number of a cycle is its reset rounded to five minutes, 0 without one, plus one for each
    early restart that left the reset unchanged.
    """

    cycle: int = 0
    last: Point | None = None
    candidate: Point | None = None


def store_windows(conn: sqlite3.Connection, account_id: int, windows: Iterable[Window]) -> None:
    """Store the windows that are newer than the stored ones."""
    for window in windows:
        key = (account_id, window.scope, window.scope_key, window.window_key)
        row = conn.execute(FIND, key).fetchone()
        # An older observation does not restore a window that a newer answer no longer had.
        if row and max(row[1], row[2] or 0) >= window.observed_at:
            continue
        window_id = conn.execute(WRITE_WINDOW, (account_id, *astuple(window))).fetchone()[0]
        point = point_of(window)
        if point:
            _store_point(conn, window_id, _cycle_state(row), point)


def retire_windows(conn: sqlite3.Connection, account_id: int, observed_at: int) -> None:
    """Retire the windows that a complete answer of an instant no longer has; newer ones stay."""
    conn.execute(RETIRE, {"account_id": account_id, "observed_at": observed_at})


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Delete the points of more than 60 days ago, inside the caller's transaction."""
    conn.execute(PRUNE, (now - RETENTION_MS,))


def point_of(window: Window) -> Point | None:
    """Return a window's observation; None when its percentage is unknown."""
    if window.used_percent is None:
        return None
    resets_at = None if window.started is False else window.resets_at
    return Point(window.observed_at, window.used_percent, resets_at)


def advance(state: CycleState, point: Point) -> CycleState:
    """Return the state after the next point: `last` if it counts, `candidate` while in doubt."""
    last = state.last
    if last is None or _is_next_cycle(last, point):
        return CycleState(_cycle_number(point), point)
    if _continues(last, point):
        return CycleState(state.cycle, point)
    if state.candidate and _continues(state.candidate, point):
        is_same_reset = _is_same_reset(last.resets_at, point.resets_at)
        return CycleState(state.cycle + 1 if is_same_reset else _cycle_number(point), point)
    return CycleState(state.cycle, last, point)


def added_points(before: CycleState, after: CycleState) -> tuple[Point, ...]:
    """Return the points that a step added: none while in doubt, two when the doubt ends."""
    if after.last is None or after.last is before.last:
        return ()
    candidate = before.candidate if after.cycle != before.cycle else None
    if candidate and _continues(candidate, after.last):
        return candidate, after.last
    return (after.last,)


def split_cycles(points: Iterable[Point]) -> list[tuple[int, tuple[Point, ...]]]:
    """Return a window's points, oldest first, by cycle; swings are left out."""
    state, cycles = CycleState(), list[tuple[int, list[Point]]]()
    for point in points:
        before, state = state, advance(state, point)
        added = added_points(before, state)
        if added and (not cycles or state.cycle != before.cycle):
            cycles.append((state.cycle, list(added)))
        elif added:
            cycles[-1][1].extend(added)
    return [(cycle, tuple(members)) for cycle, members in cycles]


def is_early(cycle: int) -> bool:
    """Return whether a cycle began before its reset was due, with the reset unchanged."""
    return cycle % ROUND_MS != 0


def is_worth_storing(last: Point | None, point: Point, *, same_cycle: bool) -> bool:
    """Return whether the history needs a point: a change, or half an hour has passed."""
    if last is None or not same_cycle or last.used_percent != point.used_percent:
        return True
    return point.observed_at - last.observed_at >= POINT_INTERVAL_MS


def _store_point(
    conn: sqlite3.Connection, window_id: int, before: CycleState, point: Point
) -> None:
    after = advance(before, point)
    columns = (*_columns(after.last), *_columns(after.candidate))
    conn.execute(WRITE_CYCLE, (after.cycle, *columns, window_id))
    for added in added_points(before, after):
        row = conn.execute(LAST_POINT, (window_id, after.cycle)).fetchone()
        last = Point(*row) if row else None
        if is_worth_storing(last, added, same_cycle=last is not None):
            conn.execute(ADD_POINT, (window_id, after.cycle, *_columns(added)))


def _cycle_state(row: tuple[Any, ...] | None) -> CycleState:
    if row is None:
        return CycleState()
    return CycleState(row[3], _point(*row[4:7]), _point(*row[7:10]))


def _point(at: int | None, used: float | None, resets_at: int | None) -> Point | None:
    return None if at is None or used is None else Point(at, used, resets_at)


def _columns(point: Point | None) -> tuple[int | None, float | None, int | None]:
    if point is None:
        return None, None, None
    return point.observed_at, point.used_percent, point.resets_at


def _is_next_cycle(last: Point, point: Point) -> bool:
    if last.resets_at is None:
        return point.resets_at is not None
    is_over = point.observed_at >= last.resets_at
    return is_over and not _is_same_reset(last.resets_at, point.resets_at)


def _continues(last: Point, point: Point) -> bool:
    # Headers carry fractions and answers whole percents: a fall of less than one is not a reset.
    is_same_reset = _is_same_reset(last.resets_at, point.resets_at)
    return is_same_reset and point.used_percent > last.used_percent - 1


def _is_same_reset(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= ROUND_MS


def _cycle_number(point: Point) -> int:
    return 0 if point.resets_at is None else round(point.resets_at / ROUND_MS) * ROUND_MS
