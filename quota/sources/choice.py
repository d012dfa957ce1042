"""Choose the source of a proxy's quotas, and when the management key may be used."""

import sqlite3
import time

from ledger import Unavailable
from ledger.keys import Salt
from ledger.settings import Proxy, Settings, require_key
from quota.http import ShouldStop
from quota.model import Answer, Request
from quota.sources import ListedCredential, Source
from quota.sources.files import CredentialFiles
from quota.sources.management import ManagementApi
from runtime.heartbeat import now
from runtime.refusals import Refusals, Refused
from runtime.tasks import Context

# The collector tries a new management key first: five wrong ones ban the address.
COLLECTOR_FIRST_SECONDS, RECENT_POP_MS = 5.0, 60_000
# How long a proxy that has worked may be away, as when it restarts, before the files are read.
OUTAGE_SECONDS = 120.0
# How often a proxy that was replaced by the files is tried again.
RETRY_SECONDS = 60.0


def choose_source(
    context: Context, salt: Salt, proxy: Proxy, *, proxy_id: int, should_stop: ShouldStop
) -> Source:
    """Return the source of the quotas of a proxy's accounts."""
    settings = context.settings
    files = CredentialFiles(proxy.auth_folder, should_stop) if proxy.auth_folder else None
    if files and (settings.quota_source == "files" or not proxy.key):
        return files
    management = ManagementApi(
        address=proxy.url,
        key=proxy.key,
        refusals=Refusals(context.conn, proxy_id, salt.key(proxy.key)),
        should_stop=should_stop,
    )
    if files and settings.quota_source == "auto":
        return FallbackSource(management, files)
    return management


def require_source(settings: Settings) -> None:
    """End with a sentence where the settings name no source that can be used."""
    if settings.quota_source == "files":
        without = next((proxy.name for proxy in settings.pool if not proxy.auth_folder), None)
        if without is not None:
            raise SystemExit(f"quota_source is files, but the proxy {without} has no auth_dir.")
    elif settings.proxies:
        require_key(settings)
    elif settings.quota_source == "management" and not settings.management_key:
        raise SystemExit("quota_source is management, but management_key is not set.")


class FallbackSource:
    """Use the first source while it works, else the second."""

    def __init__(self, first: Source, second: Source) -> None:
        self._first, self._second = first, second
        self._current = first
        self._worked_at: float | None = None
        self._retry_at = 0.0

    @property
    def name(self) -> str:
        """The source of the last list."""
        return self._current.name

    def list_credentials(self) -> list[ListedCredential]:
        """Return the credentials. Raises `Unavailable` or `Refused` when neither source can."""
        if time.monotonic() < self._retry_at:
            return self._second.list_credentials()
        try:
            listed = self._first.list_credentials()
        except (Unavailable, Refused) as error:
            if self._is_short_outage(error):
                raise
            return self._list_second(error)
        self._current, self._worked_at = self._first, time.monotonic()
        return listed

    def send(self, listed: ListedCredential, request: Request, *, base: str) -> Answer:
        """Send a request by the source that listed the credential."""
        return self._current.send(listed, request, base=base)

    def _is_short_outage(self, error: Unavailable | Refused) -> bool:
        if self._worked_at is None or isinstance(error, Refused):
            return False
        return time.monotonic() - self._worked_at < OUTAGE_SECONDS

    def _list_second(self, error: Unavailable | Refused) -> list[ListedCredential]:
        try:
            listed = self._second.list_credentials()
        except Unavailable as second:
            message = f"{error}; {second}"
            if isinstance(error, Refused):
                raise Refused(message, retry_at=error.retry_at) from second
            raise type(error)(message) from second
        self._current, self._worked_at = self._second, None
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return listed


class KeyDelay:
    """Delays the first use of the management key until the collector has used it."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._began_at = now()
        self._until = time.monotonic() + COLLECTOR_FIRST_SECONDS

    def is_over(self) -> bool:
        """Return whether a pop has worked recently, or none has for a few seconds."""
        if time.monotonic() >= self._until:
            return True
        sql = "select last_pop_at from proxies where id = ?"
        (popped_at,) = self._conn.execute(sql, (self._proxy_id,)).fetchone()
        return popped_at is not None and popped_at >= self._began_at - RECENT_POP_MS
