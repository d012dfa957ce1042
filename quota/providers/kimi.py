"""Kimi for coding: GET https://api.kimi.com/coding/v1/usages, as read by MoonshotAI/kimi-code.

Two shapes: ratios by pool since September 2026, and amounts before. Answers with both have
contradicted each other, the ratio at 0 while generation was refused: the larger use counts.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from quota.durations import DAY, HOUR, WEEK, name, settled
from quota.errors import opened
from quota.fields import field, items, mapping, snake, word
from quota.identity import Credential
from quota.model import TOKEN, Answer, Reading, Request, Window
from quota.numbers import amount, instant, number, percent_of, seconds, share

BASES = ("https://api.kimi.com", "https://api.kimi.ai")
PATH = "/coding/v1/usages"
KNOWN = ("usages", "usage", "limits")
POOL = re.compile(r"limit_?(\d{1,3})([hd])")
MONTHS = {"limit_month_total": ("", "monthly"), "limit_month_code": ("code", "code monthly")}
UNITS = {"second": 1, "minute": 60, "hour": HOUR, "day": DAY, "week": WEEK}
RESETS = ("reset_time", "reset_at")


def request(credential: Credential) -> Request:
    """Ask for the usage of the account whose token is sent."""
    return Request("GET", PATH, {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"})


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Read every pool and every amount that is a quota; a limit of zero is none."""
    found = opened(answer, *KNOWN)
    if isinstance(found, Reading):
        return found
    answer, body = found
    user = field(body, "user")
    plan = word(field(field(user, "membership"), "level")) or word(field(body, "sub_type"))
    rows = [*_ratios(field(body, "usages")), *_amounts(body)]
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        windows=settled(rows, answer.observed_at),
        complete=all(isinstance(field(body, key), dict | list | None) for key in KNOWN),
    )


def _ratios(pools: object) -> Iterator[Window]:
    for pool, told in ((snake(pool), told) for pool, told in mapping(pools).items()):
        used = percent_of(field(told, "used_ratio"))
        row = Window(
            scope="account",
            window_key="month",
            label="",
            used_percent=used,
            resets_at=instant(field(told, *RESETS)),
            gating=True,
        )
        found = POOL.fullmatch(pool)
        if pool in MONTHS:
            key, label = MONTHS[pool]
            yield replace(row, scope_key=key, label=label)
        elif found:
            yield _spanning(row, int(found[1]) * (HOUR if found[2] == "h" else DAY))


def _amounts(body: object) -> Iterator[Window]:
    yield from _amount(field(body, "usage"), WEEK)
    for limit in items(field(body, "limits")):
        window = field(limit, "window")
        unit = (word(field(window, "time_unit")) or "").removeprefix("time_unit_")
        length = seconds(field(window, "duration"), UNITS.get(unit.removesuffix("s"), 0))
        if length:
            yield from _amount(field(limit, "detail"), length)


def _amount(told: object, length: int) -> Iterator[Window]:
    limit, used = number(field(told, "limit")), number(field(told, "used"))
    left = number(field(told, "remaining"))
    if not limit:
        return
    if used is None and left is not None and left <= limit:
        used = limit - left
    row = Window(
        scope="account",
        window_key="",
        label="",
        used_percent=share(used, limit),
        used_value=amount(used),
        limit_value=amount(limit),
        resets_at=instant(field(told, *RESETS)),
        gating=True,
    )
    yield _spanning(row, length)


def _spanning(row: Window, length: int) -> Window:
    key, label = name(length)
    return replace(row, window_key=key, label=label, window_seconds=length)
