"""The caches: how often an answer is computed, and who waits for it."""

import asyncio
import sqlite3
from types import SimpleNamespace

import pytest

from plugins.cache import SingleFlight, StaleWhileRevalidate


def test_ten_requests_at_once_cost_one_computation():
    computed = []

    async def compute() -> bytes:
        computed.append(1)
        await asyncio.sleep(0.02)
        return b"answer"

    async def ask() -> None:
        flights = SingleFlight(60)
        assert (
            await asyncio.gather(*(flights.get("a", compute) for _ in range(10)))
            == [b"answer"] * 10
        )
        await flights.get("a", compute)
        assert len(computed) == 1
        flights.seconds = 0
        await flights.get("a", compute)
        assert len(computed) == 2

    asyncio.run(ask())


def test_an_error_is_not_kept():
    async def ask() -> None:
        flights = SingleFlight(60)

        async def fail() -> bytes:
            raise OSError("gone")

        async def work() -> bytes:
            return b"back"

        with pytest.raises(OSError, match="gone"):
            await flights.get("a", fail)
        assert await flights.get("a", work) == b"back"

    asyncio.run(ask())


def test_a_refresh_is_waited_for_only_at_first_and_when_the_answer_is_stale(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("plugins.cache.time", SimpleNamespace(monotonic=lambda: clock[0]))

    async def scenario() -> list[int | None]:
        cached: StaleWhileRevalidate[int] = StaleWhileRevalidate(fresh_seconds=0, stale_seconds=1.5)
        computed = 0

        async def compute() -> int:
            nonlocal computed
            computed += 1
            if computed == 3:
                raise sqlite3.OperationalError("interrupted")
            return computed

        first = await asyncio.gather(cached.get(compute), cached.get(compute))
        answers = []
        for calls in (1, 2, 3):
            while computed < calls:
                await asyncio.sleep(0.01)
            # The request gets the last answer at once; the refresh follows.
            answers.append(await cached.get(compute))
            assert computed == calls
        while computed < 4:
            await asyncio.sleep(0.01)
        clock[0] += 2
        return [*first, *answers, await cached.get(compute)]

    assert asyncio.run(scenario()) == [1, 1, 1, 2, 2, 5]
