"""Choose where quotas come from, and when the management key may be tried."""

import sqlite3
import time

from ledger.keys import Salt
from quota.source import Source
from quota.source_auto import Auto
from quota.source_files import Files
from quota.source_management import Management
from runtime.heartbeat import now
from runtime.pool import Proxy
from runtime.proxy_rules import require_key
from runtime.refusals import Refusals
from runtime.settings import Settings
from runtime.start import Given

# The collector tries a new management key first: five wrong ones ban the address.
KEY_FIRST_SECONDS, KEY_PROOF_MS = 5.0, 60_000


def source_of(given: Given, salt: Salt, proxy: Proxy, proxy_id: int) -> Source:
    """Choose where the quotas of a proxy's accounts come from."""
    settings, stop = given.settings, given.stop
    files = Files(proxy.auth_folder, stop.look) if proxy.auth_folder else None
    if files and (settings.quota_source == "files" or not proxy.key):
        return files
    refusals = Refusals(given.conn, proxy_id, salt.key(proxy.key))
    management = Management(address=proxy.url, key=proxy.key, refusals=refusals, is_over=stop.look)
    return Auto(management, files) if files and settings.quota_source == "auto" else management


def require_source(settings: Settings) -> None:
    """End with a sentence where the settings leave nothing to ask with."""
    if settings.quota_source == "files":
        without = next((proxy.name for proxy in settings.pool if not proxy.auth_folder), None)
        if without is not None:
            raise SystemExit(f"quota_source is files, but the proxy {without} has no auth_dir.")
    elif settings.proxies:
        require_key(settings)
    elif settings.quota_source == "management" and not settings.management_key:
        raise SystemExit("quota_source is management, but management_key is not set.")


class KeyProof:
    """Tells whether the management key may be tried: the collector goes first."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._began_at = now()
        self._until = time.monotonic() + KEY_FIRST_SECONDS

    def __call__(self) -> bool:
        """Tell whether another worker's pop has just worked, or none has for a while."""
        if time.monotonic() >= self._until:
            return True
        sql = "select last_pop_at from proxies where id = ?"
        (popped_at,) = self._conn.execute(sql, (self._proxy_id,)).fetchone()
        return popped_at is not None and popped_at >= self._began_at - KEY_PROOF_MS
