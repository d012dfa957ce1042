"""Quota windows whose use follows the load until their reset, and their response headers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from demo import accounts
from demo.load_curve import HOUR, LoadCurve
from demo.payload import Headers, http_date
from demo.request_mix import SPARK, Model

FIVE_HOURS = 300
WEEKLY = 10_080
MONTHLY = 43_800


@dataclass(frozen=True)
class Window:
    """A limit over `minutes` that resets `ends_in` hours after the anchor, and then regularly.

    Either `used` percent are used at the anchor, or each busy hour uses `pace` percent.
    """

    minutes: int
    ends_in: float
    used: float = 0.0
    pace: float = 0.0


class Reading(NamedTuple):
    """A window at one moment: percent used, and its reset in unix seconds."""

    minutes: int
    used: float
    resets_at: int


WINDOWS: dict[accounts.Account, tuple[Window, ...]] = {
    accounts.ALICE: (Window(FIVE_HOURS, 2.5, pace=13), Window(WEEKLY, 61, used=62)),
    accounts.ALICE_TEAM: (Window(WEEKLY, 83, used=44), Window(FIVE_HOURS, 1.2, pace=6)),
    accounts.BOB: (Window(WEEKLY, 40, used=94),),
    accounts.DAVE: (Window(FIVE_HOURS, 4.1, pace=9), Window(WEEKLY, 26, used=150)),
    accounts.FRANK: (Window(MONTHLY, 300, used=38),),
    accounts.CAROL: (Window(FIVE_HOURS, 3.3, pace=9), Window(WEEKLY, 97, used=41)),
    accounts.GRACE: (Window(FIVE_HOURS, 0.8, pace=23), Window(WEEKLY, 50, used=71)),
}
SPARK_WINDOWS = (Window(WEEKLY, 110, used=48),)
# Limits by name that no response header reports; they never block a request.
NAMED_WINDOWS: dict[accounts.Account, dict[str, Window]] = {
    accounts.HEIDI: {
        "gemini-5h": Window(FIVE_HOURS, 3.7, pace=4),
        "gemini-weekly": Window(WEEKLY, 74, used=35),
        "3p-5h": Window(FIVE_HOURS, 3.7, pace=11),
        "3p-weekly": Window(WEEKLY, 74, used=58),
    },
    accounts.KIMI: {
        "limit_5h": Window(FIVE_HOURS, 1.9, pace=7),
        "limit_7d": Window(WEEKLY, 55, used=47),
        "limit_month_total": Window(MONTHLY, 420, used=22),
    },
    accounts.JUDY: {"weekly": Window(WEEKLY, 120, used=31)},
}


class Meter:
    """One window of one account, readable at any moment."""

    def __init__(self, window: Window, load: LoadCurve, anchor: float) -> None:
        self._minutes = window.minutes
        self._length = window.minutes * 60
        self._end = anchor + window.ends_in * HOUR
        self._busy_hours = load.busy_hours
        self._starts: dict[int, float] = {}
        self._pace = window.pace
        if window.used:
            elapsed = load.busy_hours(anchor) - load.busy_hours(self._end - self._length)
            self._pace = window.used / elapsed

    def read(self, moment: float) -> Reading:
        """Return the state of the window that contains `moment`, unix seconds."""
        number = math.floor((moment - self._end) / self._length) + 1
        end = self._end + number * self._length
        if number not in self._starts:
            self._starts[number] = self._busy_hours(end - self._length)
        used = (self._busy_hours(moment) - self._starts[number]) * self._pace * _variation(number)
        return Reading(self._minutes, min(used, 100.0), int(end))


class Quotas:
    """The windows of all accounts; `anchor` is unix seconds."""

    def __init__(self, load: LoadCurve, anchor: float) -> None:
        self._windows = {
            account: tuple(Meter(window, load, anchor) for window in windows)
            for account, windows in WINDOWS.items()
        }
        self._named = {
            account: {name: Meter(window, load, anchor) for name, window in windows.items()}
            for account, windows in NAMED_WINDOWS.items()
        }
        self._spark = tuple(Meter(window, load, anchor) for window in SPARK_WINDOWS)

    def windows(self, account: accounts.Account, moment: float) -> list[Reading]:
        """Return an account's windows at a moment, in the order in which its provider has them."""
        return [meter.read(moment) for meter in self._windows.get(account, ())]

    def spark(self, moment: float) -> list[Reading]:
        """Return the windows of the limit that only one model has."""
        return [meter.read(moment) for meter in self._spark]

    def named(self, account: accounts.Account, moment: float) -> dict[str, Reading]:
        """Return an account's limits by name."""
        return {name: meter.read(moment) for name, meter in self._named.get(account, {}).items()}

    def exhausted_until(self, account: accounts.Account, moment: float) -> int:
        """Return when an exhausted account is usable again, 0 for one that is usable now."""
        windows = self.windows(account, moment)
        return max((reading.resets_at for reading in windows if reading.used >= 100), default=0)


def _variation(number: int) -> float:
    """Return a factor for the use of the n-th window; the one around the anchor has 1."""
    return 1.0 if number == 0 else 0.75 + (number * 40503 % 1024) / 2925


STREAM = "text/event-stream; charset=utf-8"
NO_WINDOW = Reading(0, 0.0, 0)
WARNING = 0.9


