"""What takes too long for those who ask: worked out between their questions."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

REST_SECONDS = 0.5

T = TypeVar("T")
Compute = Callable[[], Awaitable[T]]


class Beside(Generic[T]):
    """One answer, told as it was when last somebody asked; a question has it worked out anew.

    So it is, once it is older than `young_seconds`; it is waited for only where there is none that
    is younger than `old_seconds`.
    """

    def __init__(self, young_seconds: float, old_seconds: float) -> None:
        self._young = young_seconds
        self._old = old_seconds
        self._answer: T | None = None
        self._at = float("-inf")
        self._work: asyncio.Future[None] | None = None

    async def get(self, compute: Compute[T]) -> T | None:
        """Give the answer; None where it cannot be had."""
        is_idle = self._work is None or self._work.done()
        if is_idle and self._age() >= self._young:
            # Not at once, for the one who asks now shall have the processor.
            rest = 0 if self._age() > self._old else REST_SECONDS
            self._work = asyncio.ensure_future(self._have(compute, rest=rest))
        if self._age() > self._old and self._work is not None:
            await asyncio.wait([self._work])
        return None if self._age() > self._old else self._answer

    def _age(self) -> float:
        return time.monotonic() - self._at

    async def _have(self, compute: Compute[T], *, rest: float) -> None:
        await asyncio.sleep(rest)
        begun = time.monotonic()
        with contextlib.suppress(sqlite3.OperationalError):
            self._answer, self._at = await compute(), begun
