"""Keep windows and their past: newest wins, cycles are followed, points are few."""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, fields
from typing import Any

from quota.cycles import Point, Track, follow, grown, is_worth_keeping, point
from quota.model import Reading, Window

COLUMNS = tuple(field.name for field in fields(Window))
KEY = ("scope", "scope_key", "window_key")
TOLD = tuple(name for name in COLUMNS if name not in KEY)
FIND = """
  select
    id, observed_at, retired_at, cycle,
    last_at, last_used, last_resets_at,
    candidate_at, candidate_used, candidate_resets_at
  from quota_windows
  where account_id = ? and scope = ? and scope_key = ? and window_key = ?
"""
KEEP = f"""
  insert into quota_windows (account_id, {", ".join(COLUMNS)})
  values (?, {", ".join("?" * len(COLUMNS))})
  on conflict (account_id, scope, scope_key, window_key) do update set
    {", ".join(f"{name} = excluded.{name}" for name in TOLD)},
    retired_at = null
  returning id
"""
KEEP_TRACK = """
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
KEEP_POINT = """
  insert into quota_points (window_id, cycle, observed_at, used_percent, resets_at)
  values (?, ?, ?, ?, ?)
  on conflict (window_id, cycle, observed_at) do nothing
"""
PRUNE = "delete from quota_points where observed_at < ?"
KEPT_MS = 60 * 86_400_000


def keep_windows(conn: sqlite3.Connection, account_id: int, windows: Iterable[Window]) -> None:
    """Keep the windows that are newer than what is known of them."""
    for window in windows:
        key = (account_id, window.scope, window.scope_key, window.window_key)
        row = conn.execute(FIND, key).fetchone()
        # A window that a newer answer did without does not come back by an older observation.
        if row and max(row[1], row[2] or 0) >= window.observed_at:
            continue
        window_id = conn.execute(KEEP, (account_id, *astuple(window))).fetchone()[0]
        seen = point(window)
        if seen:
            _keep_past(conn, window_id, _track(row), seen=seen)


def retire_windows(conn: sqlite3.Connection, account_id: int, reading: Reading) -> None:
    """Retire the windows that a complete answer no longer has; newer ones stay."""
    conn.execute(RETIRE, {"account_id": account_id, "observed_at": reading.observed_at})


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Drop the points of more than 60 days ago, inside the caller's transaction."""
    conn.execute(PRUNE, (now - KEPT_MS,))


def _keep_past(conn: sqlite3.Connection, window_id: int, before: Track, *, seen: Point) -> None:
    after = follow(before, seen)
    states = (after.last, after.candidate)
    conn.execute(KEEP_TRACK, (after.cycle, *(v for p in states for v in _values(p)), window_id))
    for new in grown(before, after):
        last = conn.execute(LAST_POINT, (window_id, after.cycle)).fetchone()
        if is_worth_keeping(Point(*last) if last else None, new, same_cycle=bool(last)):
            conn.execute(KEEP_POINT, (window_id, after.cycle, *_values(new)))


def _track(row: tuple[Any, ...] | None) -> Track:
    if row is None:
        return Track()
    return Track(row[3], _point(*row[4:7]), _point(*row[7:10]))


def _point(at: int | None, used: float | None, resets_at: int | None) -> Point | None:
    return None if at is None or used is None else Point(at, used, resets_at)


def _values(kept: Point | None) -> tuple[int | None, float | None, int | None]:
    if kept is None:
        return None, None, None
    return kept.observed_at, kept.used_percent, kept.resets_at
