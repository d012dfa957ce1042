"""The key check that RESP and HTTP share, and its ban after five failures."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

FAILURES_BEFORE_BAN = 5
BAN_SECONDS = 30 * 60
LOCAL = ("127.0.0.1", "::1")


class Refusal(NamedTuple):
    """Why somebody is not let in: HTTP status and the proxy's words."""

    status: int
    text: str
    banned: bool = False


@dataclass
class _Visitor:
    failures: int = 0
    banned_until: float = 0.0


@dataclass
class Gate:
    """Keys tried by address. `clock` answers seconds and never goes back."""

    clock: Callable[[], float]
    allow_remote: bool = False
    failures: int = 0
    _visitors: dict[str, _Visitor] = field(default_factory=dict)

    def refusal(self, address: str, *, tried: str, key: str) -> Refusal | None:
        """Check one key; None lets the visitor in and forgets earlier failures.

        A ban refuses the right key too, and is not made longer by trying.
        """
        visitor = self._visitors.setdefault(address, _Visitor())
        left = visitor.banned_until - self.clock()
        if left > 0:
            return Refusal(403, _banned(left), banned=True)
        if address not in LOCAL and not self.allow_remote:
            return Refusal(403, "remote management disabled")
        if tried and hmac.compare_digest(tried.encode(), key.encode()):
            visitor.failures = 0
            return None
        self._fail(visitor)
        return Refusal(401, "invalid management key" if tried else "missing management key")

    def _fail(self, visitor: _Visitor) -> None:
        self.failures += 1
        visitor.failures += 1
        if visitor.failures >= FAILURES_BEFORE_BAN:
            visitor.failures = 0
            visitor.banned_until = self.clock() + BAN_SECONDS


def _banned(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    left = f"{minutes}m{rest}s" if minutes else f"{rest}s"
    return f"IP banned due to too many failed attempts. Try again in {left}"
