"""The providers' quota endpoints, served on the proxy's port below `/providers/`."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from demo.accounts import BOB, ERIN, Account, instant, token_owner
from demo.http import NOT_FOUND, Reply, Request, reply
from demo.quotas import FIVE_HOURS, MONTHLY, WEEKLY, Quotas, Reading

PREFIX = "/providers/"
MAX_LOGGED_CALLS = 20_000
HOSTS = {
    "chatgpt.com": "codex",
    "api.anthropic.com": "claude",
    "daily-cloudcode-pa.googleapis.com": "antigravity",
    "api.kimi.com": "kimi",
    "cli-chat-proxy.grok.com": "xai",
}
LOGGED_OUT = reply(
    {
        "error": {
            "message": "Encountered invalidated oauth token for user, failing request",
            "type": None,
            "code": "token_revoked",
            "param": None,
        },
        "status": 401,
    },
    401,
)
CODEX_POSITIONS = ("primary_window", "secondary_window")
CLAUDE_NAMES = {FIVE_HOURS: "five_hour", WEEKLY: "seven_day", MONTHLY: "month"}
ANTIGRAVITY_GROUPS = {"gemini": "Gemini Models", "3p": "Claude and GPT models"}

Json = dict[str, Any]
Answer = Callable[[Account, Quotas, float], Json]


class ProviderCall(NamedTuple):
    """One call to a provider; `at` is unix seconds."""

    account: Account | None
    provider: str
    path: str
    moment: float
    headers: dict[str, str]


class Providers:
    """All providers. `faults` may be changed at any time: replies to an account's calls."""

    def __init__(self, accounts: Sequence[Account], quotas: Quotas) -> None:
        self._accounts = accounts
        self._quotas = quotas
        # Bounded, since the demo runs for days.
        self.calls: deque[ProviderCall] = deque(maxlen=MAX_LOGGED_CALLS)
        self.faults: dict[Account | None, Reply] = {}

    def answer(self, request: Request) -> Reply:
        """Answer one call and log it."""
        provider, _, rest = request.path.removeprefix(PREFIX).partition("/")
        authorization = request.headers.get("authorization", "")
        account = token_owner(authorization, self._accounts)
        self.calls.append(ProviderCall(account, provider, f"/{rest}", time.time(), request.headers))
        answer = ANSWERS.get((provider, request.method, f"/{rest}"))
        if answer is None:
            return NOT_FOUND
        if account in self.faults:
            return self.faults[account]
        if account is None or account.provider != provider or account is ERIN:
            return LOGGED_OUT
        return reply(answer(account, self._quotas, time.time()))

    def count(self, account: Account, path: str = "") -> int:
        """Return the number of an account's calls whose path contains `path`."""
        return sum(call.account is account and path in call.path for call in self.calls)


def codex_usage(account: Account, quotas: Quotas, moment: float) -> Json:
    """Return the answer of chatgpt.com's /backend-api/wham/usage."""
    has_spark = account is BOB
    windows = quotas.windows(account, moment)
    return {
        "user_id": f"user-{account.auth_index}",
        "account_id": account.account_id,
        "email": account.email,
        "plan_type": account.plan,
        "rate_limit": _codex_limit(windows, moment),
        "code_review_rate_limit": None,
        "additional_rate_limits": [_codex_spark(quotas, moment)] if has_spark else [],
        "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
        "spend_control": {"reached": False, "individual_limit": None},
        "rate_limit_reached_type": _codex_reached(windows),
        "rate_limit_reset_credits": {"available_count": int(has_spark)},
    }


def claude_usage(account: Account, quotas: Quotas, moment: float) -> Json:
    """Return the answer of api.anthropic.com's /api/oauth/usage."""
    return {
        CLAUDE_NAMES[minutes]: {"utilization": round(used, 1), "resets_at": instant(resets_at)}
        for minutes, used, resets_at in quotas.windows(account, moment)
    } | {"seven_day_opus": None, "extra_usage": {"is_enabled": False}}


