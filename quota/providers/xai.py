"""Grok: GET https://cli-chat-proxy.grok.com/v1/billing, as read by the Grok CLI and CodexBar.

`?format=credits` is answered with a percentage of the current period, on some plans and at the
start of a period without one; the plain view with cents of a monthly limit, of another cycle. A
limit of zero is a placeholder, not "nothing left". Prepaid and on-demand amounts are spent after
the period's (inferred).

A refused generation answers 403: "You have run out of credits or need a Grok subscription".
"""

from collections.abc import Iterator
from dataclasses import replace

from quota.errors import open_answer
from quota.json_fields import (
    amount,
    field,
    instant,
    items,
    number,
    percent,
    percent_of_limit,
    slug,
    text,
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
from quota.windows import WEEK, finish_windows, window_name

BASES = ("https://cli-chat-proxy.grok.com",)
PATH = "/v1/billing"
# Without the first of these the answer is 404.
CLIENT = {"x-xai-token-auth": "xai-grok-cli", "x-grok-client-version": "0.2.93"}
CENT_DIGITS = 2
OUT_OF_CREDITS = ("run out of credits", "used all available credits")


def request(credential: Credential) -> Request:
    """Return the request for the credits view."""
    return _request(credential, f"{PATH}?format=credits")


def fallback_request(credential: Credential) -> Request:
    """Return the request for the plain view, for a credits view without a percentage."""
    return _request(credential, PATH)


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Parse either view: the account's window, products for information, on-demand budget."""
    opened = open_answer(answer, "config")
    if isinstance(opened, Reading):
        return opened
    answer, body = opened
    config = field(body, "config")
    windows = [*_period_windows(config), *_on_demand_window(config)]
    if not any(window.scope == "account" for window in windows):
        windows += _month_window(config)
    plan = text(field(body, "subscription_tier")) or text(field(config, "subscription_tier"))
    prepaid = field(field(config, "prepaid_balance"), "val")
    return Reading(
        state="ok" if isinstance(config, dict) else "bad_response",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        credits_has=None if number(prepaid) is None else bool(number(prepaid)),
        credits_balance=amount(prepaid, CENT_DIGITS),
        windows=finish_windows(windows, answer.observed_at),
        complete=isinstance(config, dict),
    )


def read_headers(signal: HeaderSignal) -> Reading:
    """Parse the refusal of a generation; headers have no quota."""
    phrases = str(field(signal.error, "phrases") or "")
    spent = signal.failed and any(phrase in phrases for phrase in OUT_OF_CREDITS)
    refusal = Refusal(reason="out_of_credits", refused_at=signal.observed_at)
    return Reading(state=None, observed_at=signal.observed_at, refusals=(refusal,) if spent else ())


PROVIDER = Provider(
    bases=BASES,
    request=request,
    parse=parse,
    fallback=fallback_request,
    read_headers=read_headers,
)


def _request(credential: Credential, path: str) -> Request:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json", **CLIENT}
    if credential.user_id:
        headers["x-userid"] = credential.user_id
    return Request("GET", path, headers)


def _period_windows(config: object) -> Iterator[Window]:
    window = _empty_period_window(field(config, "current_period"))
    used = percent(field(config, "credit_usage_percent"))
    if used is not None:
        yield replace(window, used_percent=used)
    elif window.resets_at is not None:
        # At the start of a period the percentage is left out: the window is there all the same.
        yield replace(window, gating=False)
    for product in items(field(config, "product_usage")):
        title, used = text(field(product, "product")), percent(field(product, "usage_percent"))
        if title and used is not None:
            label = f"{title} {window.label}"
            product_window = replace(
                window, scope="feature", scope_key=slug(title) or "", gating=False
            )
            yield replace(product_window, label=label, used_percent=used)


def _empty_period_window(period: object) -> Window:
    """Return the period's window without a percentage; a period without dates is a week."""
    starts_at, resets_at = instant(field(period, "start")), instant(field(period, "end"))
    length = None
    if starts_at is not None and resets_at is not None and starts_at < resets_at:
        length = (resets_at - starts_at) // 1000
    key, span = window_name(WEEK if length is None else length)
    return Window(
        scope="account",
        window_key=key,
        label=span,
        window_seconds=WEEK if length is None else length,
        resets_at=resets_at,
        gating=True,
        assumed=length is None,
    )


def _month_window(config: object) -> Iterator[Window]:
    for window in _budget(config, "used", limit="monthly_limit"):
        yield replace(window, scope="account", label="monthly", gating=True)


def _on_demand_window(config: object) -> Iterator[Window]:
    for window in _budget(config, "on_demand_used", limit="on_demand_cap"):
        yield replace(window, scope_key="on_demand", label="on demand")


def _budget(config: object, used: str, *, limit: str) -> Iterator[Window]:
    spent, cap = (field(field(config, name), "val") for name in (used, limit))
    if number(cap):
        yield Window(
            scope="spend",
            window_key="month",
            label="",
            used_percent=percent_of_limit(spent, cap),
            used_value=amount(spent, CENT_DIGITS),
            limit_value=amount(cap, CENT_DIGITS),
            unit="USD",
            resets_at=instant(field(config, "billing_period_end")),
        )
