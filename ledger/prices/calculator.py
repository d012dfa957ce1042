"""What an attempt would cost at list price, in micro-dollars: an estimate, null when unknown.

Prices come from the user's own `prices` first, else from the `genai-prices` package as of the
event's time. Tiers, cache lifetimes and hours are those of docs/costs.md.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ledger.keys import Key, tail
from ledger.prices import overrides
from ledger.prices.corrections import is_correction
from ledger.prices.lookup import COMPATIBLE, Lookup, Match
from ledger.prices.overrides import Price
from ledger.prices.periods import periods
from ledger.prices.rates import Counts, Rates, has_token_prices, own_steps, package_steps, scaled
from ledger.prices.snapshot import Lists, lists
from ledger.settings import Settings

# Why a cost is missing or incomplete; the numbers are stored.
REASONS = {
    1: "no price",
    2: "no usage",
    3: "unclassified",
    4: "partly unclassified",
    5: "unit",
}
NO_PRICE, NO_USAGE, UNCLASSIFIED, PARTLY_UNCLASSIFIED, UNIT = REASONS
ADD_PRICE = """
  insert into known_prices (source, version, model) values (?, ?, ?) on conflict do nothing
"""
FIND_PRICE = "select id from known_prices where source = ? and version = ? and model = ?"
ADD_RULE = "insert into price_rules (rule, tier) values (?, ?) on conflict do nothing"
FIND_RULE = "select id from price_rules where rule = ? and tier = ?"
# Asking for none of these words is asking for the standard tier.
PAID_TIERS = ("priority", "fast", "flex", "batch")


class Attempt(NamedTuple):
    """The properties of an attempt that its cost depends on, besides its tokens.

    `occurred_at` is ms UTC; `client` and `account` are labels, needed only for prices of the
    user's own that name one.
    """

    provider: str
    model: str
    occurred_at: int
    alias: str = ""
    auth_type: str = ""
    endpoint: str = ""
    requested_tier: str = ""
    answered_tier: str = ""
    client: str = ""
    account: str = ""
    failed: bool = False
    is_warm_up: bool = False


# One for every event: a struct is made in a fraction of a named tuple's time.
class Cost(msgspec.Struct, frozen=True, gc=False):
    """A cost in micro-dollars, what the cache saved, the rates used, and why it is incomplete.

    `microdollars` is None when nothing is known; with the reason "partly unclassified" it covers
    the tokens whose kind is known.
    """

    microdollars: int | None
    saved: int
    rates: Rates | None
    reason: int | None


class Prices:
    """Works out costs; each combination of names is resolved once.

    `client_names` and `account_names` are the user's own names by label: prices and cache lifetimes
    may use either.
    """

    def __init__(
        self,
        own: overrides.Prices,
        *,
        cache_lifetimes: Mapping[str, str] | None = None,
        price_lists: Mapping[str, str] | None = None,
        client_names: Mapping[str, str] | None = None,
        account_names: Mapping[str, str] | None = None,
        listed: Lists | None = None,
    ) -> None:
        self._own = list(overrides.entries(own))
        self._lifetimes = dict(cache_lifetimes or {})
        self._price_lists = dict(price_lists or {})
        self._client_names = dict(client_names or {})
        self._account_names = dict(account_names or {})
        self.use(listed or lists())
        self.needs_account = any(price.account for _, price in self._own)
        self.needs_client = any(price.client for _, price in self._own) or bool(
            self._lifetimes.keys() - {"*"}
        )

    def use(self, listed: Lists) -> None:
        """Price by other lists from now on; another thread may be pricing at the same time."""
        self._lookup = Lookup(listed.providers, self._price_lists), listed.version
        # Names that come to the same share a plan.
        self._same: dict[tuple[object, ...], Plan] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}
        # Last: who sees it sees the rest.
        self.listed = listed

    @classmethod
    def configured(cls, settings: Settings) -> "Prices":
        """Return the prices that the settings ask for.

        Raises `SystemExit` with a sentence when they name a list that there is not.
        """
        listed = lists(settings.data_folder)
        for list_id in settings.price_lists.values():
            if list_id not in listed.providers:
                raise SystemExit(
                    "The setting price_lists is malformed: it must name lists among "
                    f"{', '.join(sorted(listed.providers))}."
                )
        return cls(
            settings.prices,
            cache_lifetimes=settings.cache_lifetimes,
            price_lists=settings.price_lists,
            client_names={
                client_label(text): name for text, name in settings.client_aliases.items()
            },
            account_names=settings.account_aliases,
            listed=listed,
        )

    def cost(self, attempt: Attempt, counts: Counts) -> Cost:
        """Return what an attempt costs.

        A failure without tokens costs nothing; a success without tokens is one whose usage was
        not told.
        """
        cost = self.plan(attempt).cost(attempt.occurred_at, counts)
        return NOTHING if cost is WITHOUT_USAGE and is_free(attempt) else cost

    def plan(self, attempt: Attempt) -> "Plan":
        """Return how an attempt is priced, apart from the time and the length of its input."""
        key = (
            attempt.provider,
            attempt.model,
            attempt.alias,
            attempt.auth_type,
            attempt.requested_tier,
            attempt.answered_tier,
            attempt.endpoint,
            attempt.client if self.needs_client else "",
            attempt.account if self.needs_account else "",
        )
        # Held, so that no plan of older lists gets among those of newer ones.
        plans = self._plans
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = self._make_plan(attempt)
        return plan

    def _make_plan(self, attempt: Attempt) -> "Plan":
        same, (lookup, version) = self._same, self._lookup
        match = lookup.find(attempt.provider, attempt.model, attempt.alias)
        clients, accounts = self._client_texts(attempt), self._account_texts(attempt)
        own = [
            (pattern, price)
            for pattern, price in self._own
            if applies(pattern, price, attempt)
            and is_one_of(price.client, clients)
            and is_one_of(price.account, accounts)
        ]
        paid, is_hour = tier(attempt), self._is_hour(attempt)
        key = (match and (match.name, match.rule), paid, is_hour, *(id(price) for _, price in own))
        if key not in same:
            same[key] = Plan(match, own, tier=paid, is_hour=is_hour, version=version)
        return same[key]

    def _client_texts(self, attempt: Attempt) -> list[str]:
        """Return the label of the client key and the user's own name for it."""
        return [attempt.client, self._client_names.get(attempt.client, "")]

    def _account_texts(self, attempt: Attempt) -> list[str]:
        """Return the label of the account and the user's own name for it."""
        label, names = attempt.account, self._account_names
        return [label, names.get(f"{attempt.provider}:{label}") or names.get(label, "")]

    def _is_hour(self, attempt: Attempt) -> bool:
        """Return whether cache writes of an attempt live for an hour; the event does not tell."""
        names = [*self._client_texts(attempt), "*"]
        chosen = next((self._lifetimes[name] for name in names if name in self._lifetimes), "")
        if attempt.provider != "claude" or not chosen:
            # The proxy and Claude Code ask for an hour with the tokens of a subscription.
            return attempt.provider == "claude" and attempt.auth_type == "oauth"
        return chosen == "1h"


