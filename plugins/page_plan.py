"""What the dashboard's address asks for, as canned queries with their parameters."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

RANGES = ("today", "1h", "5h", "24h", "7d", "30d", "90d")
DEFAULT_RANGE = "24h"
STEPS = {"1h": "minute", "5h": "quarter hour", "30d": "day", "90d": "day"}
# The percentiles of a week by the hour are too many to be quick, its failures too few to be seen.
COARSE_STEPS = STEPS | {"7d": "day"}
LONGEST_IN_HOURS = 8
REQUESTS_SHOWN = 25
PARAMETERS = (
    *("range", "from", "to", "account", "model", "client", "proxy", "by"),
    *("failed", "request_id", "before", "mask"),
)
# Lists of which the page shows the first rows, unless they are opened.
LISTS = frozenset({"usable", "accounts", "models", "clients"})
ROWS_SHOWN = 10
ACCOUNTS_SHOWN = 8
ALERTS_OVER = 3

# Filters that not every rollup knows; each of them knows the proxy.
NARROW = ("account", "model", "client")

Part = tuple[str, dict[str, str]]


class Asked(NamedTuple):
    """The page's address, made valid: a named window, or days from `first` to `last`."""

    window: str
    first: str
    last: str
    account: str
    model: str
    client: str
    proxy: str
    by: str
    failed: str
    request_id: str
    before: str
    opened: frozenset[str]

    @property
    def span(self) -> dict[str, str]:
        """The parameters that name the span."""
        return {"from": self.first, "to": self.last} if self.first else {"window": self.window}

    @property
    def span_before(self) -> dict[str, str]:
        """The parameters that name the equally long span before it."""
        if not self.first:
            return {"from": f"before {self.window}"}
        first = date.fromisoformat(self.first)
        days = timedelta(days=self.days)
        return {"from": str(first - days), "to": str(first - timedelta(days=1))}

    @property
    def days(self) -> int:
        """How many days a custom span has."""
        return (date.fromisoformat(self.last) - date.fromisoformat(self.first)).days + 1

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set."""
        named = {"account": self.account, "model": self.model, "client": self.client}
        return filled({**named, "proxy": self.proxy})


def asked(given: Mapping[str, str]) -> Asked:
    """Read the address's parameters; what is malformed counts as not given."""
    first, last = day(given.get("from", "")), day(given.get("to", ""))
    last = last or first
    if last < first:
        first, last = last, first
    window = given.get("range", "")
    return Asked(
        window=window if window in RANGES else DEFAULT_RANGE,
        first=first,
        last=last if first else "",
        **{name: given.get(name, "") for name in (*NARROW, "proxy", "request_id")},
        by="account" if given.get("by") == "account" else "model",
        failed="1" if given.get("failed") == "1" else "",
        before=given.get("before", "") if given.get("before", "").isdecimal() else "",
        opened=frozenset(given.get("open", "").split(",")) & LISTS,
    )


def day(text: str) -> str:
    """Give a day as YYYY-MM-DD, or nothing when the text is none."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def step(question: Asked, steps: Mapping[str, str]) -> dict[str, str]:
    """Choose how fine a series is."""
    if question.first:
        return {"step": "hour" if question.days <= LONGEST_IN_HOURS else "day"}
    return {"step": steps.get(question.window, "hour")}


def only(filters: Mapping[str, str], *names: str) -> dict[str, str]:
    """Keep the named filters."""
    return {name: value for name, value in filters.items() if name in names}


def over_time(question: Asked) -> Part:
    """Choose the series that the big chart stacks; some filters leave nothing to stack by."""
    parameters = {**question.span, **step(question, STEPS), **question.filters}
    if question.by == "account" and not only(question.filters, *NARROW):
        return "account_series", parameters
    if question.by == "model" and not only(question.filters, "model", "client"):
        return "model_series", parameters
    return "series", parameters


def latencies(question: Asked) -> dict[str, Part]:
    """Choose where percentiles come from; for some filters there are none."""
    given, before = {**question.span, **question.filters}, question.span_before
    before |= question.filters
    narrow = set(only(question.filters, *NARROW))
    if not narrow:
        return {
            "latency": ("latency", given),
            "latency_before": ("latency", before) if question.first else ("latency_before", given),
            "latency_series": ("latency_series", {**given, **step(question, COARSE_STEPS)}),
        }
    if narrow == {"account"}:
        return {
            "latency": ("account_latency", given),
            "latency_before": ("account_latency", before),
        }
    return {}


def parts(question: Asked) -> dict[str, Part]:
    """Give the canned query, with its parameters, of each part of the page."""
    span, filters = question.span, question.filters
    proxy = only(filters, "proxy")
    requests = {"failed": question.failed, "request_id": question.request_id}
    requests |= {"before": question.before, "limit": str(REQUESTS_SHOWN + 1)}
    return {
        "facts": ("facts", {}),
        "span": ("span", span),
        "span_before": ("span", question.span_before),
        "summary": ("summary", {**span, **filters}),
        "summary_before": ("summary", {**question.span_before, **filters}),
        **latencies(question),
        "accounts": ("accounts", {**span, **only(filters, "model", "client", "proxy")}),
        "models": ("models", {**span, **only(filters, "account", "client", "proxy")}),
        "clients": ("clients", {**span, **only(filters, "account", "model", "proxy")}),
        "over_time": over_time(question),
        "failure_series": ("failure_series", {**span, **step(question, COARSE_STEPS), **filters}),
        "requests": ("requests", filled({**filters, **requests})),
        "names": ("names", {}),
        "state": ("state", {}),
        "gaps": ("gap_list", proxy),
        "alerts": ("alert_history", {"state": "open"}),
        "alerts_over": ("alert_history", {"state": "over", "limit": str(ALERTS_OVER)}),
        "budgets": ("budget_use", {}),
        "usable": ("usable_accounts", proxy),
        "quota": ("quota", proxy),
        "forecast": ("quota_outlook", proxy),
        "quota_errors": ("quota_errors", proxy),
        "refreshes": ("quota_refreshes", {}),
    }


def filled(parameters: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is empty."""
    return {name: value for name, value in parameters.items() if value}
