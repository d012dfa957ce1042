"""The two sources of quotas: the credential files, and the proxy's management API.

A source lists the proxy's credentials and sends requests with the token of one of them.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from quota.model import Answer, Credential, Request


@dataclass(frozen=True, slots=True)
class ListedCredential:
    """One credential as a source lists it; the fingerprint changes when its file does."""

    credential: Credential
    fingerprint: str


class Source(Protocol):
    """The credential files, or the proxy's management API."""

    @property
    def name(self) -> str:
        """`files` or `management`."""

    def list_credentials(self) -> list[ListedCredential]:
        """Return the credentials. Raises `Unavailable` or `Refused` when they cannot be listed."""

    def send(self, listed: ListedCredential, request: Request, *, base: str) -> Answer:
        """Send one request to a provider with a credential's token.

        Raises `NoAnswer`, or `CredentialChanged`, `Stopped`, `Unavailable` and `Refused` where
        the account is not the cause.
        """


class CredentialChanged(Exception):
    """The credential has changed since it was listed: list the credentials again first."""


def fingerprint(*parts: object) -> str:
    """Return a short hash of a credential's state, which reveals nothing of its content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
