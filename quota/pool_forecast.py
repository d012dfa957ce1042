"""Forecast when the pool of a provider has no usable account, and when one is back.

The pool's present load is spread over the accounts that can take it; an account that is used up
leaves its part to the others. How the proxy spreads the load is not known, so that the pool is
simulated evenly spread and one account after the other, each with a lower and a higher rate:
percentages are whole numbers. The answer is the range of the four.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
HORIZON_MS = 7 * 24 * HOUR_MS
FULL = 100.0
# Above so many accounts no step is shorter than so long for each of them.
EXACT_ACCOUNTS = 20
COARSE_MS = 2_000


@dataclass(frozen=True, slots=True)
class PoolWindow:
    """A gating window of an account; `size` is its tokens per percent, where all are known."""

    key: str
    used_percent: float
    length_ms: int
    resets_at: int | None = None
    percent_per_hour: float = 0.0
    # The time that the rate was measured over.
    measured_ms: int = HOUR_MS
    size: float | None = None


@dataclass(frozen=True, slots=True)
class PoolAccount:
    """An account that can be used now, or that is back at `returns_at`; None is unknown."""

    windows: Sequence[PoolWindow]
    is_usable: bool = True
    returns_at: int | None = None


@dataclass(frozen=True, slots=True)
class PoolForecast:
    """`exhausted`, `runs_out`, `may_run_out`, `lasts`, or `none` with the reason.

    The pool runs out between `out_from` and `out_until`; without `out_until` it may last for the
    week that is looked at. It is back at `returns_at`.
    """

    outcome: str
    reason: str | None = None
    out_from: int | None = None
    out_until: int | None = None
    returns_at: int | None = None


def forecast_pool(accounts: Sequence[PoolAccount], now: int) -> PoolForecast:
    """Return the forecast of a pool of accounts whose verdicts are known."""
    if not accounts:
        return PoolForecast("none", "no_verdict")
    if not any(account.is_usable for account in accounts):
        returns = [account.returns_at for account in accounts if account.returns_at is not None]
        return PoolForecast("exhausted", returns_at=min(returns, default=None))
    rates = pool_rates(accounts)
    if not rates:
        return PoolForecast("none", "too_little_data")
    ends = [
        _Simulation(accounts, now, rates, factor=factor, evenly=evenly).run()
        for factor in (_factor(accounts, 1), _factor(accounts, -1))
        for evenly in (True, False)
    ]
    out = [(end, returns_at) for end, returns_at in ends if end is not None]
    if not out:
        return PoolForecast("lasts")
    margin = _step_ms(len(accounts))
    first, returns_at = min(out)
    if len(out) < len(ends):
        return PoolForecast("may_run_out", None, max(first - margin, now), None, returns_at)
    last = max(end for end, _ in out)
    return PoolForecast("runs_out", None, max(first - margin, now), last + margin, returns_at)


def pool_rates(accounts: Iterable[PoolAccount]) -> dict[str, float]:
    """Return the load of a pool by kind of window: percent an hour, or tokens by size."""
    rates: dict[str, float] = {}
    every = [window for account in accounts for window in account.windows]
    for window in every:
        rate = window.percent_per_hour * (window.size or 1.0 if _sized(every, window.key) else 1.0)
        rates[window.key] = rates.get(window.key, 0.0) + rate
    return {key: rate for key, rate in rates.items() if rate > 0}


def _sized(windows: Iterable[PoolWindow], key: str) -> bool:
    return all(window.size for window in windows if window.key == key)


def _factor(accounts: Sequence[PoolAccount], sign: int) -> float:
    """Return the rate's error of rounding as a factor, up or down: errors add up as squares."""
    moving = [w for account in accounts for w in account.windows if w.percent_per_hour > 0]
    percent = sum(w.percent_per_hour for w in moving)
    error = sqrt(sum((HOUR_MS / w.measured_ms) ** 2 for w in moving))
    return max(1 + sign * error / percent, 0.01)


def _step_ms(accounts: int) -> int:
    """Return the shortest step of a simulation, which bounds its steps for large pools."""
    return 0 if accounts <= EXACT_ACCOUNTS else accounts * COARSE_MS


