"""Pop the proxy's usage queue, over RESP or over HTTP.

Wire format: `internal/api/redis_queue_protocol.go` and `internal/api/server_management.go` of
CLIProxyAPI. A pop is destructive; nothing here tries twice.
"""

from typing import Protocol

from ingest.listing import elements
from ingest.management import Management, NoAnswer
from ingest.resp import CutOff, NotServed, Resp
from ledger.settings import Proxy
from runtime.errors import Refused, Unavailable


class Source(Protocol):
    """A way in. `pop` raises `Unavailable` or `Refused`."""

    @property
    def name(self) -> str:
        """`resp` or `http`."""

    @property
    def is_open(self) -> bool:
        """Whether the key was accepted for as long as the connection lasts."""

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records, oldest first, out of the queue; empty when there are none."""

    def close(self) -> None:
        """End the connection."""


class Http:
    """The queue over HTTP: `GET /v0/management/usage-queue`, since v6.10.8."""

    name = "http"
    # Each request brings the key again.
    is_open = False

    def __init__(self, management: Management) -> None:
        self._management = management

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records."""
        try:
            return elements(self._management.get("usage-queue", count=count).content)
        except NoAnswer as error:
            raise CutOff(str(error)) from error

    def close(self) -> None:
        """End the connection."""
        self._management.close()


class Auto:
    """RESP, or HTTP where RESP is not served; RESP is tried again after each break."""

    def __init__(self, resp: Resp, http: Http) -> None:
        self._resp, self._http = resp, http
        self._chosen: Source = resp

    @property
    def name(self) -> str:
        """The way in that was used last."""
        return self._chosen.name

    @property
    def is_open(self) -> bool:
        """Whether the way in that was used last is open."""
        return self._chosen.is_open

    def pop(self, count: int) -> list[bytes]:
        """Take up to `count` records the way that works."""
        try:
            return self._chosen.pop(count)
        except NotServed:
            self._chosen = self._http
        except (Unavailable, Refused):
            self._chosen = self._resp
            raise
        return self.pop(count)

    def close(self) -> None:
        """End both connections."""
        self._resp.close()
        self._http.close()


def source(proxy: Proxy, chosen: str) -> Source:
    """Give the way in that was chosen; an address with a scheme speaks HTTP only."""
    http = Http(Management(proxy.url, proxy.key))
    if chosen == "http" or "://" in proxy.host:
        return http
    resp = Resp(proxy.host, proxy.port, proxy.key)
    return resp if chosen == "resp" else Auto(resp, http)
