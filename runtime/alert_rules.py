"""What the settings of alerts must be like: addresses, rules, quiet hours and budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from runtime.settings import Settings

# Each rule with its number by default; None is a rule without one.
RULES: dict[str, float | None] = {
    "quota_low": 10,
    "runs_out": 30,
    "reset": 10,
    "needs_login": None,
    "collector": 120,
    "gap": 300,
    "lost": 10,
    "queue_shared": None,
    "failures": 50,
    "failed_attempts": 10,
    "unpriced": 1,
    "quota_worker": 300,
    "budget_near": 80,
    "budget_spent": 100,
}
# A part of the rule before it, and no rule of its own.
PARTS = {"failed_attempts"}
PERIODS = ("day", "week", "month")
LONGEST_NAME = 60
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
# One address each: of two in one, the first would get again what the second refused.
URL = re.compile(rf"{SCHEME}(?!\S*,{SCHEME})\S*")
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

Demand = tuple[str, bool, str]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the setting `budgets`: of a client or an account as it is shown, or of all."""

    per: str
    tokens: float = 0
    dollars: float = 0
    client: str = ""
    account: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """What the budget is called; without a name, what it is."""
        unit = "tokens" if self.tokens else "dollars"
        whose = self.client or self.account or "all"
        return self.name or f"{whose}, {unit} a {self.per}"


class Rule(NamedTuple):
    """A rule as the views know it."""

    rule: str
    enabled: bool
    threshold: float | None


def rules(chosen: dict[str, float | bool]) -> list[Rule]:
    """Lay the user's choice over the defaults: a number, true for the default, false for none."""
    found = []
    for name, usual in RULES.items():
        given = chosen.get(name, True)
        own = usual if isinstance(given, bool) else given
        found.append(Rule(name, given is not False, own))
    return found


def demands(settings: Settings) -> Iterator[Demand]:
    """Give (setting, whether it can work, what it must be)."""
    are_urls = all(map(URL.fullmatch, settings.alert_urls))
    yield "alert_urls", are_urls, "hold addresses of apprise such as ntfy://my-topic"
    known = settings.alert_rules.keys() <= RULES.keys()
    yield "alert_rules", known, f"name rules among {', '.join(RULES)}"
    for name, given in settings.alert_rules.items():
        yield f"alert_rules.{name}", may_be(name, given), takes(name)
    hours = settings.quiet_hours
    is_span = not hours or (bool(HOURS.fullmatch(hours)) and hours[:5] != hours[6:])
    yield "quiet_hours", is_span, "be empty or two times such as 23:00-07:00"
    for number, budget in enumerate(settings.budgets):
        yield from demands_of(f"budgets[{number}]", budget)
    titles = [budget.title for budget in settings.budgets]
    yield "budgets", len(set(titles)) == len(titles), "give two like budgets names that differ"


def demands_of(at: str, budget: Budget) -> Iterator[Demand]:
    """Give the demands of one budget."""
    yield f"{at}.per", budget.per in PERIODS, f"be {', '.join(PERIODS[:-1])} or {PERIODS[-1]}"
    amounts = sorted((budget.tokens, budget.dollars))
    yield at, amounts[0] == 0 < amounts[1] < inf, "have either tokens or dollars, above 0"
    yield at, not (budget.client and budget.account), "name a client or an account, not both"
    texts = (budget.name, budget.client, budget.account)
    is_short = all(text.isprintable() and len(text) <= LONGEST_NAME for text in texts)
    yield at, is_short, f"have names of at most {LONGEST_NAME} printable characters"


def may_be(name: str, given: float | bool) -> bool:
    """Tell whether a rule takes what it was given."""
    if isinstance(given, bool):
        return given or name not in PARTS
    return RULES[name] is not None and 0 < given < inf


def takes(name: str) -> str:
    """Say what a rule takes."""
    if name in PARTS:
        return "be a number above 0"
    return "be true or false" if RULES[name] is None else "be a number above 0, or false"