class QuotaHeaders:
    """Makes the headers of upstream answers: quotas, and unrelated ones."""

    def __init__(self, rng: Random, quotas: Quotas) -> None:
        self._rng = rng
        self._quotas = quotas

    def headers(
        self, account: accounts.Account, model: Model, *, moment: float, body: str | None = None
    ) -> Headers:
        """Return the headers that an account's upstream sends, names sorted as Go sorts them.

        `body` is the body of a failure; None is a stream.
        """
        if account.provider == "codex":
            return self._codex(account, model, moment=moment, body=body)
        if account.provider == "claude":
            return self._claude(account, moment=moment, body=body)
        headers = _content(body) | {"Date": [http_date(moment)]}
        if account.provider in ("kimi", accounts.LUMEN.provider):
            headers["X-Ratelimit-Limit-Requests"] = ["500"]
            headers["X-Ratelimit-Remaining-Requests"] = [str(self._rng.randrange(380, 500))]
        return headers

    def _codex(
        self, account: accounts.Account, model: Model, *, moment: float, body: str | None
    ) -> Headers:
        spark = model is SPARK and account is accounts.BOB
        readings = self._quotas.spark(moment) if spark else self._quotas.windows(account, moment)
        headers = self._cloudflare(moment, body)
        headers["X-Codex-Active-Limit"] = ["codex_bengalfox" if spark else "premium"]
        if spark:
            headers["X-Codex-Bengalfox-Limit-Name"] = ["GPT-5.3-Codex-Spark"]
            headers |= _codex_windows("X-Codex-Bengalfox", readings, moment)
        headers["X-Codex-Credits-Balance"] = [""]
        headers["X-Codex-Credits-Has-Credits"] = ["False"]
        headers["X-Codex-Credits-Unlimited"] = ["False"]
        headers["X-Codex-Plan-Type"] = [account.plan]
        headers["X-Codex-Primary-Over-Secondary-Limit-Percent"] = ["0"]
        headers |= _codex_windows("X-Codex", readings, moment)
        headers["X-Oai-Request-Id"] = [f"req_{self._rng.getrandbits(64):016x}"]
        return headers

    def _claude(self, account: accounts.Account, *, moment: float, body: str | None) -> Headers:
        five_hours, week = self._quotas.windows(account, moment)
        tightest = max(five_hours, week, key=lambda reading: reading.used)
        claim = "five_hour" if tightest.minutes == FIVE_HOURS else "seven_day"
        return {
            "Anthropic-Organization-Id": [account.account_id],
            **_claude_window("5h-", five_hours),
            **_claude_window("7d-", week),
            "Anthropic-Ratelimit-Unified-Fallback-Percentage": ["0.5"],
            "Anthropic-Ratelimit-Unified-Overage-Status": ["rejected"],
            "Anthropic-Ratelimit-Unified-Representative-Claim": [claim],
            "Anthropic-Ratelimit-Unified-Reset": [str(tightest.resets_at)],
            "Anthropic-Ratelimit-Unified-Status": [_claude_status(tightest)],
            **self._cloudflare(moment, body, request_id=f"req_{self._rng.getrandbits(72):018x}"),
        }

    def _cloudflare(
        self, moment: float, body: str | None, *, request_id: str | None = None
    ) -> Headers:
        noise = self._rng.getrandbits(64)
        return {
            "Cf-Ray": [f"{noise:016x}-FRA"],
            **_content(body),
            "Date": [http_date(moment)],
            **({"Request-Id": [request_id]} if request_id else {}),
            "Server": ["cloudflare"],
            "Set-Cookie": [f"__cf_bm=made-up-{noise:016x}; path=/; HttpOnly; Secure"],
        }


def _content(body: str | None) -> Headers:
    if body is None:
        return {"Content-Type": [STREAM]}
    content_type = "text/html" if body.startswith("<") else "application/json"
    return {"Content-Length": [str(len(body))], "Content-Type": [content_type]}


def _codex_windows(prefix: str, readings: Sequence[Reading], moment: float) -> Headers:
    primary, secondary = (*readings, NO_WINDOW)[:2]
    return {
        **_codex_window(f"{prefix}-Primary", primary, moment),
        **_codex_window(f"{prefix}-Secondary", secondary, moment),
    }


def _codex_window(prefix: str, reading: Reading, moment: float) -> Headers:
    minutes, used, resets_at = reading
    remaining = max(0, resets_at - int(moment))
    return {
        f"{prefix}-Reset-After-Seconds": [str(remaining)],
        f"{prefix}-Reset-At": [str(resets_at) if resets_at else ""],
        f"{prefix}-Used-Percent": [str(int(used))],
        f"{prefix}-Window-Minutes": [str(minutes)],
    }


def _claude_window(name: str, reading: Reading) -> Headers:
    prefix = f"Anthropic-Ratelimit-Unified-{name}"
    return {
        f"{prefix}Reset": [str(reading.resets_at)],
        f"{prefix}Status": [_claude_status(reading)],
        f"{prefix}Utilization": [f"{reading.used / 100:.2f}"],
    }


def _claude_status(reading: Reading) -> str:
    if reading.used >= 100:
        return "rejected"
    return "allowed_warning" if reading.used >= 100 * WARNING else "allowed"
