"""The proxy where its key works, the credential files otherwise."""

import time

from quota.model import Answer, Request
from quota.source import Found, Source
from runtime.errors import Refused, Unavailable

# A proxy that restarts is waited for; one that stays away is done without.
PATIENCE_SECONDS = 120.0
# Done without, it is looked for again now and then.
AGAIN_SECONDS = 60.0


class Auto:
    """Asks the first source while it works, else the second."""

    def __init__(self, first: Source, second: Source) -> None:
        self._first, self._second = first, second
        self._current = first
        self._worked_at: float | None = None
        self._again_at = 0.0

    @property
    def name(self) -> str:
        """The source that the last look was at."""
        return self._current.name

    def look(self) -> list[Found]:
        """List the credentials. Raises `Unavailable` or `Refused` when neither source can."""
        if time.monotonic() < self._again_at:
            return self._second.look()
        try:
            found = self._first.look()
        except (Unavailable, Refused) as error:
            if self._is_short(error):
                raise
            return self._instead(error)
        self._current, self._worked_at = self._first, time.monotonic()
        return found

    def ask(self, found: Found, request: Request, *, base: str) -> Answer:
        """Make a request by the source that listed the credential."""
        return self._current.ask(found, request, base=base)

    def _is_short(self, error: Unavailable | Refused) -> bool:
        if self._worked_at is None or isinstance(error, Refused):
            return False
        return time.monotonic() - self._worked_at < PATIENCE_SECONDS

    def _instead(self, error: Unavailable | Refused) -> list[Found]:
        try:
            found = self._second.look()
        except Unavailable as second:
            raise type(error)(f"{error}; {second}", **_more(error)) from second
        self._current, self._worked_at = self._second, None
        self._again_at = time.monotonic() + AGAIN_SECONDS
        return found


def _more(error: Unavailable | Refused) -> dict[str, int]:
    return {"retry_at": error.retry_at} if isinstance(error, Refused) else {}