NOTHING = Cost(0, 0, None, None)
WITHOUT_USAGE = Cost(None, 0, None, NO_USAGE)
ONLY_A_TOTAL = Cost(None, 0, None, UNCLASSIFIED)
# Input, output and their parts, as in `Counts`.
SixCounts = tuple[int, int, int, int, int, int]


class Applied(NamedTuple):
    """Rates as a plan applies them: micro-dollars for a token of each kind, by length of input.

    The kinds are uncached input, cache reads, cache writes of the plan's lifetime, visible output
    and reasoning; the last is the price of the request.
    """

    starts: list[int]
    steps: list[tuple[float, float, float, float, float, float]]
    rates: Rates


class Plan:
    """How one combination of names, tier and cache lifetime is priced at any time."""

    def __init__(
        self,
        match: Match | None,
        own: Sequence[tuple[str, Price]],
        *,
        tier: str,
        is_hour: bool,
        version: str,
    ) -> None:
        self.match = match
        self._version = version
        self.is_hour = is_hour
        self.tier = tier
        self._own = own
        self._context = context(tier) if match and match.has_variants else {}
        self._periods = periods(match and match.model, (price for _, price in own))
        # What is known already, by the number of a period.
        self._by_period: dict[int, Applied | None] = {}
        self.reason = NO_PRICE

    def cost(self, occurred_at: int, counts: SixCounts) -> Cost:
        """Return what an attempt at an instant (ms UTC) costs, rounded half to even.

        `WITHOUT_USAGE` is returned for one without tokens.
        """
        # Unpacked, and without calls, since this runs for every event.
        total, cached, written, output, reasoning, unclassified = counts
        if not total and not output:
            return ONLY_A_TOTAL if unclassified else WITHOUT_USAGE
        try:
            applied = self._by_period[self._periods.key(occurred_at) if self._periods else 0]
        except KeyError:
            applied = self._applied_at(occurred_at)
        if applied is None:
            return Cost(None, 0, None, self.reason)
        starts, steps, rates = applied
        fresh, read, write, visible, thought, request = steps[
            bisect_left(starts, total) if starts else 0
        ]
        cost = (
            (total - cached - written) * fresh
            + cached * read
            + written * write
            + (output - reasoning) * visible
            + reasoning * thought
            + request
        )
        saved = cached * (fresh - read) + written * (fresh - write) if cached or written else 0
        return Cost(round(cost), round(saved), rates, PARTLY_UNCLASSIFIED if unclassified else None)

    def rates_at(self, occurred_at: int) -> Rates | None:
        """Return the rates at an instant (ms UTC), or None; `reason` says then why."""
        applied = self._applied_at(occurred_at)
        return applied.rates if applied else None

    def _applied_at(self, occurred_at: int) -> Applied | None:
        """Return the rates at an instant as they are applied, each worked out once."""
        period = self._periods.key(occurred_at) if self._periods else 0
        if period not in self._by_period:
            rates = self._rates(occurred_at)
            # Periods of one price share it, so that it is written into the ledger once.
            equal = (one for one in self._by_period.values() if one and one.rates == rates)
            self._by_period[period] = rates and (next(equal, None) or self._applied(rates))
        return self._by_period[period]

    def _applied(self, rates: Rates) -> Applied:
        """Return rates with the price of cache writes of the plan's lifetime."""
        steps = [
            (
                step.input,
                step.cache_read,
                step.cache_write_1h if self.is_hour else step.cache_write,
                step.output,
                step.reasoning,
                step.request,
            )
            for step in rates.steps
        ]
        return Applied(rates.starts, steps, rates)

    def _rates(self, occurred_at: int) -> Rates | None:
        """Return the rates of the user's own price that holds, else the list's."""
        moment = datetime.fromtimestamp(occurred_at / 1000, UTC)
        factor = 1.0
        scalers: list[str] = []
        for pattern, price in self._own:
            if not price.holds_at(moment):
                continue
            if not price.is_scale:
                starts, steps = own_steps(price)
                rule = "; ".join(["own price", *scalers])
                return Rates(starts, scaled(steps, factor), "config", "", pattern, rule, price.tier)
            factor *= price.multiplier or 0.0
            scalers.append(f"times {price.multiplier:g} by {pattern}")
        return self._list_rates(moment, factor, scalers)

    def _list_rates(self, moment: datetime, factor: float, scalers: list[str]) -> Rates | None:
        """Return the rates of the price list, times the user's own factor."""
        if self.match is None:
            return None
        price = self.match.model.get_prices(moment, self._context)
        if not has_token_prices(price):
            self.reason = UNIT
            return None
        starts, steps = package_steps(price)
        is_own = is_correction(self.match.list_id, self.match.model.id)
        return Rates(
            starts,
            scaled(steps, factor) if scalers else steps,
            "correction" if is_own else "genai-prices",
            self._version,
            self.match.name,
            "; ".join([self.match.rule, *scalers]),
            self.tier,
        )


