"""Grok: GET https://cli-chat-proxy.grok.com/v1/billing, as read by the Grok CLI and CodexBar.

`?format=credits` gives a percentage of the current period, on some plans none; the plain view
gives cents of a monthly limit. A limit of zero is a placeholder, not "nothing left".
"""

from collections.abc import Iterator
from dataclasses import replace

from quota.durations import WEEK, name, settled
from quota.errors import opened
from quota.fields import field, items, slug, text
from quota.identity import Credential
from quota.model import TOKEN, Answer, Reading, Request, Window
from quota.numbers import amount, instant, number, percent, share

BASES = ("https://cli-chat-proxy.grok.com",)
PATH = "/v1/billing"
# Without the first of these the answer is 404.
CLIENT = {"x-xai-token-auth": "xai-grok-cli", "x-grok-client-version": "0.2.93"}
CENTS = 2


def request(credential: Credential) -> Request:
    """Ask for the credits view."""
    return _request(credential, f"{PATH}?format=credits")


def fallback_request(credential: Credential) -> Request:
    """Ask for the plain view, which tells more when the credits view has no percentage."""
    return _request(credential, PATH)


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Read either view: the account's window, products for information, on-demand budget."""
    found = opened(answer, "config")
    if isinstance(found, Reading):
        return found
    answer, body = found
    config = field(body, "config")
    rows = [*_period(config), *_month(config), *_on_demand(config)]
    return Reading(
        state="ok" if isinstance(config, dict) else "bad_response",
        observed_at=answer.observed_at,
        http_status=answer.status,
        windows=settled(rows, answer.observed_at),
        complete=isinstance(config, dict),
    )


def _request(credential: Credential, path: str) -> Request:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json", **CLIENT}
    if credential.user_id:
        headers["x-userid"] = credential.user_id
    return Request("GET", path, headers)


def _period(config: object) -> Iterator[Window]:
    used = percent(field(config, "credit_usage_percent"))
    row = _row(field(config, "current_period"))
    if used is not None:
        yield replace(row, used_percent=used)
    for product in items(field(config, "product_usage")):
        title, part = text(field(product, "product")), percent(field(product, "usage_percent"))
        if title and part is not None:
            own = replace(row, scope="feature", scope_key=slug(title) or "", gating=False)
            yield replace(own, label=f"{title} {row.label}", used_percent=part)


def _row(period: object) -> Window:
    starts_at, resets_at = instant(field(period, "start")), instant(field(period, "end"))
    known = starts_at is not None and resets_at is not None and starts_at < resets_at
    length = (resets_at - starts_at) // 1000 if known else WEEK
    key, span = name(length)
    return Window(
        scope="account",
        window_key=key,
        label=span,
        window_seconds=length,
        resets_at=resets_at,
        gating=True,
        assumed=not known,
    )


def _month(config: object) -> Iterator[Window]:
    for row in _budget(config, "used", limit="monthly_limit"):
        yield replace(row, scope="account", label="monthly", gating=True)


def _on_demand(config: object) -> Iterator[Window]:
    for row in _budget(config, "on_demand_used", limit="on_demand_cap"):
        yield replace(row, scope_key="on_demand", label="on demand")


def _budget(config: object, used: str, *, limit: str) -> Iterator[Window]:
    spent, cap = (field(field(config, name), "val") for name in (used, limit))
    if number(cap):
        yield Window(
            scope="spend",
            window_key="month",
            label="",
            used_percent=share(spent, cap),
            used_value=amount(spent, CENTS),
            limit_value=amount(cap, CENTS),
            unit="USD",
            resets_at=instant(field(config, "billing_period_end")),
        )
