"""Claude's extra usage: a monthly budget that takes over when the plan's windows are spent.

`extra_usage` in minor units of its currency, or the newer `spend` with its exponent, both of
GET https://api.anthropic.com/api/oauth/usage.
"""

from collections.abc import Iterator

from quota.fields import field, mapping, text
from quota.model import Window
from quota.numbers import amount, count, flag, percent, share

CENTS = 2


def extra_usage(body: object) -> Iterator[Window]:
    """Read the budget while it is enabled; it never gates, it only lifts a block."""
    old, new = field(body, "extra_usage"), field(body, "spend")
    if flag(field(old, "is_enabled")):
        used, limit = field(old, "used_credits"), field(old, "monthly_limit")
        yield _window(percent(field(old, "utilization")), used, limit, _coin(old, CENTS))
    elif flag(field(new, "enabled")):
        spent, cap = field(new, "used"), field(new, "limit")
        used, limit = field(spent, "amount_minor"), field(cap, "amount_minor")
        digits = count(field(spent, "exponent"))
        coin = _coin(spent, CENTS if digits is None else min(digits, 8))
        yield _window(percent(field(new, "percent")), used, limit, coin)


def _coin(money: object, digits: int) -> tuple[str | None, int]:
    return text(field(mapping(money), "currency"), 12), digits


def _window(
    told: float | None, used: object, limit: object, coin: tuple[str | None, int]
) -> Window:
    unit, digits = coin
    return Window(
        scope="spend",
        scope_key="extra_usage",
        window_key="month",
        label="extra usage",
        used_percent=share(used, limit) if told is None else told,
        used_value=amount(used, digits),
        limit_value=amount(limit, digits),
        unit=unit,
    )
