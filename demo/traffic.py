"""Realistic traffic: scenarios along the load curve; equal seed and anchor give equal bytes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from demo import attempts, payload, request_mix
from demo.accounts import ALICE, ALICE_TEAM, BOB, DAVE, Account
from demo.attempts import Attempt, Attempts
from demo.load_curve import LoadCurve
from demo.quotas import Quotas
from demo.request_mix import REQUEST_MIX, RequestKind, log_normal

ZONE = ZoneInfo("Europe/Berlin")
BUSIEST = 3.0
CELL_SECONDS = 300
EVENTS_PER_CELL = 200
MAX_CONVERSATION_TURNS = 16
MAX_ATTEMPTS = 5
# The share of exhausted accounts that the proxy tries before their reset.
EARLY_RETRY_SHARE = 0.05

Scenario = Callable[[float], Iterator[Attempt]]


class Event(NamedTuple):
    """A payload with the unix seconds of its timestamp and of its publication."""

    began_at: float
    ended_at: float
    payload: bytes


class Traffic:
    """Events of users in `zone`; `demo.quotas` defines their quotas at `anchor`.

    `anchor` is unix seconds; `busiest` is events a second at full load, for `between`.
    """

    def __init__(
        self, *, seed: int, anchor: float, zone: tzinfo = ZONE, busiest: float = BUSIEST
    ) -> None:
        offset = datetime.fromtimestamp(anchor, zone).utcoffset()
        self._load = LoadCurve(offset.total_seconds() if offset else 0.0)
        self.quotas = Quotas(self._load, anchor)
        self._seed = seed
        self._zone = zone
        self._busiest = busiest
        self._live = lru_cache(maxsize=4)(self._live_cell)

    def history(self, start: float, end: float, *, count: int) -> Iterator[bytes]:
        """Yield exactly `count` payloads with timestamps in [start, end), oldest first.

        Times are unix seconds. Raises ValueError unless start is before end.
        """
        if start >= end:
            raise ValueError("history needs a start before its end")
        first, last = self._load.busy_hours(start), self._load.busy_hours(end)
        cells = max(1, min(count // EVENTS_PER_CELL, int((end - start) // CELL_SECONDS)))
        size = (last - first) / cells
        for number in range(cells):
            events = count * (number + 1) // cells - count * number // cells
            low = first + size * number
            yield from (event.payload for event in self._cell(low, low + size, events))

    def between(self, start: float, end: float) -> list[bytes]:
        """Return the payloads published in [start, end), in that order; unix seconds.

        Two adjoining calls return together what one call over both returns.
        """
        # No attempt lasts longer than a cell.
        cells = range(int(start // CELL_SECONDS) - 1, int(end // CELL_SECONDS) + 1)
        events = [event for number in cells for event in self._live(number)]
        ended = [event for event in events if start <= event.ended_at < end]
        return [event.payload for event in sorted(ended, key=lambda event: event.ended_at)]

    def _live_cell(self, number: int) -> list[Event]:
        start = number * CELL_SECONDS
        low, high = self._load.busy_hours(start), self._load.busy_hours(start + CELL_SECONDS)
        return self._cell(low, high, round((high - low) * 3600 * self._busiest))

    def _cell(self, low: float, high: float, count: int) -> list[Event]:
        """Return `count` events between two points of the load curve."""
        rng = Random(f"{self._seed} {low!r} {count}")
        scenarios = Scenarios(rng, self.quotas, Attempts(rng, self.quotas, self._zone))
        end = self._load.moment(high)
        events: list[Event] = []
        while len(events) < count:
            moment = self._load.moment(low + (high - low) * rng.random())
            events += [
                Event(attempt.began_at, attempt.ended_at, payload.encode(attempt.payload))
                for attempt in scenarios.play(moment)
                if attempt.began_at < end
            ]
        return sorted(events[:count])


def history(
    start: float, end: float, *, count: int, seed: int, zone: tzinfo = ZONE
) -> Iterator[bytes]:
    """Yield `count` payloads of [start, end), with the quotas of `demo.quotas` at the end."""
    return Traffic(seed=seed, anchor=end, zone=zone).history(start, end, count=count)


class Scenarios:
    """The attempts that one client request leads to, from one to a long conversation.

    All are drawn from one random sequence.
    """

    def __init__(self, rng: Random, quotas: Quotas, attempts: Attempts) -> None:
        self._rng = rng
        self._quotas = quotas
        self._attempts = attempts
        self._scenarios = _weighted(
            (940, self._ordinary),
            (20, self._failing),
            (16, self._conversation),
            (9, self._image),
            (3, self._refused_by_proxy),
            (1, self._all_overloaded),
            (2, self._headers_of_another),
        )

    def play(self, moment: float) -> Iterator[Attempt]:
        """Draw a scenario that begins at `moment`, unix seconds, and yield its attempts."""
        return self._rng.choice(self._scenarios)(moment)

    def _ordinary(self, moment: float) -> Iterator[Attempt]:
        kind = self._rng.choice(REQUEST_MIX)
        request = self._attempts.request(kind)
        account = self._rng.choice(kind.accounts)
        resets_at = self._quotas.exhausted_until(account, moment)
        if resets_at and self._rng.random() < EARLY_RETRY_SHARE:
            limit = attempts.usage_limit(account, resets_at=resets_at, moment=moment)
            failed = self._attempts.failure(request, account, moment=moment, failure=limit)
            yield failed
            moment = failed.ended_at
        usable = self._another(kind, account, moment=moment) if resets_at else account
        if usable is not None:
            yield self._attempts.success(request, usable, moment=moment)

    def _another(self, kind: RequestKind, account: Account, *, moment: float) -> Account | None:
        usable = [
            other
            for other in dict.fromkeys(kind.accounts)
            if other is not account and not self._quotas.exhausted_until(other, moment)
        ]
        return self._rng.choice(usable) if usable else None

    def _failing(self, moment: float) -> Iterator[Attempt]:
        kind = self._rng.choice(REQUEST_MIX)
        request = self._attempts.request(kind)
        account = self._rng.choice(kind.accounts)
        failure = self._rng.choice(attempts.FAILURES[account.provider])
        failed = self._attempts.failure(request, account, moment=moment, failure=failure)
        yield failed
        other = self._another(kind, account, moment=moment) if failure.tries_another else None
        if other is not None:
            yield self._attempts.success(request, other, moment=failed.ended_at)

    def _conversation(self, moment: float) -> Iterator[Attempt]:
        endpoint, user_agent = request_mix.WEBSOCKET
        request = self._attempts.request(request_mix.CODING)
        request = replace(request, endpoint=endpoint, user_agent=user_agent)
        account = self._rng.choice((ALICE, BOB, BOB))
        if self._quotas.exhausted_until(account, moment):
            return
        for number in range(self._rng.randrange(2, MAX_CONVERSATION_TURNS)):
            turn = self._attempts.turn(request, account, moment=moment, number=number)
            yield turn
            moment = turn.ended_at + log_normal(self._rng, 4, 0.8)

    def _image(self, moment: float) -> Iterator[Attempt]:
        request = self._attempts.request(request_mix.CODING)
        answer = self._attempts.success(request, ALICE_TEAM, moment=moment)
        yield answer
        yield self._attempts.image(request, ALICE_TEAM, answer=answer)

    def _refused_by_proxy(self, moment: float) -> Iterator[Attempt]:
        request = replace(self._attempts.request(request_mix.SMALL), effort="minimal")
        account = self._rng.choice(request_mix.SMALL.accounts)
        failure = attempts.UNSUPPORTED_EFFORT
        yield self._attempts.failure(request, account, moment=moment, failure=failure)

    def _all_overloaded(self, moment: float) -> Iterator[Attempt]:
        request = self._attempts.request(request_mix.HARD)
        for _ in range(self._rng.randrange(2, MAX_ATTEMPTS)):
            account = self._rng.choice(request_mix.HARD.accounts)
            failure = attempts.SERVER_OVERLOADED
            failed = self._attempts.failure(request, account, moment=moment, failure=failure)
            yield failed
            moment = failed.ended_at

    def _headers_of_another(self, moment: float) -> Iterator[Attempt]:
        resets_at = self._quotas.exhausted_until(DAVE, moment)
        if not resets_at:
            return
        request = self._attempts.request(request_mix.CODING)
        limit = attempts.usage_limit(DAVE, resets_at=resets_at, moment=moment)
        failed = self._attempts.failure(request, DAVE, moment=moment, failure=limit)
        yield failed
        cancelled = self._attempts.failure(
            request, ALICE, moment=failed.ended_at, failure=attempts.CANCELLED_UPSTREAM
        )
        # The proxy has one headers object for all attempts of a request: this attempt got no
        # answer, and its event shows the headers of the account before.
        cancelled.payload.response_headers = failed.payload.response_headers
        yield cancelled


def _weighted(*scenarios: tuple[int, Scenario]) -> tuple[Scenario, ...]:
    return tuple(scenario for weight, scenario in scenarios for _ in range(weight))
