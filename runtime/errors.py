"""What a step may raise, sorted by what the loop should do about it."""

from ledger.errors import Unavailable

__all__ = ["Refused", "Unavailable"]


class Refused(Exception):
    """We were told no: wrong key, or banned. Trying again at once would make it worse.

    `retry_at` is the instant (ms) before which nobody may try again.
    """

    def __init__(self, sentence: str, *, retry_at: int) -> None:
        super().__init__(sentence)
        self.retry_at = retry_at
