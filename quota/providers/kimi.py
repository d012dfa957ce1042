"""Kimi for coding: GET https://api.kimi.com/coding/v1/usages, as read by MoonshotAI/kimi-code.

Two shapes: ratios by pool since September 2026, and amounts before. Answers with both have
contradicted each other, the ratio at 0 while generation was refused: the larger use counts.
Entries of `limits` may be flat, with `resetIn` seconds. `boosterWallet` pays after the plan: its
amounts are millionths of a cent.

A refused generation answers 403, "You've reached your usage limit for this billing cycle" or
"… your 5-hour usage limit", without an instant.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from quota.errors import open_answer
from quota.json_fields import (
    amount,
    field,
    flag,
    instant,
    items,
    mapping,
    number,
    percent_of_fraction,
    percent_of_limit,
    seconds,
    snake,
    text,
    word,
)
from quota.model import (
    TOKEN,
    Answer,
    Credential,
    HeaderSignal,
    Provider,
    Reading,
    Refusal,
    Request,
    Window,
)
from quota.windows import DAY, HOUR, WEEK, finish_windows, reset_instant, window_name

BASES = ("https://api.kimi.com", "https://api.kimi.ai")
PATH = "/coding/v1/usages"
REQUIRED = ("usages", "usage", "limits")
POOL = re.compile(r"limit_?(\d{1,3})([hd])")
MONTHS = {"limit_month_total": ("", "monthly"), "limit_month_code": ("code", "code monthly")}
UNITS = {"second": 1, "minute": 60, "hour": HOUR, "day": DAY, "week": WEEK}
RESETS = ("reset_time", "reset_at")
# Amounts of the wallet are millionths of a cent, prices are cents.
WALLET_DIGITS, CENT_DIGITS = 8, 2
PHRASES = {
    "5h": re.compile(r"\b5[ -]hour"),
    # The plan's billing cycle is its week.
    "7d": re.compile(r"weekly|\b7[ -]day|billing cycle"),
    "month": re.compile(r"monthly"),
}


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
    wallet = field(body, "booster_wallet")
    windows = [
        *_pool_windows(field(body, "usages")),
        *_amount_windows(body, answer.observed_at),
        *_wallet_window(wallet),
    ]
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        credits_has=None if wallet is None else _has_credits(wallet),
        credits_balance=amount(field(field(wallet, "balance"), "amount_left"), WALLET_DIGITS),
        windows=finish_windows(windows, answer.observed_at),
        complete=all(isinstance(field(body, key), dict | list | None) for key in REQUIRED),
    )


def read_headers(signal: HeaderSignal) -> Reading:
    """Parse the refusal of a generation; headers have no quota."""
    phrases = str(field(signal.error, "phrases") or "")
    named = tuple(key for key, phrase in PHRASES.items() if phrase.search(phrases))
    spent = signal.failed and ("usage limit" in phrases or "billing cycle" in phrases)
    refusal = Refusal(reason="usage_limit_reached", windows=named, refused_at=signal.observed_at)
    return Reading(state=None, observed_at=signal.observed_at, refusals=(refusal,) if spent else ())


PROVIDER = Provider(bases=BASES, request=request, parse=parse, read_headers=read_headers)


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


def _amount_windows(body: object, observed_at: int) -> Iterator[Window]:
    yield from _amount_window(field(body, "usage"), WEEK, observed_at)
    for limit in items(field(body, "limits")):
        window = field(limit, "window") or limit
        unit = (word(field(window, "time_unit")) or "").removeprefix("time_unit_")
        length = seconds(field(window, "duration"), UNITS.get(unit.removesuffix("s"), 0))
        if length:
            yield from _amount_window(field(limit, "detail") or limit, length, observed_at)


def _amount_window(content: object, length: int, observed_at: int) -> Iterator[Window]:
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
        resets_at=reset_instant(
            field(content, *RESETS), field(content, "reset_in"), observed_at=observed_at
        ),
        gating=True,
    )
    yield _with_length(window, length)


def _has_credits(wallet: object) -> bool:
    remaining = number(field(field(wallet, "balance"), "amount_left"))
    status = word(field(wallet, "status")) or "status_enabled"
    return bool(remaining) and status == "status_enabled"


def _wallet_window(wallet: object) -> Iterator[Window]:
    """Parse the month's charge limit of the wallet, in dollars or the account's currency."""
    cap, spent = field(wallet, "monthly_charge_limit"), field(wallet, "monthly_used")
    if wallet is None:
        return
    has_cap = flag(field(wallet, "monthly_charge_limit_enabled")) is not False
    used = field(spent, "price_in_cents")
    limit = field(cap, "price_in_cents") if has_cap else None
    yield Window(
        scope="spend",
        scope_key="booster",
        window_key="month",
        label="booster wallet",
        used_percent=percent_of_limit(used, limit),
        used_value=amount(used, CENT_DIGITS),
        limit_value=amount(limit, CENT_DIGITS),
        unit=text(field(spent, "currency"), 12) or text(field(cap, "currency"), 12),
        limit_reached=None if _has_credits(wallet) else True,
    )


def _with_length(window: Window, length: int) -> Window:
    key, label = window_name(length)
    return replace(window, window_key=key, label=label, window_seconds=length)
