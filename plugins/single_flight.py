"""One computation for all who ask the same within a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Answers by key, each computed once at a time and kept for a while from its start on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.flights: dict[Hashable, tuple[float, asyncio.Future[T]]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """Give the answer to `key`; whoever comes while it is computed waits for the same one."""
        self.forget_old()
        if key not in self.flights:
            self.flights[key] = (time.monotonic(), asyncio.ensure_future(compute()))
        # A browser that goes away must not cancel what others wait for.
        return await asyncio.shield(self.flights[key][1])

    def forget_old(self) -> None:
        """Drop every finished answer that is too old, or is an error."""
        oldest = time.monotonic() - self.seconds
        self.flights = {
            key: (at, flight)
            for key, (at, flight) in self.flights.items()
            if not flight.done() or (at > oldest and not failed(flight))
        }


def failed(flight: asyncio.Future[T]) -> bool:
    """Tell whether a finished computation gave no answer."""
    return flight.cancelled() or flight.exception() is not None
