"""Query the management API of a proxy: its status, and the attempts that it has counted.

Wire format: `internal/api/server_management.go` of CLIProxyAPI. Each method sends each request
once. `api-key-usage` contains keys in clear: this module returns only their `auth_index`.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from ssl import SSLContext
from typing import Any, NamedTuple

import httpx

from ledger import Unavailable
from runtime.refusals import parse_refusal

TIMEOUT_SECONDS = 4.0
# The `auth_index` of a configured key is a hash of its kind, its base URL and the key. These
# providers have a kind of their own; all others are OpenAI-compatible.
PROVIDERS_WITH_KIND = {"gemini", "claude", "codex", "xai", "vertex", "interactions"}


class NoResponse(Unavailable):
    """The request may have reached the proxy, but no complete response came back."""


class Status(NamedTuple):
    """The proxy's version and its settings for the usage queue; None is unknown."""

    version: str | None
    statistics_enabled: bool | None
    retention_seconds: int | None


class Attempts(NamedTuple):
    """Attempts of one credential since the proxy's start."""

    success: int
    failed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.success + self.failed


class Management:
    """The management API of one proxy, below `/v0/management`."""

    def __init__(self, address: str, key: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._peer = f"the proxy at {address.removeprefix('http://')}"
        self._client = httpx.Client(
            base_url=f"{address}/v0/management/",
            headers={b"Authorization": f"Bearer {key}".encode(), b"User-Agent": b"cliproxy-ledger"},
            timeout=timeout,
            # The environment's HTTP proxy must not see the key of a local one.
            trust_env=False,
            verify=tls_context(),
        )

    def get(self, name: str, **parameters: int) -> httpx.Response:
        """Return the response to `GET name`.

        Raises `Refused` for a wrong key or a ban, `NoResponse` where the proxy may have processed
        the request, else `Unavailable`.
        """
        try:
            response = self._client.get(name, params=parameters or None)
        except httpx.ConnectError as error:
            raise Unavailable(f"{self._peer} cannot be reached") from error
        except (httpx.ConnectTimeout, httpx.LocalProtocolError) as error:
            raise Unavailable(f"{self._peer} cannot be asked") from error
        except httpx.HTTPError as error:
            raise NoResponse(f"{self._peer} does not answer") from error
        if response.status_code == 200:
            return response
        raise self._error(response)

    def _error(self, response: httpx.Response) -> Exception:
        """Return the exception for a response that is no success."""
        status, text = response.status_code, response.text[:200]
        if status in (401, 403) and (refused := parse_refusal(text, self._peer)):
            return refused
        if status in (401, 403):
            return Unavailable(f"{self._peer} says: {json_field(response, 'error') or status}")
        if status == 404:
            return Unavailable(
                f"{self._peer} serves no usage queue: set remote-management.secret-key in its "
                "config.yaml, and use CLIProxyAPI v6.10.8 or newer"
            )
        return Unavailable(f"{self._peer} answers with status {status}")

    def status(self) -> Status:
        """Return the version, the statistics switch and the queue's retention."""
        response = self.get("usage-statistics-enabled")
        enabled = json_field(response, "usage-statistics-enabled")
        # The configuration holds keys in clear: only this one number of it is read.
        retention = json_field(self.get("config"), "redis-usage-queue-retention-seconds")
        return Status(
            version=response.headers.get("X-CPA-VERSION"),
            statistics_enabled=enabled if isinstance(enabled, bool) else None,
            retention_seconds=retention_seconds(retention),
        )

    def attempts(self) -> dict[str, Attempts]:
        """Return the attempts of each credential since the proxy's start, by `auth_index`."""
        files = json_body(self.get("auth-files"))
        try:
            keys = json_body(self.get("api-key-usage"))
        except Unavailable:
            keys = None
        return key_attempts(keys, files) | file_attempts(files)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@cache
def tls_context() -> SSLContext:
    """Return the context that verifies TLS; it is large, and the same for every proxy."""
    return httpx.create_ssl_context(trust_env=False)


def json_body(response: httpx.Response) -> Any:
    """Return the body of a response as JSON; None when it is not JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def json_field(response: httpx.Response, name: str) -> object:
    """Return one field of a JSON object; None when there is none."""
    body = json_body(response)
    return body.get(name) if isinstance(body, dict) else None


def retention_seconds(value: object) -> int | None:
    """Return the retention as the proxy applies it: 60 when not positive, 3600 at most."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return min(value, 3600) if value > 0 else 60


def file_attempts(files: Any) -> dict[str, Attempts]:
    """Return the counts in a response of `auth-files` (which has them since v6.9.49)."""
    return {
        entry["auth_index"]: counts
        for entry in file_entries(files)
        if isinstance(entry.get("auth_index"), str) and (counts := entry_attempts(entry))
    }


def key_attempts(keys: Any, files: Any) -> dict[str, Attempts]:
    """Return the counts in a response of `api-key-usage` (since v6.9.47), by `auth_index`.

    Keys that `auth-files` lists too are left out.
    """
    listed = {entry.get("account") for entry in file_entries(files)}
    result: dict[str, Attempts] = {}
    for provider, entries in object_items(keys):
        for name, entry in object_items(entries):
            base_url, _, key = name.rpartition("|")
            counts = entry_attempts(entry)
            if counts and key not in listed:
                result[auth_index(provider, base_url, key)] = counts
    return result


def auth_index(provider: str, base_url: str, key: str) -> str:
    """Return the `auth_index` of a configured key, as `sdk/cliproxy/auth/types.go` computes it."""
    kind = f"{provider}-api-key" if provider in PROVIDERS_WITH_KIND else "openai-compatibility"
    return hashlib.sha256(f"{kind}:{base_url}+{key}".encode()).hexdigest()[:16]


def file_entries(files: Any) -> Iterator[dict[str, Any]]:
    """Return the objects in a response of `auth-files`."""
    entries = files.get("files") if isinstance(files, dict) else None
    yield from (entry for entry in entries or [] if isinstance(entry, dict))


def object_items(value: Any) -> Iterator[tuple[str, Any]]:
    """Return the fields of a JSON object; nothing when the value is none."""
    yield from value.items() if isinstance(value, dict) else ()


def entry_attempts(entry: Any) -> Attempts | None:
    """Return the two counts of an entry; None where an older proxy sends none."""
    if not isinstance(entry, dict):
        return None
    success, failed = entry.get("success"), entry.get("failed")
    if isinstance(success, int) and isinstance(failed, int) and min(success, failed) >= 0:
        return Attempts(success, failed)
    return None
