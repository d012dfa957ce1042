"""Dashboards as tests start them: a seeded ledger, a server on a port of its own, a client."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from demo.fake_proxy import FakeProxy, serving
from tests.support.home import KEY, RECORDINGS, Home, eventually, recorded

PASSWORD = "correct horse battery staple"


def free_port() -> int:
    """Return a port on which no program listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def recorded_home(folder: Path, *more: bytes) -> Iterator[Home]:
    """Create a home whose ledger holds every recorded event, and more payloads."""
    home = Home(folder)
    with serving(FakeProxy(key=KEY, retention=3600)) as proxy:
        home.use(proxy)
        payloads = [payload for name in RECORDINGS for payload in recorded(name)]
        proxy.push([*payloads, *more])
        home.run("ingest", "--once")
    yield home
    home.end()


def client_of(home: Home, **env: str) -> httpx.Client:
    """Start a home's dashboard and return a client for it."""
    port = free_port()
    home.env |= {"LEDGER_DASHBOARD_PORT": str(port), **env}
    home.start("runtime.serve")
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120)

    def answers() -> bool:
        try:
            return client.get("/-/versions.json").status_code in (200, 401)
        except httpx.ConnectError:
            return False

    eventually(answers)
    return client


class Site:
    """A dashboard served from a home, which can be stopped and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        home.env["LEDGER_DASHBOARD_PORT"] = str(self.port)
        self.server = self.start()

    def start(self) -> Any:
        """Start the server and wait until it answers."""
        self.server = self.home.start("runtime.serve")
        eventually(self.answers)
        return self.server

    def stop(self) -> None:
        """Stop the server."""
        self.server.terminate()
        self.server.wait()

    def answers(self) -> bool:
        """Return whether the server answers."""
        try:
            return httpx.get(f"{self.address}/", trust_env=False, timeout=120).status_code == 200
        except httpx.TransportError:
            return False

    def json(self, path: str, **parameters: str) -> Any:
        """Request JSON."""
        answer = httpx.get(f"{self.address}{path}", params=parameters, trust_env=False, timeout=120)
        assert answer.status_code == 200, answer.text[:300]
        return answer.json()


def names_of(home: Home, *kinds: str) -> list[str]:
    """Return the names of the ledger's tables or views."""
    marks = ", ".join("?" * len(kinds))
    sql = f"select name from sqlite_schema where type in ({marks}) and name not like 'sqlite%'"
    return [name for (name,) in home.query(sql, *kinds)]
