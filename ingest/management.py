"""Ask the proxy's management API: one key, one attempt, short sentences.

Wire format: `internal/api/server_management.go` of CLIProxyAPI.
"""

from functools import cache
from ssl import SSLContext
from typing import Any, NamedTuple

import httpx

from ingest.counters import Counted, of_files, of_keys
from runtime.errors import Unavailable
from runtime.refusals import refusal

ANSWER_SECONDS = 4.0


class NoAnswer(Unavailable):
    """The proxy was asked, but no answer came, or not the whole of it."""


class Status(NamedTuple):
    """What the proxy says of itself; None is unknown."""

    version: str | None
    statistics_enabled: bool | None
    retention_seconds: int | None


class Management:
    """The management API of one proxy, below `/v0/management`."""

    def __init__(self, address: str, key: str, *, patience: float = ANSWER_SECONDS) -> None:
        self._where = f"the proxy at {address.removeprefix('http://')}"
        self._client = httpx.Client(
            base_url=f"{address}/v0/management/",
            headers={"Authorization": f"Bearer {key}".encode(), "User-Agent": "cliproxy-ledger"},
            timeout=patience,
            # A proxy for the outside world must not carry the key of a local one.
            trust_env=False,
            verify=certificates(),
        )

    def get(self, name: str, **parameters: int) -> httpx.Response:
        """Ask one thing. Raises `Unavailable`, or `Refused` for a wrong key or a ban.

        It is `NoAnswer` where the proxy may have done what it was asked.
        """
        try:
            answer = self._client.get(name, params=parameters or None)
        except httpx.ConnectError as error:
            raise Unavailable(f"{self._where} is not there") from error
        except (httpx.ConnectTimeout, httpx.LocalProtocolError) as error:
            raise Unavailable(f"{self._where} cannot be asked") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._where} does not answer") from error
        if answer.status_code == 200:
            return answer
        raise self._told(answer)

    def _told(self, answer: httpx.Response) -> Exception:
        """Sort an answer that is no success by what to do about it."""
        status, text = answer.status_code, answer.text[:200]
        if status in (401, 403) and (refused := refusal(text, self._where)):
            return refused
        if status in (401, 403):
            return Unavailable(f"{self._where} says: {field(answer, 'error') or status}")
        if status == 404:
            return Unavailable(
                f"{self._where} serves no usage queue: set remote-management.secret-key in its "
                "config.yaml, and use CLIProxyAPI v6.10.8 or newer"
            )
        return Unavailable(f"{self._where} answers with status {status}")

    def status(self) -> Status:
        """Ask for version, statistics switch and retention."""
        answer = self.get("usage-statistics-enabled")
        enabled = field(answer, "usage-statistics-enabled")
        # The whole configuration holds keys in clear: one number of it is looked at.
        retention = field(self.get("config"), "redis-usage-queue-retention-seconds")
        return Status(
            version=answer.headers.get("X-CPA-VERSION"),
            statistics_enabled=enabled if isinstance(enabled, bool) else None,
            retention_seconds=retention_seconds(retention),
        )

    def counts(self) -> dict[str, Counted]:
        """Ask what was counted of each credential since the proxy's start, by auth_index."""
        listing = parsed(self.get("auth-files"))
        try:
            usage = parsed(self.get("api-key-usage"))
        except Unavailable:
            usage = None
        return of_keys(usage, listing) | of_files(listing)

    def close(self) -> None:
        """End the connections."""
        self._client.close()


@cache
def certificates() -> SSLContext:
    """Give what TLS connections are checked by; it is large, and the same for every proxy."""
    return httpx.create_ssl_context(trust_env=False)


def field(answer: httpx.Response, name: str) -> object:
    """Give one field of a JSON object; None when there is no such thing."""
    found = parsed(answer)
    return found.get(name) if isinstance(found, dict) else None


def parsed(answer: httpx.Response) -> Any:
    """Give an answer's JSON; None when it is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def retention_seconds(found: object) -> int | None:
    """Read the setting as the proxy does: 60 when absent or not positive, 3600 at most."""
    if found is None or isinstance(found, bool) or not isinstance(found, int):
        return None
    return min(found, 3600) if found > 0 else 60