@dataclass(slots=True)
class _Limit:
    """A window in a simulation."""

    key: str
    used: float
    length_ms: int
    resets_at: float | None
    size: float


@dataclass(slots=True)
class _Member:
    """An account in a simulation."""

    limits: list[_Limit]
    returns_at: float | None = None
    is_closed: bool = False

    def is_open(self) -> bool:
        return not self.is_closed and all(limit.used < FULL - 1e-9 for limit in self.limits)

    def back_at(self) -> float | None:
        """Return when the account is back: after the last of its spent windows."""
        ends = [limit.resets_at for limit in self.limits if limit.used >= FULL - 1e-9]
        if self.is_closed:
            return self.returns_at
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None


class _Simulation:
    """One way in which a pool may be used up."""

    def __init__(
        self,
        accounts: Sequence[PoolAccount],
        now: int,
        rates: dict[str, float],
        *,
        factor: float,
        evenly: bool,
    ) -> None:
        self._evenly = evenly
        self._now = now
        self._rates = {key: rate * factor / HOUR_MS for key, rate in rates.items()}
        self._step = _step_ms(len(accounts))
        every = [window for account in accounts for window in account.windows]
        sized = {key: _sized(every, key) for key in {window.key for window in every}}
        self._members = [
            _Member(
                [
                    _Limit(
                        window.key,
                        min(window.used_percent, FULL),
                        window.length_ms,
                        window.resets_at,
                        (window.size or 1.0) if sized[window.key] else 1.0,
                    )
                    for window in account.windows
                ],
                account.returns_at,
                is_closed=not account.is_usable,
            )
            for account in accounts
        ]

    def run(self) -> tuple[int | None, int | None]:
        """Return when the pool is used up, and when an account is back; None for neither."""
        at, end = float(self._now), self._now + HORIZON_MS
        while at < end:
            self._reset(at)
            members = [member for member in self._members if member.is_open()]
            ends = [each - at for each in self._ends() if each > at]
            # A window that is not open may open now, and end after its length.
            ends += [w.length_ms for m in members for w in m.limits if w.resets_at is None]
            next_end = min(ends, default=HORIZON_MS)
            step = min(max(next_end, self._step, 1.0), end - at)
            carried = self._use(members, at, step) if members else 0.0
            if carried < 1 - 1e-9:
                backs = [back for back in (m.back_at() for m in self._members) if back is not None]
                return round(at + carried * step), round(min(backs)) if backs else None
            at += step
        return None, None

    def _use(self, members: Sequence[_Member], at: float, step: float) -> float:
        """Put the load of a step on open accounts; returns the part of it that they carried."""
        carried = 0.0
        if self._evenly:
            carried = sum(self._load(each, 1 / len(members), at, step) for each in members)
        for member in sorted(members, key=_left):
            if carried < 1:
                carried += self._load(member, 1 - carried, at, step)
        return min(carried, 1.0)

    def _load(self, member: _Member, part: float, at: float, step: float) -> float:
        """Put at most a part of the load on an account; returns the part that it carried."""
        burns = [
            (limit, self._rates[limit.key] * step / limit.size)
            for limit in member.limits
            if limit.key in self._rates
        ]
        taken = min([part, *((FULL - limit.used) / burn for limit, burn in burns)])
        for limit, burn in burns:
            limit.used = min(limit.used + burn * taken, FULL)
            if limit.resets_at is None and taken > 0:
                # A window opens with its first use.
                limit.resets_at = at + limit.length_ms
        return taken

    def _ends(self) -> Iterable[float]:
        for member in self._members:
            if member.is_closed and member.returns_at is not None:
                yield member.returns_at
            yield from (limit.resets_at for limit in member.limits if limit.resets_at is not None)

    def _reset(self, at: float) -> None:
        for member in self._members:
            if member.is_closed and member.returns_at is not None and member.returns_at <= at:
                member.is_closed = False
            for limit in member.limits:
                if limit.resets_at is not None and limit.resets_at <= at:
                    limit.used, limit.resets_at = 0.0, None


def _left(member: _Member) -> float:
    return min((FULL - limit.used for limit in member.limits), default=FULL)
