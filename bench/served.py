"""Ask a dashboard's server over HTTP, and time each answer."""

import http.client
import time
from collections import Counter
from typing import NamedTuple

from bench.asks import Ask
from bench.bars import counting
from bench.figures import percentile

PATIENCE_SECONDS = 20.0
# A slow request is asked less often, so that a run ends.
LONGEST_MS, ENOUGH = 20_000.0, 20


class Times(NamedTuple):
    """How long one kind of request took, in ms, and how often it was refused."""

    ask: Ask
    took: list[float]
    refused: int

    def p(self, percent: float) -> float:
        """Give a percentile in ms."""
        return percentile(self.took, percent)


class Client:
    """One client with one connection, which asks one thing after another."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def wait(self) -> None:
        """Wait until the server answers; ends the run when it never does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                self.get("/ledger/state.json")
                return
            except OSError:
                self.close()
                time.sleep(0.05)
        raise SystemExit("The dashboard's server does not answer.")

    def get(self, path: str) -> tuple[float, int]:
        """Give how long an answer took, in ms, and its status."""
        begun = time.perf_counter()
        self._connection.request("GET", path)
        reply = self._connection.getresponse()
        reply.read()
        return (time.perf_counter() - begun) * 1000, reply.status

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def timed(client: Client, asks: list[Ask], *, samples: int) -> list[Times]:
    """Ask everything in turn, `samples` times, so that a disturbance meets all alike."""
    took: dict[str, list[float]] = {ask.title: [] for ask in asks}
    refused: Counter[str] = Counter()
    for ask in asks:
        # The first answers fill the caches of pages and statements.
        client.get(ask.path(0))
    with counting("queries through HTTP", samples * len(asks)) as bar:
        for turn in range(samples):
            for ask in asks:
                bar.update()
                if turn >= ENOUGH and sum(took[ask.title]) > LONGEST_MS:
                    continue
                spent, status = client.get(ask.path(turn))
                took[ask.title].append(spent)
                refused[ask.title] += status != http.client.OK
    return [Times(ask, took[ask.title], refused[ask.title]) for ask in asks]
