"""The accounts that one proxy lists: their credentials, and the stored result of their polls."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping

from ledger import transaction
from quota.account_sync import AccountCredentials, has_source, link_credentials, store_listing
from quota.decisions import mark_undecided
from quota.identity import token_state
from quota.schedule import PollContext, PollState
from quota.sources import ListedCredential, Source

log = logging.getLogger(__name__)

LIST_EVERY_MS = {"files": 2_000, "management": 60_000}
HEALTHY = ("ok", "never", "no_source")
POLL_STATES = """
  select
    account_id, state, fingerprint, last_attempt_at, next_attempt_at, consecutive_failures,
    plan_asked_at,
    (
      select count(*)
      from credential_files
      where credential_files.account_id = quota_accounts.account_id
        and credential_files.proxy_id <> ?
        and credential_files.disabled = 0
    ),
    retry_after_at,
    (
      select min(iif(quota_windows.source = 'api', null, observed_at))
      from quota_windows
      where quota_windows.account_id = quota_accounts.account_id
        and gating = 1
        and retired_at is null
      having count(*) = sum(quota_windows.source <> 'api')
    ),
    (
      select max(refused_at)
      from quota_refusals
      where quota_refusals.account_id = quota_accounts.account_id
        and ends_at is null
        and scope <> 'overage'
    )
  from quota_accounts
"""
LISTED_ACCOUNTS = "select proxy_id, account_id from credential_files"
# Changes by users and events since the last listing.
CHANGES = """
  select
    (select max(id) from credentials),
    (select group_concat(coalesce(undone_at, 0)) from account_changes)
"""
SET_EXPIRED = """
  update quota_accounts set state = 'token_expired', error_code = null, error_text = null
  where account_id = ?
"""


def listed_accounts(conn: sqlite3.Connection, proxies: Iterable[int]) -> dict[int, set[int]]:
    """Return the accounts that each proxy had in its last listing."""
    accounts: dict[int, set[int]] = {proxy_id: set() for proxy_id in proxies}
    for proxy_id, account_id in conn.execute(LISTED_ACCOUNTS):
        accounts.setdefault(proxy_id, set()).add(account_id)
    return accounts


def store_expired(conn: sqlite3.Connection, state: PollState) -> None:
    """Store that an account's token has expired, which is known without a call."""
    if state.state != "token_expired":
        with transaction(conn):
            conn.execute(SET_EXPIRED, (state.account_id,))
            mark_undecided(conn, state.account_id)


class AccountList:
    """The accounts of one proxy, listed again at intervals."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        source: Source,
        *,
        proxy_id: int,
        clock: Callable[[], int],
    ) -> None:
        self._conn = conn
        self._source = source
        self._proxy_id = proxy_id
        self._clock = clock
        self._credentials: AccountCredentials = {}
        self._last_listing: object = None
        self._poll_states: Mapping[int, PollState] = {}
        self._list_due = 0

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids of the accounts."""
        return iter(self._credentials)

    def list_if_due(self) -> bool:
        """List the credentials at intervals, and link them when anything changed.

        Returns whether it was due. Raises `Unavailable` or `Refused`.
        """
        now = self._clock()
        if now < self._list_due:
            return False
        listed, source = self._source.list_credentials(), self._source.name
        changes = self._conn.execute(CHANGES).fetchone()
        if self._last_listing != (listed, source, changes):
            self._credentials = link_credentials(
                self._conn, self._proxy_id, listed, by_address=source == "files"
            )
            store_listing(self._conn, self._credentials, source)
            self._last_listing = (listed, source, changes)
            log.info("%d credentials of %d accounts", len(listed), len(self._credentials))
        self._list_due = now + LIST_EVERY_MS[source]
        return True

    def list_soon(self) -> None:
        """List the credentials at the next step."""
        self._list_due = 0

    def load_poll_states(self) -> None:
        """Read the poll states of all accounts from the ledger."""
        rows = self._conn.execute(POLL_STATES, (self._proxy_id,))
        self._poll_states = {row[0]: PollState(*row) for row in rows}

    def poll_state(self, account_id: int) -> PollState:
        """Return the stored result of an account's last polls."""
        return self._poll_states[account_id]

    def enabled_credentials(self, account_id: int) -> list[ListedCredential]:
        """Return an account's credentials that can request a quota and are not disabled."""
        return [item for item in self._with_source(account_id) if not item.credential.disabled]

    def usable_credentials(self, account_id: int) -> list[ListedCredential]:
        """Return the enabled credentials; all of a disabled account, which is asked rarely."""
        if self.is_disabled(account_id):
            return self._with_source(account_id)
        return self.enabled_credentials(account_id)

    def is_disabled(self, account_id: int) -> bool:
        """Return whether every credential of an account is disabled, at every proxy."""
        elsewhere = self.poll_state(account_id).other_proxies_credentials
        return not elsewhere and not self.enabled_credentials(account_id)

    def _with_source(self, account_id: int) -> list[ListedCredential]:
        listed = self._credentials.get(account_id, ())
        return [item for item in listed if has_source(item.credential)]

    def valid_credentials(self, account_id: int) -> list[ListedCredential]:
        """Return the usable credentials whose tokens are not known to have expired."""
        now, listed = self._clock(), self.usable_credentials(account_id)
        return [item for item in listed if token_state(item.credential, now) != "token_expired"]

    def poll_context(self, account_id: int) -> PollContext:
        """Return the state of an account's credentials at this moment."""
        listed, source = self._credentials[account_id], self._source.name
        elsewhere = self.poll_state(account_id).other_proxies_credentials
        poller = f"{source}:{self._proxy_id}"
        is_disabled = self.is_disabled(account_id)
        # An account that was enabled again is polled at once.
        words = (poller, *(item.fingerprint for item in listed), *["disabled"] * is_disabled)
        return PollContext(
            now=self._clock(),
            provider=listed[0].credential.provider,
            source=source,
            fingerprint=" ".join(words),
            credentials=len(self.usable_credentials(account_id)) + elsewhere,
            is_disabled=is_disabled,
        )

    def status_note(self) -> str | None:
        """Return a sentence with the number of accounts that cannot be read, if there are any."""
        states = [self._poll_states[a].state for a in self._credentials if a in self._poll_states]
        failing = sum(state not in HEALTHY for state in states)
        if not failing:
            return None
        return f"{failing} of {len(states)} accounts cannot be read: see quota_errors"
