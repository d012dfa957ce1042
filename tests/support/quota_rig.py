"""A quota worker in the test's own process, with a clock that the test sets, on real HTTP."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from demo.accounts import Account, write_files
from demo.fake_proxy import FakeProxy
from demo.http import reply
from ledger.data_folder import prepare
from ledger.keys import load_salt
from quota.pace import Pace
from quota.poll import AccountPoller, PollLocks
from quota.providers import PROVIDERS
from quota.refresh_requests import RefreshProgress
from quota.sources import Source
from quota.sources.files import CredentialFiles
from quota.sources.management import ManagementApi
from quota.worker import PollerParts, ProxyPoller, Shared
from runtime.heartbeat import now
from runtime.proxies import find
from runtime.refusals import Refusals
from tests.support.home import KEY
from tests.support.quota_ledger import rows

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EXPIRED = reply({"error": {"code": "token_expired", "message": "expired"}, "status": 401}, 401)
REVOKED = reply({"error": {"code": "token_revoked", "message": "Encountered it"}}, 401)
# The timeout of a request in tests.
TIMEOUT_SECONDS = 60.0


def urls(proxy: FakeProxy) -> dict[str, str]:
    """Return the fake providers' addresses."""
    return {name: f"http://127.0.0.1:{proxy.port}/providers/{name}" for name in PROVIDERS}


def digest(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return the hash of the content, the time of change and the mode of each path in a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in [folder, *folder.rglob("*")]
    }


class Rig:
    """A poller on its own ledger; `at` is its clock, and it draws the middle of every range."""

    def __init__(
        self,
        folder: Path,
        proxy: FakeProxy,
        accounts: Iterable[Account],
        *,
        mode: str = "files",
        refresh_ms: int = 5 * MINUTE,
        calls_per_minute: int = 100_000,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.proxy = proxy
        self.auth = folder / "auth"
        self.data = folder / "data"
        self.accounts = tuple(accounts)
        self.mode = mode
        self.refresh_ms = refresh_ms
        self.calls_per_minute = calls_per_minute
        self.seconds = seconds
        self.at = now()
        write_files(self.auth, self.accounts)
        self.conn = prepare(self.data, timezone="Europe/Berlin")
        self.proxy_id = find(self.conn, f"127.0.0.1:{proxy.port}")
        self.poller = self.restarted()

    def restarted(self, *, force: bool = False) -> ProxyPoller:
        """Return a new poller, which knows only the ledger."""
        source = self.source()
        account_poller = AccountPoller(
            self.conn,
            source,
            refresh_ms=self.refresh_ms,
            urls=urls(self.proxy),
            uniform=lambda low, high: (low + high) / 2,
        )
        parts = PollerParts(self.conn, self.proxy_id, source, account_poller, clock=lambda: self.at)
        progress = RefreshProgress({self.proxy_id: ()})
        shared = Shared(progress, PollLocks(), Pace(self.calls_per_minute))
        return ProxyPoller(parts, force=force, shared=shared)

    def source(self) -> Source:
        """Return the source for the rig's mode."""
        if self.mode == "files":
            return CredentialFiles(self.auth, lambda: False, seconds=self.seconds)
        key = load_salt(self.data).key(KEY)
        return ManagementApi(
            address=f"http://127.0.0.1:{self.proxy.port}",
            key=KEY,
            refusals=Refusals(self.conn, self.proxy_id, key),
            should_stop=lambda: False,
            seconds=self.seconds,
        )

    def settle(self) -> None:
        """Step until there is nothing to do."""
        while self.poller.step():
            pass

    def live(self, duration: int, *, step: int = MINUTE) -> list[tuple[int, Account | None]]:
        """Advance the clock in steps; return the instant and account of each request."""
        polls = []
        for _ in range(duration // step):
            self.at += step
            before = len(self.proxy.providers.calls)
            self.settle()
            polls += [(self.at, call.account) for call in list(self.proxy.providers.calls)[before:]]
        return polls

    def account(self, account: Account) -> dict[str, Any]:
        """Return the stored state of an account."""
        sql = """
          select quota_accounts.*, known_accounts.label, credential_files.name
          from credential_files
          join known_accounts on known_accounts.id = credential_files.account_id
          join quota_accounts using (account_id)
          where credential_files.name = ?
        """
        (row,) = rows(self.conn, sql, account.file)
        return row

    def windows(self, account: Account) -> list[dict[str, Any]]:
        """Return an account's stored windows."""
        sql = "select * from quota_windows where account_id = ? and retired_at is null order by id"
        return rows(self.conn, sql, self.account(account)["account_id"])

    def close(self) -> None:
        """Close the ledger."""
        self.conn.close()
