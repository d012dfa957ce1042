"""The quota worker's jobs: poll the accounts of one proxy, or only read the usage events.

A step polls at most one account, and no account is polled by two proxies at a time.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ledger import Unavailable, transaction
from quota.account_list import AccountList, store_expired
from quota.decisions import decide_due, prune_changes, store_staleness
from quota.history import prune
from quota.http import Stopped
from quota.pace import Pace
from quota.poll import AccountPoller, PollLocks
from quota.refresh_requests import (
    NO_CREDENTIAL,
    TOLD_TO_WAIT,
    TOO_SOON,
    RefreshProgress,
    RefreshRequest,
    answer_requests,
    open_requests,
)
from quota.schedule import PollState, is_due, is_fresh, is_too_soon, must_wait
from quota.signals import take_signals
from quota.sources import CredentialChanged, Source
from quota.verdict import STALE_MS
from runtime.heartbeat import now
from runtime.refusals import Refused

CALLS_PER_MINUTE = 20
# After so many missed polls, but at least an hour, a value is too old for a verdict of yes.
MISSED_POLLS = 3
POLLED_ACCOUNTS = """
  select count(distinct account_id)
  from credential_files
  where disabled = 0
    and account_id in (select account_id from quota_accounts where state <> 'no_source')
"""
WATCH_EVERY_MS = 1_000
PRUNE_EVERY_MS = 6 * 3_600_000
# How long an account with a changed or an expired credential is not polled.
PAUSE_MS = 10_000
# The request of the command line, in addition to those of the ledger.
FORCED = RefreshRequest(0, None)


class PollerParts(NamedTuple):
    """The parts that the poller of one proxy is made of."""

    conn: sqlite3.Connection
    proxy_id: int
    source: Source
    account_poller: AccountPoller
    may_poll: Callable[[], bool] = lambda: True
    clock: Callable[[], int] = now
    # Set where the worker ends when there is nothing to do: then it waits for its pace.
    rest: Callable[[float], None] | None = None


class Shared(NamedTuple):
    """The state that the pollers of all proxies share."""

    progress: RefreshProgress
    locks: PollLocks
    pace: Pace


class ProxyPoller:
    """The job of the quota worker for one proxy; `shared` is with those for the others."""

    def __init__(
        self, parts: PollerParts, *, force: bool = False, shared: Shared | None = None
    ) -> None:
        self._conn, self._proxy_id = parts.conn, parts.proxy_id
        self._account_poller, self._may_poll = parts.account_poller, parts.may_poll
        self._clock = parts.clock
        self._accounts = AccountList(
            parts.conn, parts.source, proxy_id=parts.proxy_id, clock=parts.clock
        )
        self._force = force
        self._progress, self._locks, self._pace = shared or Shared(
            RefreshProgress({parts.proxy_id: ()}), PollLocks(), Pace(CALLS_PER_MINUTE)
        )
        self._rest = parts.rest
        self._refresh_ms = parts.account_poller.interval_ms
        self._stale_ms = 0
        self._locked: int | None = None
        self._paused_until: dict[int, int] = {}
        self._failed_tries: dict[int, int] = {}
        self._prune_due = 0

    def step(self) -> int:
        """Take signals, then poll one account if one is due. Raises `Unavailable`, `Refused`."""
        self._account_poller.save()
        self._release_lock()
        done = take_signals(self._conn)
        decide_due(self._conn, self._clock())
        self._prune()
        if not self._may_poll():
            return done
        if self._accounts.list_if_due():
            self._progress.set_accounts(self._proxy_id, self._accounts)
            self._fit_interval()
        self._accounts.load_poll_states()
        self._reply_to_requests()
        done += self._poll_next()
        decide_due(self._conn, self._clock())
        self._answer_requests()
        return done

    def status_note(self) -> str | None:
        """Return a sentence with the number of accounts that cannot be read."""
        return self._accounts.status_note()

    def failed(self, error: Unavailable | Refused) -> None:
        """List the credentials soon, and let no request wait for this proxy."""
        self._accounts.list_soon()
        self._progress.set_away(self._proxy_id)
        self._release_lock()

    def close(self) -> None:
        """Do nothing: the poller has nothing open."""

    def _reply_to_requests(self) -> None:
        """Reply to the open requests with the accounts of this proxy."""
        forced = [FORCED] if self._force else []
        self._force = False
        with self._progress.lock:
            for request in forced + open_requests(self._conn):
                if not self._progress.has_reply(request.id, self._proxy_id):
                    concerned = [a for a in self._accounts if request.account_id in (None, a)]
                    obstacles = {account_id: self._obstacle(account_id) for account_id in concerned}
                    self._progress.reply(request, self._proxy_id, obstacles)

    def _obstacle(self, account_id: int) -> str | None:
        """Return why an account cannot be polled for a request; None if it can."""
        accounts, state = self._accounts, self._accounts.poll_state(account_id)
        if state.other_proxies_credentials:
            credentials = accounts.valid_credentials(account_id)
        else:
            credentials = accounts.enabled_credentials(account_id)
        if not credentials:
            return NO_CREDENTIAL
        if must_wait(state, self._clock()):
            return TOLD_TO_WAIT
        return TOO_SOON if is_too_soon(state, accounts.poll_context(account_id)) else None

    def _answer_requests(self) -> None:
        """Answer the requests that are finished."""
        with self._progress.lock:
            outcomes = self._progress.pop_finished()
            outcomes.pop(FORCED.id, None)
            if outcomes:
                answer_requests(self._conn, outcomes, now=self._clock())

    def _poll_next(self) -> int:
        """Poll the next account that is due; returns 1, or 0 when there is none."""
        due = [self._accounts.poll_state(a) for a in self._accounts if self._is_due(a)]
        due.sort(key=self._turn)
        accounts = (state.account_id for state in due)
        self._locked = next((a for a in accounts if self._locks.acquire(a)), None)
        if self._locked is None:
            return 0
        # Another proxy's poller may have polled it just before it was locked.
        self._accounts.load_poll_states()
        done = self._poll_in_pace(self._locked) if self._is_due(self._locked) else 0
        self._release_lock()
        return done

    def _turn(self, state: PollState) -> tuple[int, bool, int]:
        """Return a sort key: failing accounts and those that traffic keeps fresh come last."""
        interval = self._account_poller.interval_ms
        fresh = not self._progress.is_requested(state.account_id) and is_fresh(
            state, self._clock(), interval
        )
        # An account that fails repeatedly, perhaps slowly, waits until the others were polled.
        return state.consecutive_failures, fresh, state.next_attempt_at or 0

    def _poll_in_pace(self, account_id: int) -> int:
        """Poll an account when the pool's pace has room; returns 1 also after a wait for it."""
        accounts = self._accounts
        state, context = accounts.poll_state(account_id), accounts.poll_context(account_id)
        calls = self._account_poller.max_calls(state, context)
        if not self._pace.reserve(self._clock(), calls):
            if self._rest is None:
                return 0
            self._rest(min(self._pace.wait_ms(self._clock()) / 1000, 1.0))
            return 1
        self._account_poller.last_calls = 0
        try:
            return self._poll(account_id)
        finally:
            self._pace.release(calls - self._account_poller.last_calls)

    def _fit_interval(self) -> None:
        """Let the interval and the age of stale values follow from the size of the pool."""
        (accounts,) = self._conn.execute(POLLED_ACCOUNTS).fetchone()
        interval = max(self._refresh_ms, self._pace.round_ms(accounts))
        self._account_poller.interval_ms = interval
        stale_ms = max(STALE_MS, MISSED_POLLS * interval)
        if stale_ms != self._stale_ms:
            store_staleness(self._conn, stale_ms)
            self._stale_ms = stale_ms

    def _poll(self, account_id: int) -> int:
        """Poll an account with one of its credentials; returns 1, or 0 when the worker stops."""
        accounts, failed_tries = self._accounts, self._failed_tries.get(account_id, 0)
        credentials = accounts.valid_credentials(account_id)
        listed = credentials[failed_tries % len(credentials)]
        state, context = accounts.poll_state(account_id), accounts.poll_context(account_id)
        try:
            worked = self._account_poller.poll(state, context, listed)
        except CredentialChanged:
            accounts.list_soon()
            worked = False
            self._paused_until[account_id] = self._clock() + PAUSE_MS
        except Stopped:
            return 0
        # After a credential that failed the account's next one is tried.
        self._failed_tries[account_id] = failed_tries + (not worked)
        self._progress.record_poll(account_id, worked=worked)
        return 1

    def _release_lock(self) -> None:
        """Unlock the account of the last poll, unless its result is not in the ledger yet."""
        if self._locked is not None and not self._account_poller.has_unsaved_result:
            self._locks.release(self._locked)
            self._locked = None

    def _is_due(self, account_id: int) -> bool:
        accounts, at = self._accounts, self._clock()
        state = accounts.poll_state(account_id)
        is_paused = at < self._paused_until.get(account_id, 0)
        if is_paused or not accounts.usable_credentials(account_id):
            return False
        requested = self._progress.is_requested(account_id)
        if not requested and self._is_left_to_traffic(state):
            return False
        if not is_due(state, accounts.poll_context(account_id), requested=requested):
            return False
        if accounts.valid_credentials(account_id):
            return True
        self._paused_until[account_id] = at + PAUSE_MS
        # Another proxy's login of the same account may still work.
        if not state.other_proxies_credentials:
            store_expired(self._conn, state)
            self._progress.record_poll(account_id, worked=False)
        return False

    def _is_left_to_traffic(self, state: PollState) -> bool:
        """Return whether a large pool leaves an account to what its traffic tells."""
        interval = self._account_poller.interval_ms
        return interval > self._refresh_ms and is_fresh(state, self._clock(), interval)

    def _prune(self) -> None:
        if self._clock() >= self._prune_due:
            with transaction(self._conn):
                prune(self._conn, self._clock())
                prune_changes(self._conn, self._clock())
            self._prune_due = self._clock() + PRUNE_EVERY_MS


