"""Kimi for coding: GET https://api.kimi.com/coding/v1/usages, as read by MoonshotAI/kimi-code.

Two shapes: ratios by pool since September 2026, and amounts before. Answers with both have
contradicted each other, the ratio at 0 while generation was refused: the larger use counts.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from quota.errors import open_answer
from quota.json_fields import (
    amount,
    field,
    instant,
    items,
    mapping,
    number,
    percent_of_fraction,
    percent_of_limit,
    seconds,
    snake,
    word,
)
from quota.model import TOKEN, Answer, Credential, Provider, Reading, Request, Window
from quota.windows import DAY, HOUR, WEEK, finish_windows, window_name

BASES = ("https://api.kimi.com", "https://api.kimi.ai")
PATH = "/coding/v1/usages"
REQUIRED = ("usages", "usage", "limits")
POOL = re.compile(r"limit_?(\d{1,3})([hd])")
MONTHS = {"limit_month_total": ("", "monthly"), "limit_month_code": ("code", "code monthly")}
UNITS = {"second": 1, "minute": 60, "hour": HOUR, "day": DAY, "week": WEEK}
RESETS = ("reset_time", "reset_at")


def request(credential: Credential) -> Request:
    """Return the request for the usage of the account whose token is sent."""
    return Request("GET", PATH, {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"})


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Parse every pool and every amount that is a quota; a limit of zero is not a quota."""
    opened = open_answer(answer, *REQUIRED)
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    user = field(body, "user")
    plan = word(field(field(user, "membership"), "level")) or word(field(body, "sub_type"))
    windows = [*_pool_windows(field(body, "usages")), *_amount_windows(body)]
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        windows=finish_windows(windows, answer.observed_at),
        complete=all(isinstance(field(body, key), dict | list | None) for key in REQUIRED),
    )


PROVIDER = Provider(bases=BASES, request=request, parse=parse)


def _pool_windows(pools: object) -> Iterator[Window]:
    for pool, content in ((snake(pool), content) for pool, content in mapping(pools).items()):
        window = Window(
            scope="account",
            window_key="month",
            label="",
            used_percent=percent_of_fraction(field(content, "used_ratio")),
            resets_at=instant(field(content, *RESETS)),
            gating=True,
        )
        match = POOL.fullmatch(pool)
        if pool in MONTHS:
            key, label = MONTHS[pool]
            yield replace(window, scope_key=key, label=label)
        elif match:
            yield _with_length(window, int(match[1]) * (HOUR if match[2] == "h" else DAY))


def _amount_windows(body: object) -> Iterator[Window]:
    yield from _amount_window(field(body, "usage"), WEEK)
    for limit in items(field(body, "limits")):
        window = field(limit, "window")
        unit = (word(field(window, "time_unit")) or "").removeprefix("time_unit_")
        length = seconds(field(window, "duration"), UNITS.get(unit.removesuffix("s"), 0))
        if length:
            yield from _amount_window(field(limit, "detail"), length)


def _amount_window(content: object, length: int) -> Iterator[Window]:
    limit, used = number(field(content, "limit")), number(field(content, "used"))
    remaining = number(field(content, "remaining"))
    if not limit:
        return
    if used is None and remaining is not None and remaining <= limit:
        used = limit - remaining
    window = Window(
        scope="account",
        window_key="",
        label="",
        used_percent=percent_of_limit(used, limit),
        used_value=amount(used),
        limit_value=amount(limit),
        resets_at=instant(field(content, *RESETS)),
        gating=True,
    )
    yield _with_length(window, length)


def _with_length(window: Window, length: int) -> Window:
    key, label = window_name(length)
    return replace(window, window_key=key, label=label, window_seconds=length)
