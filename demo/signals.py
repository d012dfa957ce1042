"""Response headers of the upstreams: quota signals, and the noise around them."""

from collections.abc import Sequence
from random import Random

from demo import pool
from demo.models import SPARK, Model
from demo.payload import Headers, http_date
from demo.quota import FIVE_HOURS, Quotas, Reading

STREAM = "text/event-stream; charset=utf-8"
NO_WINDOW = Reading(0, 0.0, 0)
WARNING = 0.9


class Signals:
    """Makes up the headers of one upstream answer."""

    def __init__(self, rng: Random, quotas: Quotas) -> None:
        self._rng = rng
        self._quotas = quotas

    def headers(
        self, account: pool.Account, model: Model, *, at: float, body: str | None = None
    ) -> Headers:
        """Return what an account's upstream sends then, names sorted as Go sorts them.

        `body` is that of a failure, None for a stream.
        """
        if account.provider == "codex":
            return self._codex(account, model, at=at, body=body)
        if account.provider == "claude":
            return self._claude(account, at=at, body=body)
        headers = _content(body) | {"Date": [http_date(at)]}
        if account.provider in ("kimi", pool.LUMEN.provider):
            headers["X-Ratelimit-Limit-Requests"] = ["500"]
            headers["X-Ratelimit-Remaining-Requests"] = [str(self._rng.randrange(380, 500))]
        return headers

    def _codex(
        self, account: pool.Account, model: Model, *, at: float, body: str | None
    ) -> Headers:
        spark = model is SPARK and account is pool.BOB
        readings = self._quotas.spark(at) if spark else self._quotas.of(account, at)
        headers = self._cloudflare(at, body)
        headers["X-Codex-Active-Limit"] = ["codex_bengalfox" if spark else "premium"]
        if spark:
            headers["X-Codex-Bengalfox-Limit-Name"] = ["GPT-5.3-Codex-Spark"]
            headers |= _windows("X-Codex-Bengalfox", readings, at)
        headers["X-Codex-Credits-Balance"] = [""]
        headers["X-Codex-Credits-Has-Credits"] = ["False"]
        headers["X-Codex-Credits-Unlimited"] = ["False"]
        headers["X-Codex-Plan-Type"] = [account.plan]
        headers["X-Codex-Primary-Over-Secondary-Limit-Percent"] = ["0"]
        headers |= _windows("X-Codex", readings, at)
        headers["X-Oai-Request-Id"] = [f"req_{self._rng.getrandbits(64):016x}"]
        return headers

    def _claude(self, account: pool.Account, *, at: float, body: str | None) -> Headers:
        five_hours, week = self._quotas.of(account, at)
        tightest = max(five_hours, week, key=lambda reading: reading.used)
        claim = "five_hour" if tightest.minutes == FIVE_HOURS else "seven_day"
        return {
            "Anthropic-Organization-Id": [account.account_id],
            **_unified("5h-", five_hours),
            **_unified("7d-", week),
            "Anthropic-Ratelimit-Unified-Fallback-Percentage": ["0.5"],
            "Anthropic-Ratelimit-Unified-Overage-Status": ["rejected"],
            "Anthropic-Ratelimit-Unified-Representative-Claim": [claim],
            "Anthropic-Ratelimit-Unified-Reset": [str(tightest.resets_at)],
            "Anthropic-Ratelimit-Unified-Status": [_status(tightest)],
            **self._cloudflare(at, body, request_id=f"req_{self._rng.getrandbits(72):018x}"),
        }

    def _cloudflare(self, at: float, body: str | None, *, request_id: str | None = None) -> Headers:
        noise = self._rng.getrandbits(64)
        return {
            "Cf-Ray": [f"{noise:016x}-FRA"],
            **_content(body),
            "Date": [http_date(at)],
            **({"Request-Id": [request_id]} if request_id else {}),
            "Server": ["cloudflare"],
            "Set-Cookie": [f"__cf_bm=made-up-{noise:016x}; path=/; HttpOnly; Secure"],
        }


def _content(body: str | None) -> Headers:
    if body is None:
        return {"Content-Type": [STREAM]}
    kind = "text/html" if body.startswith("<") else "application/json"
    return {"Content-Length": [str(len(body))], "Content-Type": [kind]}


def _windows(prefix: str, readings: Sequence[Reading], at: float) -> Headers:
    primary, secondary = (*readings, NO_WINDOW)[:2]
    return {
        **_window(f"{prefix}-Primary", primary, at),
        **_window(f"{prefix}-Secondary", secondary, at),
    }


def _window(prefix: str, reading: Reading, at: float) -> Headers:
    minutes, used, resets_at = reading
    left = max(0, resets_at - int(at))
    return {
        f"{prefix}-Reset-After-Seconds": [str(left)],
        f"{prefix}-Reset-At": [str(resets_at) if resets_at else ""],
        f"{prefix}-Used-Percent": [str(int(used))],
        f"{prefix}-Window-Minutes": [str(minutes)],
    }


def _unified(name: str, reading: Reading) -> Headers:
    prefix = f"Anthropic-Ratelimit-Unified-{name}"
    return {
        f"{prefix}Reset": [str(reading.resets_at)],
        f"{prefix}Status": [_status(reading)],
        f"{prefix}Utilization": [f"{reading.used / 100:.2f}"],
    }


def _status(reading: Reading) -> str:
    if reading.used >= 100:
        return "rejected"
    return "allowed_warning" if reading.used >= 100 * WARNING else "allowed"
