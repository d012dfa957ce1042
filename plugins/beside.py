"""What takes too long for those who ask: worked out beside them, and told as it last was."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """One answer that is worked out anew, while nobody waits, once it is older than so long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = 0.0
        self._last: T | None = None
        self._work: asyncio.Future[T] | None = None

    async def get(self, compute: Callable[[], Awaitable[T]]) -> T | None:
        """Give the last answer, None while there is none; only the first one is waited for."""
        if self._work is None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._seconds
            self._work = asyncio.ensure_future(compute())
        if self._work is not None and self._last is None:
            await asyncio.wait([self._work])
        if self._work is not None and self._work.done():
            work, self._work = self._work, None
            if not work.cancelled() and work.exception() is None:
                self._last = work.result()
        return self._last