class SignalWatch:
    """Takes signals and decides while a provider's answer is awaited; returns when to stop.

    A slow provider must not delay the refusals of the traffic.
    """

    def __init__(self, conn: sqlite3.Connection, should_stop: Callable[[], bool]) -> None:
        self._conn = conn
        self._should_stop = should_stop
        self._due = 0

    def __call__(self) -> bool:
        """Return whether the worker should stop, after taking signals once a second."""
        at = now()
        # The clock may have been set back.
        if not 0 <= self._due - at <= WATCH_EVERY_MS:
            self._due = at + WATCH_EVERY_MS
            # The next step reports a ledger that cannot be written.
            with suppress(Unavailable):
                take_signals(self._conn)
                decide_due(self._conn, at)
        return self._should_stop()


class SignalReader:
    """The job of the quota worker when `quota_source` is off: it reads usage events only."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def step(self) -> int:
        """Take signals, and answer every request with the reason why nothing is polled."""
        for request in open_requests(self._conn):
            answer_requests(self._conn, {request.id: "quota_source is off"}, now=now())
        taken = take_signals(self._conn)
        decide_due(self._conn, now())
        return taken

    def status_note(self) -> str | None:
        """Return None: there is nothing to report."""
        return None

    def failed(self, error: Unavailable | Refused) -> None:
        """Do nothing: the next step starts again."""

    def close(self) -> None:
        """Do nothing: the reader has nothing open."""
