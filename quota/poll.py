"""Poll one account: send the requests, parse the answers, and store the result.

A result waits in memory while the ledger cannot be written.
"""

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from ledger import transaction
from quota.http import NoAnswer
from quota.json_fields import seconds
from quota.model import Answer, Credential, Provider, Reading, Request, Window
from quota.providers import PROVIDERS
from quota.schedule import MAX_WAIT_MS, PollContext, PollState, Uniform, next_attempt
from quota.sources import ListedCredential, Source
from quota.store import PollAttempt, write_reading

PLAN_INTERVAL_MS = 86_400_000
# Codes of a base URL that was not reached: the next one is tried.
NOT_REACHED = ("no_connection", "bad_address")

Send = Callable[[Request, str], Answer]


class PollLocks:
    """The accounts being polled now, shared by the pollers of all proxies.

    Two proxies may have the same account: it is polled by one of them at a time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._locked: set[int] = set()

    def acquire(self, account_id: int) -> bool:
        """Lock an account; returns whether it was free."""
        with self._lock:
            is_free = account_id not in self._locked
            self._locked.add(account_id)
            return is_free

    def release(self, account_id: int) -> None:
        """Unlock an account, after the result of its poll is in the ledger."""
        with self._lock:
            self._locked.discard(account_id)


class Result(NamedTuple):
    """The result of a poll that is not in the ledger yet."""

    account_id: int
    reading: Reading
    attempt: PollAttempt
    plan: Reading | None


class CredentialSession:
    """Sends requests with the token of one credential; stores the last `retry-after`."""

    def __init__(self, source: Source, listed: ListedCredential) -> None:
        self._source = source
        self._listed = listed
        self.retry_after_ms = 0
        self.calls = 0

    def send(self, request: Request, base: str) -> Answer:
        """Send one request."""
        self.calls += 1
        answer = self._source.send(self._listed, request, base=base)
        if answer.status in (429, 503):
            wait = seconds(answer.headers.get("retry-after")) or 0
            self.retry_after_ms = min(wait * 1000, MAX_WAIT_MS)
        return answer


class AccountPoller:
    """Polls accounts by one source; never another one while a result is not stored."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        source: Source,
        *,
        refresh_ms: int,
        urls: Mapping[str, str],
        uniform: Uniform = random.uniform,
    ) -> None:
        self._conn = conn
        self._source = source
        # Longer than the refresh interval while a round of the whole pool takes longer.
        self.interval_ms = refresh_ms
        self.last_calls = 0
        self._urls = urls
        self._uniform = uniform
        self._unsaved: Result | None = None

    @property
    def has_unsaved_result(self) -> bool:
        """Whether a result is not in the ledger yet."""
        return self._unsaved is not None

    def max_calls(self, state: PollState, context: PollContext) -> int:
        """Return how many calls a poll of an account makes at most, to bases that are reached."""
        provider = PROVIDERS[context.provider]
        is_plan_due = provider.plan is not None and _is_plan_due(state, context)
        return 1 + (provider.fallback is not None) + is_plan_due

    def poll(self, state: PollState, context: PollContext, listed: ListedCredential) -> bool:
        """Poll an account with one of its credentials and store the result; returns success.

        Raises `CredentialChanged`, `Stopped`, `Unavailable` or `Refused` when the account was
        not polled, and `Unavailable` while the result cannot be stored.
        """
        credential = listed.credential
        provider = PROVIDERS[credential.provider]
        url = self._urls.get(credential.provider)
        bases = (url,) if url else provider.bases
        session = CredentialSession(self._source, listed)
        reading, base = poll_quota(provider, credential, session.send, bases=bases)
        is_plan_due = provider.plan is not None and _is_plan_due(state, context)
        asked_for_plan = reading.state == "ok" and is_plan_due
        plan = poll_plan(provider, credential, session.send, base=base) if asked_for_plan else None
        due_at = next_attempt(
            state, context, reading, refresh_ms=self.interval_ms, uniform=self._uniform
        )
        retry_at = context.now + session.retry_after_ms if session.retry_after_ms else None
        attempt = PollAttempt(
            context.now,
            max(due_at, retry_at or 0),
            context.source,
            context.fingerprint,
            asked_for_plan,
            retry_at,
        )
        self.last_calls = session.calls
        self._unsaved = Result(state.account_id, reading, attempt, plan)
        self.save()
        return reading.state == "ok"

    def save(self) -> None:
        """Write the result that is not in the ledger yet, if there is one."""
        if self._unsaved is None:
            return
        account_id, reading, attempt, plan = self._unsaved
        with transaction(self._conn):
            write_reading(self._conn, account_id, reading, attempt)
            if plan:
                write_reading(self._conn, account_id, plan)
        self._unsaved = None


def _is_plan_due(state: PollState, context: PollContext) -> bool:
    last_plan_at = state.plan_asked_at
    return last_plan_at is None or context.now - last_plan_at >= PLAN_INTERVAL_MS


def poll_quota(
    provider: Provider, credential: Credential, send: Send, *, bases: Sequence[str]
) -> tuple[Reading, str]:
    """Request an account's quota; returns the reading and the base URL that it came from."""
    reading, base = _poll_bases(provider, credential, send, bases=bases)
    has_window = any(window.scope == "account" for window in reading.windows)
    if provider.fallback and reading.state == "ok" and not has_window:
        other = _poll_once(
            provider, provider.fallback(credential), credential, send=send, base=base
        )
        if other.state == "ok":
            windows = (*reading.windows, *_missing_windows(other, reading))
            reading = replace(reading, windows=windows, complete=other.complete)
    return reading, base


def poll_plan(
    provider: Provider, credential: Credential, send: Send, *, base: str
) -> Reading | None:
    """Request an account's plan where the quota answer has none; None when there is no plan."""
    if provider.plan is None:
        return None
    try:
        reading = provider.plan.parse(send(provider.plan.request(credential), base))
    except NoAnswer:
        return None
    return reading if reading.plan_raw or reading.credits_balance else None


def _poll_bases(
    provider: Provider, credential: Credential, send: Send, *, bases: Sequence[str]
) -> tuple[Reading, str]:
    """Request a quota from each base URL in turn, until one is reached and knows the path."""
    reading, used = NoAnswer("there is no address to ask", code="bad_address").reading(), ""
    for base in bases:
        request = provider.request(credential)
        reading, used = _poll_once(provider, request, credential, send=send, base=base), base
        # After a timeout no other base is tried: the account has had its time.
        if reading.error_code not in NOT_REACHED and reading.http_status != 404:
            break
    return reading, used


def _poll_once(
    provider: Provider, request: Request, credential: Credential, *, send: Send, base: str
) -> Reading:
    try:
        return provider.parse(send(request, base), credential.account_id)
    except NoAnswer as error:
        return error.reading()


def _missing_windows(more: Reading, reading: Reading) -> list[Window]:
    present = {(w.scope, w.scope_key, w.window_key) for w in reading.windows}
    return [w for w in more.windows if (w.scope, w.scope_key, w.window_key) not in present]
