"""What each provider says of an account's quota, in its own words."""

from typing import Any

from demo.auth_files import instant
from demo.pool import BOB, Account
from demo.quota import FIVE_HOURS, MONTHLY, WEEKLY, Quotas, Reading

Json = dict[str, Any]
POSITIONS = ("primary_window", "secondary_window")
NAMES = {FIVE_HOURS: "five_hour", WEEKLY: "seven_day", MONTHLY: "month"}
GROUPS = {"gemini": "Gemini Models", "3p": "Claude and GPT models"}


def codex_usage(account: Account, quotas: Quotas, at: float) -> Json:
    """Answer chatgpt.com's /backend-api/wham/usage."""
    spark = account is BOB
    return {
        "user_id": f"user-{account.auth_index}",
        "account_id": account.account_id,
        "email": account.email,
        "plan_type": account.plan,
        "rate_limit": _limit(quotas.of(account, at), at),
        "code_review_rate_limit": None,
        "additional_rate_limits": [_spark(quotas, at)] if spark else [],
        "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
        "spend_control": {"reached": False, "individual_limit": None},
        "rate_limit_reached_type": _reached(quotas.of(account, at)),
        "rate_limit_reset_credits": {"available_count": int(spark)},
    }


def claude_usage(account: Account, quotas: Quotas, at: float) -> Json:
    """Answer api.anthropic.com's /api/oauth/usage."""
    return {
        NAMES[minutes]: {"utilization": round(used, 1), "resets_at": instant(resets_at)}
        for minutes, used, resets_at in quotas.of(account, at)
    } | {"seven_day_opus": None, "extra_usage": {"is_enabled": False}}


def claude_profile(account: Account, _quotas: Quotas, _at: float) -> Json:
    """Answer api.anthropic.com's /api/oauth/profile."""
    kind = f"claude_{account.plan}"
    return {"account": {f"has_{kind}": True}, "organization": {"organization_type": kind}}


def antigravity_summary(account: Account, quotas: Quotas, at: float) -> Json:
    """Answer Google's :retrieveUserQuotaSummary."""
    pools = quotas.pools(account, at)
    return {
        "groups": [
            {
                "displayName": title,
                "buckets": [
                    _bucket(name, reading)
                    for name, reading in pools.items()
                    if name.startswith(group)
                ],
            }
            for group, title in GROUPS.items()
        ]
    }


def antigravity_assist(account: Account, _quotas: Quotas, _at: float) -> Json:
    """Answer Google's :loadCodeAssist."""
    return {"currentTier": {"id": "free-tier"}, "paidTier": {"id": f"g1-{account.plan}-tier"}}


def kimi_usages(account: Account, quotas: Quotas, at: float) -> Json:
    """Answer api.kimi.com's /coding/v1/usages."""
    pools = {
        name: {"used_ratio": round(used / 100, 4), "reset_time": instant(resets_at)}
        for name, (_, used, resets_at) in quotas.pools(account, at).items()
    }
    return {"usages": pools, "user": {"membership": {"level": "LEVEL_INTERMEDIATE"}}}


def xai_billing(account: Account, quotas: Quotas, at: float) -> Json:
    """Answer Grok's /v1/billing."""
    minutes, used, resets_at = quotas.pools(account, at)["weekly"]
    period = {
        "type": "USAGE_PERIOD_TYPE_WEEKLY",
        "start": instant(resets_at - minutes * 60),
        "end": instant(resets_at),
    }
    return {"config": {"currentPeriod": period, "creditUsagePercent": round(used, 1)}}


def _limit(readings: list[Reading], at: float) -> Json:
    spent = _reached(readings) is not None
    windows = [_window(reading, at) for reading in readings]
    return {
        "allowed": not spent,
        "limit_reached": spent,
        **dict(zip(POSITIONS, (*windows, None), strict=False)),
    }


def _window(reading: Reading, at: float) -> Json:
    return {
        "used_percent": int(reading.used),
        "limit_window_seconds": reading.minutes * 60,
        "reset_after_seconds": max(0, reading.resets_at - int(at)),
        "reset_at": reading.resets_at,
    }


def _spark(quotas: Quotas, at: float) -> Json:
    return {
        "limit_name": "GPT-5.3-Codex-Spark",
        "metered_feature": "codex_bengalfox",
        "rate_limit": _limit(quotas.spark(at), at),
    }


def _reached(readings: list[Reading]) -> Json | None:
    spent = any(reading.used >= 100 for reading in readings)
    return {"type": "rate_limit_reached"} if spent else None


def _bucket(name: str, reading: Reading) -> Json:
    return {
        "bucketId": name,
        "window": name.partition("-")[2],
        "remainingFraction": round(1 - reading.used / 100, 4),
        "resetTime": instant(reading.resets_at),
    }
