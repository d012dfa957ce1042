"""Choose where quotas come from, and when the management key may be tried."""

import sqlite3
import time

from ledger.keys import load_salt
from quota.source import Source
from quota.source_auto import Auto
from quota.source_files import Files
from quota.source_management import Management
from worker.heartbeat import now
from worker.refusals import Refusals
from worker.start import Given

# The collector tries a new management key first: five wrong ones ban the address.
KEY_FIRST_SECONDS, KEY_PROOF_MS = 5.0, 60_000


def source_of(given: Given, where: str, proxy_id: int) -> Source | None:
    """Choose where quotas come from; None is nowhere."""
    settings = given.settings
    files = Files(settings.auth_folder, given.stop.look)
    if settings.quota_source == "off":
        return None
    if settings.quota_source == "files":
        return files
    if not settings.management_key:
        return files if settings.quota_source == "auto" else refuse()
    key = load_salt(settings.data_folder).key(settings.management_key)
    management = Management(
        address=where,
        key=settings.management_key,
        refusals=Refusals(given.conn, proxy_id, key),
        is_over=given.stop.look,
    )
    return management if settings.quota_source == "management" else Auto(management, files)


def refuse() -> Source:
    """End with a sentence: the proxy does not talk to strangers."""
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
