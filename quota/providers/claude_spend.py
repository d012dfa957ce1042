"""Claude's extra usage: a monthly budget that takes over when the plan's windows are spent.

`extra_usage` in minor units of its currency, or the newer `spend` with its exponent, both of
GET https://api.anthropic.com/api/oauth/usage.
"""

from collections.abc import Iterator

from quota.fields import field, text
from quota.model import Window
from quota.numbers import amount, count, flag, percent, share

CENTS = 2


def extra_usage(body: object) -> Iterator[Window]:
    """Read the budget while it is enabled; it never gates, it only lifts a block."""
    old, new = field(body, "extra_usage"), field(body, "spend")
    spent = field(new, "used")
    if flag(field(old, "is_enabled")):
        told, digits, unit = field(old, "utilization"), CENTS, field(old, "currency")
        used, limit = field(old, "used_credits"), field(old, "monthly_limit")
    elif flag(field(new, "enabled")):
        told, digits, unit = field(new, "percent"), _digits(spent), field(spent, "currency")
        used, limit = field(spent, "amount_minor"), field(field(new, "limit"), "amount_minor")
    else:
        return
    used_percent = percent(told)
    yield Window(
        scope="spend",
        scope_key="extra_usage",
        window_key="month",
        label="extra usage",
        used_percent=share(used, limit) if used_percent is None else used_percent,
        used_value=amount(used, digits),
        limit_value=amount(limit, digits),
        unit=text(unit, 12),
    )


def _digits(money: object) -> int:
    told = count(field(money, "exponent"))
    return CENTS if told is None else min(told, 8)
