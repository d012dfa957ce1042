"""A running `make run`, and the processes that it started."""

import socket

import psutil

from tests.support.home import Home
from tests.support.sites import free_port


class Run:
    """A `make run` in a session of its own, and every process it has started."""

    def __init__(self, home: Home) -> None:
        self.port = free_port()
        home.env |= {"LEDGER_DASHBOARD_PORT": str(self.port)}
        self.make = home.make("run")
        self.all: set[psutil.Process] = set()

    def look(self) -> set[psutil.Process]:
        """Add the processes that are there now."""
        self.all |= {self.me(), *self.me().children(recursive=True)}
        return self.all

    def me(self) -> psutil.Process:
        """The make process."""
        return psutil.Process(self.make.pid)

    def honcho(self) -> psutil.Process:
        """The process manager: make's child."""
        return next(p for p in self.me().children() if p.cmdline()[-2:] == ["cli", "run"])

    def is_up(self) -> bool:
        """Return whether the dashboard answers."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def left(self) -> list[psutil.Process]:
        """Return the processes that have not ended."""
        self.make.poll()
        return [p for p in self.all if is_alive(p)]


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process has not ended; it may end between two looks."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
