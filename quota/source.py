"""Where quotas come from: what both sources give, and which of them is asked.

A source lists the proxy's credentials and makes requests with the token of one of them.
"""

from dataclasses import dataclass
from typing import Protocol

from quota.identity import Credential
from quota.model import Answer, Request


@dataclass(frozen=True, slots=True)
class Found:
    """One credential as a source lists it; the fingerprint changes when its file does."""

    credential: Credential
    fingerprint: str


class Source(Protocol):
    """The credential files, or the proxy's management API."""

    name: str

    def look(self) -> list[Found]:
        """List the credentials. Raises `Unavailable` or `Refused` when that cannot be done."""

    def ask(self, found: Found, request: Request, *, base: str) -> Answer:
        """Make one request to a provider with a credential's token.

        Raises `NoAnswer`, or `Stopped`, `Unavailable` and `Refused` where the account is not
        to blame.
        """


class Vanished(Exception):
    """The credential is not what it was when it was listed: look again first."""
