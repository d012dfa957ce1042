"""Caches for answers that several requests need at once or within a short time."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

REFRESH_DELAY_SECONDS = 0.5

T = TypeVar("T")
Compute = Callable[[], Awaitable[T]]


class SingleFlight(Generic[T]):
    """Answers by key; each is computed once at a time and cached for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.flights: dict[Hashable, tuple[float, asyncio.Future[T]]] = {}

    async def get(self, key: Hashable, compute: Compute[T]) -> T:
        """Return the answer to `key`; requests during a computation wait for the same one."""
        self._drop_expired()
        if key not in self.flights:
            self.flights[key] = (time.monotonic(), asyncio.ensure_future(compute()))
        # A client that disconnects must not cancel a computation that others wait for.
        return await asyncio.shield(self.flights[key][1])

    def _drop_expired(self) -> None:
        """Drop every finished answer that is too old or an error."""
        oldest = time.monotonic() - self.seconds
        self.flights = {
            key: (started, flight)
            for key, (started, flight) in self.flights.items()
            if not flight.done() or (started > oldest and not has_failed(flight))
        }


def has_failed(flight: asyncio.Future[T]) -> bool:
    """Return whether a finished computation has no answer."""
    return flight.cancelled() or flight.exception() is not None


class StaleWhileRevalidate(Generic[T]):
    """One answer, returned as it was last computed and refreshed in the background.

    A request refreshes an answer older than `fresh_seconds`. It waits for the refresh only where
    there is no answer younger than `stale_seconds`.
    """

    def __init__(self, fresh_seconds: float, stale_seconds: float) -> None:
        self._fresh = fresh_seconds
        self._stale = stale_seconds
        self._answer: T | None = None
        self._computed_at = float("-inf")
        self._refresh: asyncio.Future[None] | None = None

    async def get(self, compute: Compute[T]) -> T | None:
        """Return the answer; None when it could not be computed."""
        is_idle = self._refresh is None or self._refresh.done()
        if is_idle and self._age() >= self._fresh:
            # The request that triggers a refresh gets the processor first.
            delay = 0 if self._is_stale() else REFRESH_DELAY_SECONDS
            self._refresh = asyncio.ensure_future(self._compute(compute, delay=delay))
        if self._is_stale() and self._refresh is not None:
            await asyncio.wait([self._refresh])
        return None if self._is_stale() else self._answer

    def _age(self) -> float:
        return time.monotonic() - self._computed_at

    def _is_stale(self) -> bool:
        return self._age() > self._stale

    async def _compute(self, compute: Compute[T], *, delay: float) -> None:
        await asyncio.sleep(delay)
        started_at = time.monotonic()
        with contextlib.suppress(sqlite3.OperationalError):
            self._answer, self._computed_at = await compute(), started_at
