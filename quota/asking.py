"""Ask one account and keep what came of it, which may have to wait for the ledger."""

import random
import sqlite3
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ledger import transaction
from quota.model import Answer, Reading, Request
from quota.numbers import seconds
from quota.poll import poll, poll_plan
from quota.providers import PROVIDERS
from quota.schedule import Now, Standing, next_attempt
from quota.source import Found, Source
from quota.store import Attempt, write

DAY_MS, LONGEST_WAIT_MS = 86_400_000, 12 * 3_600_000


class Result(NamedTuple):
    """What a poll gave, until it is in the ledger."""

    account_id: int
    reading: Reading
    attempt: Attempt
    plan: Reading | None


class Asking:
    """Requests with the token of one credential; remembers how long it was told to wait."""

    def __init__(self, source: Source, found: Found) -> None:
        self._source = source
        self._found = found
        self.told_to_wait_ms = 0

    def __call__(self, request: Request, base: str) -> Answer:
        """Make one request."""
        answer = self._source.ask(self._found, request, base=base)
        if answer.status in (429, 503):
            told = seconds(answer.headers.get("retry-after")) or 0
            self.told_to_wait_ms = min(told * 1000, LONGEST_WAIT_MS)
        return answer


class Asker:
    """Asks accounts by one source; never another one while a result is not kept."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        source: Source,
        *,
        refresh_ms: int,
        urls: Mapping[str, str],
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._conn = conn
        self._source = source
        self._refresh_ms = refresh_ms
        self._urls = urls
        self._chance = chance
        self._pending: Result | None = None

    def ask(self, known: Standing, now: Now, found: Found) -> bool:
        """Poll an account with one of its credentials and keep the result; tell if it worked.

        Raises `Vanished`, `Stopped`, `Unavailable` or `Refused` when the account was not asked,
        and `Unavailable` while the result cannot be kept.
        """
        credential = found.credential
        provider = PROVIDERS[credential.provider]
        url = self._urls.get(credential.provider)
        bases = (url,) if url else provider.bases
        ask = Asking(self._source, found)
        reading, base = poll(provider, credential, ask, bases=bases)
        plan_due = known.plan_asked_at is None or now.at - known.plan_asked_at >= DAY_MS
        asked_for_plan = provider.plan is not None and reading.state == "ok" and plan_due
        plan = poll_plan(provider, credential, ask, base=base) if asked_for_plan else None
        due_at = next_attempt(known, now, reading, refresh_ms=self._refresh_ms, chance=self._chance)
        due_at = max(due_at, now.at + ask.told_to_wait_ms)
        attempt = Attempt(now.at, due_at, now.source, now.fingerprint, asked_for_plan)
        self._pending = Result(known.account_id, reading, attempt, plan)
        self.keep()
        return reading.state == "ok"

    @property
    def is_keeping(self) -> bool:
        """Whether a result waits for the ledger."""
        return self._pending is not None

    def keep(self) -> None:
        """Write the result that is not in the ledger yet, if there is one."""
        if self._pending is None:
            return
        account_id, reading, attempt, plan = self._pending
        with transaction(self._conn):
            write(self._conn, account_id, reading, attempt)
            if plan:
                write(self._conn, account_id, plan)
        self._pending = None
