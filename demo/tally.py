"""What the proxy counts about each credential since its start."""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from demo.payload import Fail

BUCKET_SECONDS = 600
BUCKETS = 20


class Outcome(msgspec.Struct):
    """The few fields of an event that the proxy itself counts."""

    auth_index: str = ""
    failed: bool = False
    fail: Fail = msgspec.field(default_factory=Fail)


@dataclass
class Counts:
    """Requests of one credential. `last` is how the latest attempt ended."""

    success: int = 0
    failed: int = 0
    last: Outcome = field(default_factory=Outcome)
    updated_at: float = 0.0
    buckets: Counter[tuple[int, bool]] = field(default_factory=Counter)

    def recent(self, now: float) -> list[dict[str, object]]:
        """Return the last 20 ten-minute buckets, oldest first, in the server's local time."""
        latest = int(now // BUCKET_SECONDS)
        return [self._bucket(number) for number in range(latest - BUCKETS + 1, latest + 1)]

    def _bucket(self, number: int) -> dict[str, object]:
        start, end = (_clock((number + step) * BUCKET_SECONDS) for step in (0, 1))
        return {
            "time": f"{start}-{end}",
            "success": self.buckets[number, False],
            "failed": self.buckets[number, True],
        }


class Tally:
    """Counts by `auth_index`."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._decode = msgspec.json.Decoder(Outcome).decode

    def of(self, auth_index: str) -> Counts:
        """Return the counts of one credential, all zero when nothing was heard of it."""
        return self._counts.get(auth_index, Counts())

    def add(self, payload: bytes) -> None:
        """Count one event; what is no event is left alone."""
        try:
            outcome = self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        now = time.time()
        counts = self._counts.setdefault(outcome.auth_index, Counts())
        counts.success += not outcome.failed
        counts.failed += outcome.failed
        counts.last = outcome
        counts.updated_at = now
        counts.buckets[int(now // BUCKET_SECONDS), outcome.failed] += 1


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M")