def tier(attempt: Attempt) -> str:
    """Return the service tier that decides the price, or "" for the standard one.

    For Codex it is the request's: the answer always says `default` or `auto` there, and the proxy
    passes `priority` alone on (v7.2.140); the paths from Claude, Gemini and Interactions clients
    turn `fast` into `priority`. Elsewhere the answer's tier wins where there is one.
    """
    if attempt.provider == "codex":
        asked = attempt.requested_tier.lower()
        is_responses = attempt.endpoint.rsplit(" ", 1)[-1] == "/v1/responses"
        return "priority" if asked == "priority" or (asked == "fast" and not is_responses) else ""
    word = (attempt.answered_tier or attempt.requested_tier).lower()
    return word if word in PAID_TIERS else ""


def context(tier: str) -> dict[str, str]:
    """Return a tier in the words of the package's price variants; empty for the standard one."""
    if not tier:
        return {}
    if tier == "batch":
        return {"processing": "batch"}
    return {"service_tier": tier, **({"speed": "fast"} if tier == "fast" else {})}


def applies(pattern: str, price: Price, attempt: Attempt) -> bool:
    """Return whether a user's own price applies to an attempt, at any time and for any user."""
    names = [attempt.model, attempt.alias] if attempt.alias else [attempt.model]
    return (
        any(overrides.matches(pattern, name) for name in names)
        and (not price.provider or is_provider(price.provider, attempt.provider))
        and (not price.tier or price.tier == (tier(attempt) or "standard"))
    )


def is_one_of(pattern: str, names: Sequence[str]) -> bool:
    """Return whether a pattern is empty or fits one of the names."""
    return not pattern or any(name and overrides.matches(pattern, name) for name in names)


def client_label(text: str) -> str:
    """Return the label of a client key that the settings name by its label or as a whole."""
    if text.startswith(("…", "...")):
        return f"…{text.removeprefix('...').removeprefix('…')}"
    return Key(b"", tail(text)).label


def is_provider(pattern: str, provider: str) -> bool:
    """Return whether a provider is the one meant; a relay may be named without its prefix."""
    return overrides.matches(pattern, provider) or overrides.matches(
        pattern, provider.removeprefix(COMPATIBLE)
    )


def is_free(attempt: Attempt) -> bool:
    """Return whether an attempt without tokens used nothing: a failure, a warm-up, a count."""
    return attempt.failed or attempt.is_warm_up or "count" in attempt.endpoint.lower()


class PriceIds(NamedTuple):
    """What a cost was worked out by, named as the columns of `usage_events`; None where unknown."""

    price_id: int | None
    price_rule_id: int | None


NO_PRICE_IDS = PriceIds(None, None)


def price_ids(conn: sqlite3.Connection, rates: Rates) -> PriceIds:
    """Return the ids of what a cost was worked out by, adding what is new."""
    price, rule = (rates.source, rates.version, rates.model), (rates.rule, rates.tier)
    conn.execute(ADD_PRICE, price)
    conn.execute(ADD_RULE, rule)
    return PriceIds(
        conn.execute(FIND_PRICE, price).fetchone()[0], conn.execute(FIND_RULE, rule).fetchone()[0]
    )
