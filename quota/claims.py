"""Which accounts are being asked: two proxies may know the same one, and it is asked once."""

from threading import Lock


class Claims:
    """Claims on accounts, shared by the pollers of all proxies."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken: set[int] = set()

    def take(self, account_id: int) -> bool:
        """Claim an account; tell whether nobody else has."""
        with self._lock:
            is_free = account_id not in self._taken
            self._taken.add(account_id)
            return is_free

    def give_back(self, account_id: int) -> None:
        """Let others ask an account again, once the ledger knows what came of it."""
        with self._lock:
            self._taken.discard(account_id)