def claude_profile(account: Account, _quotas: Quotas, _at: float) -> Json:
    """Return the answer of api.anthropic.com's /api/oauth/profile."""
    plan = f"claude_{account.plan}"
    return {"account": {f"has_{plan}": True}, "organization": {"organization_type": plan}}


def antigravity_summary(account: Account, quotas: Quotas, moment: float) -> Json:
    """Return the answer of Google's :retrieveUserQuotaSummary."""
    readings = quotas.named(account, moment)
    return {
        "groups": [
            {
                "displayName": title,
                "buckets": [
                    _antigravity_bucket(name, reading)
                    for name, reading in readings.items()
                    if name.startswith(group)
                ],
            }
            for group, title in ANTIGRAVITY_GROUPS.items()
        ]
    }


def antigravity_assist(account: Account, _quotas: Quotas, _at: float) -> Json:
    """Return the answer of Google's :loadCodeAssist."""
    return {"currentTier": {"id": "free-tier"}, "paidTier": {"id": f"g1-{account.plan}-tier"}}


def kimi_usages(account: Account, quotas: Quotas, moment: float) -> Json:
    """Return the answer of api.kimi.com's /coding/v1/usages."""
    usages = {
        name: {"used_ratio": round(used / 100, 4), "reset_time": instant(resets_at)}
        for name, (_, used, resets_at) in quotas.named(account, moment).items()
    }
    return {"usages": usages, "user": {"membership": {"level": "LEVEL_INTERMEDIATE"}}}


def xai_billing(account: Account, quotas: Quotas, moment: float) -> Json:
    """Return the answer of Grok's /v1/billing."""
    minutes, used, resets_at = quotas.named(account, moment)["weekly"]
    period = {
        "type": "USAGE_PERIOD_TYPE_WEEKLY",
        "start": instant(resets_at - minutes * 60),
        "end": instant(resets_at),
    }
    return {"config": {"currentPeriod": period, "creditUsagePercent": round(used, 1)}}


ANSWERS: dict[tuple[str, str, str], Answer] = {
    ("codex", "GET", "/backend-api/wham/usage"): codex_usage,
    ("claude", "GET", "/api/oauth/usage"): claude_usage,
    ("claude", "GET", "/api/oauth/profile"): claude_profile,
    ("antigravity", "POST", "/v1internal:retrieveUserQuotaSummary"): antigravity_summary,
    ("antigravity", "POST", "/v1internal:loadCodeAssist"): antigravity_assist,
    ("kimi", "GET", "/coding/v1/usages"): kimi_usages,
    ("xai", "GET", "/v1/billing"): xai_billing,
}


def _codex_limit(readings: list[Reading], moment: float) -> Json:
    is_reached = _codex_reached(readings) is not None
    windows = [_codex_window(reading, moment) for reading in readings]
    return {
        "allowed": not is_reached,
        "limit_reached": is_reached,
        **dict(zip(CODEX_POSITIONS, (*windows, None), strict=False)),
    }


def _codex_window(reading: Reading, moment: float) -> Json:
    return {
        "used_percent": int(reading.used),
        "limit_window_seconds": reading.minutes * 60,
        "reset_after_seconds": max(0, reading.resets_at - int(moment)),
        "reset_at": reading.resets_at,
    }


def _codex_spark(quotas: Quotas, moment: float) -> Json:
    return {
        "limit_name": "GPT-5.3-Codex-Spark",
        "metered_feature": "codex_bengalfox",
        "rate_limit": _codex_limit(quotas.spark(moment), moment),
    }


def _codex_reached(readings: list[Reading]) -> Json | None:
    is_reached = any(reading.used >= 100 for reading in readings)
    return {"type": "rate_limit_reached"} if is_reached else None


def _antigravity_bucket(name: str, reading: Reading) -> Json:
    return {
        "bucketId": name,
        "window": name.partition("-")[2],
        "remainingFraction": round(1 - reading.used / 100, 4),
        "resetTime": instant(reading.resets_at),
    }
