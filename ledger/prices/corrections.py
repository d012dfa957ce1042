"""Corrections of the package's price list: what it lacks or has wrong, each with its source.

Every entry names the page that it was read from and the day on which it was checked. An entry goes
when the package has it right.
"""

import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

CHECKED = "2026-11-27"
# https://api-docs.deepseek.com/quick_start/pricing: peak prices began on this day and hold on
# working days in Beijing only. The package has neither limit.
PEAKS_SINCE = date(2026, 8, 17)
BEIJING = timezone(timedelta(hours=8))
SATURDAY = 5
# https://docs.claude.com/en/docs/build-with-claude/prompt-caching: writing for an hour costs twice
# the price of input. The package has that price for some Claude models only.
HOUR_FACTOR = 2


@dataclass
class WorkdayPeak(TimeOfDateConstraint):
    """DeepSeek's peak hours: on working days, from the day on which they were introduced."""

    def active(self, request_timestamp: datetime) -> bool:
        """Return whether the peak price holds at an instant (UTC if naive)."""
        if request_timestamp.tzinfo is None:
            request_timestamp = request_timestamp.replace(tzinfo=UTC)
        if request_timestamp.astimezone(UTC).date() < PEAKS_SINCE:
            return False
        is_workday = request_timestamp.astimezone(BEIJING).weekday() < SATURDAY
        return is_workday and super().active(request_timestamp)


def _flat(**dollars: str) -> ModelPrice:
    """Return a price from dollars for a million tokens."""
    return ModelPrice(**{f"{kind}_mtok": Decimal(amount) for kind, amount in dollars.items()})


def _stepped(start: int, **dollars: tuple[str, str]) -> ModelPrice:
    """Return a price with one step: up to and beyond `start` input tokens."""
    return ModelPrice(
        **{
            f"{kind}_mtok": TieredPrices(Decimal(base), [Tier(start, Decimal(beyond))])
            for kind, (base, beyond) in dollars.items()
        }
    )


# Model by list: what holds in place of the package's entry, or beside its others.
CORRECTIONS: dict[str, dict[str, ModelPrice | list[ConditionalPrice]]] = {
    "anthropic": {
        # https://platform.claude.com/docs/en/about-claude/pricing
        "claude-mythos-5-1": _flat(
            input="10", cache_read="0.25", cache_write="12.5", cache_write_1h="20", output="50"
        ),
    },
    "x-ai": {
        # https://api.x.ai/v1/language-models: since it was retired on 2026-05-15, the name is
        # served and billed as grok-build-0.1.
        "grok-code-fast-1": [
            ConditionalPrice(prices=_flat(input="0.2", cache_read="0.02", output="1.5")),
            ConditionalPrice(
                StartDateConstraint(date(2026, 5, 15)),
                prices=_stepped(
                    199_999, input=("1", "2"), cache_read=("0.2", "0.4"), output=("2", "4")
                ),
            ),
        ],
    },
    "moonshotai": {
        # https://platform.moonshot.ai/docs/pricing/chat: the name is that of kimi-k2-0711-preview;
        # the package has a relay's price, without the cache.
        "kimi-k2": _flat(input="0.6", cache_read="0.15", output="2.5"),
    },
    # https://www.alibabacloud.com/help/en/model-studio/models, international list in dollars.
    # The package has no list of Alibaba's.
    "dashscope": {
        "qwen3.8-max": _flat(input="2", cache_read="0.25", output="6"),
        "qwen3.8-flash": _flat(input="0.15", cache_read="0.016", cache_write="0.2", output="0.47"),
        "qwen3.7-max": _flat(input="2.5", cache_read="0.5", cache_write="3.125", output="7.5"),
        "qwen3.7-plus": _stepped(
            256_000, input=("0.4", "1.2"), cache_read=("0.08", "0.24"), output=("1.6", "4.8")
        ),
        "qwen3.5-plus": _stepped(256_000, input=("0.4", "0.5"), output=("2.4", "3")),
        "qwen-flash": _stepped(256_000, input=("0.05", "0.25"), output=("0.4", "2")),
        "qwen-max": _flat(input="1.6", output="6.4"),
        "qwen3-next-80b-a3b-instruct": _flat(input="0.15", output="1.2"),
        "qwen3-next-80b-a3b-thinking": _flat(input="0.15", output="1.2"),
        "qwq-plus": _flat(input="0.8", output="2.4"),
    },
}


def corrected(snapshot: DataSnapshot) -> dict[str, Provider]:
    """Return the lists of a snapshot by their id, with the corrections in them."""
    lists = {provider.id: _corrected_list(provider) for provider in snapshot.providers}
    for list_id in CORRECTIONS.keys() - lists.keys():
        models = [_model(name, prices) for name, prices in CORRECTIONS[list_id].items()]
        lists[list_id] = Provider(list_id, list_id, r"(?!)", models=models)
    return lists


@cache
def is_correction(list_id: str, model_id: str) -> bool:
    """Return whether the price of a list's model is from here."""
    return model_id in CORRECTIONS.get(list_id, {})


def _corrected_list(provider: Provider) -> Provider:
    """Return a copy of a list with its corrections; the package's own objects stay as they are."""
    corrections = CORRECTIONS.get(provider.id, {})
    if not corrections and provider.id not in ("deepseek", "anthropic"):
        return provider
    # A correction comes first, so that no looser pattern of another model takes its name.
    models = [_model(name, prices) for name, prices in corrections.items()]
    models += [_adjusted(provider.id, model) for model in provider.models]
    result = copy.copy(provider)
    result.models = models
    return result


def _model(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(name, ClauseEquals(name), prices=prices)


def _adjusted(list_id: str, model: ModelInfo) -> ModelInfo:
    """Return a model with what is wrong in all models of a list put right."""
    result = copy.copy(model)
    if list_id == "deepseek" and isinstance(model.prices, list):
        result.prices = [_on_workdays(price) for price in model.prices]
    elif list_id == "anthropic":
        if isinstance(model.prices, list):
            result.prices = [
                ConditionalPrice(price.constraint, prices=_with_hour(price.prices))
                for price in model.prices
            ]
        else:
            result.prices = _with_hour(model.prices)
    return result


def _on_workdays(price: ConditionalPrice) -> ConditionalPrice:
    """Return a price whose hours hold on working days only."""
    constraint = price.constraint
    if not isinstance(constraint, TimeOfDateConstraint):
        return price
    peak = WorkdayPeak(constraint.start_time, constraint.end_time)
    return ConditionalPrice(peak, prices=price.prices)


def _with_hour(price: ModelPrice) -> ModelPrice:
    """Return a price with one for cache writes of an hour, if it has one for shorter ones."""
    if price.cache_write_mtok is None or price.cache_write_1h_mtok is not None:
        return price
    fresh = price.input_mtok
    if fresh is None:
        return price
    result = copy.copy(price)
    if isinstance(fresh, TieredPrices):
        steps = [Tier(tier.start, tier.price * HOUR_FACTOR) for tier in fresh.tiers]
        hour: Decimal | TieredPrices = TieredPrices(fresh.base * HOUR_FACTOR, steps)
    else:
        hour = fresh * HOUR_FACTOR
    result.__dict__["cache_write_1h_mtok"] = hour
    return result
