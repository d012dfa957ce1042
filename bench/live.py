"""A ledger at work: the real processes, events that arrive, and queries meanwhile."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.dataset import copied
from bench.intake import Commit, Intake, intake
from bench.processes import Place, end, free_port, modules, running
from bench.served import Client
from bench.upstream import Upstream, upstream

COLLECTOR = "ingest"


class Live(NamedTuple):
    """What runs: where, the stand-in, each process by its name, who watches and who asks."""

    place: Place
    proxy: Upstream
    processes: dict[str, subprocess.Popen[bytes]]
    intake: Intake
    client: Client
    stack: ExitStack

    @property
    def pids(self) -> dict[str, int]:
        """The process ids by name."""
        return {name: process.pid for name, process in self.processes.items()}

    def stop_collector(self) -> None:
        """End the collector alone."""
        end(self.processes[COLLECTOR])

    def start_collector(self) -> None:
        """Start it again."""
        module = modules()[COLLECTOR]
        self.processes[COLLECTOR] = self.stack.enter_context(running(module, self.place))

    def follow(self, until: Callable[[int], bool]) -> list[Commit]:
        """Note each commit until a count of events is good."""
        return self.intake.follow(until, self.processes[COLLECTOR])

    def lost(self) -> int:
        """Stop the traffic, wait for the collector, and count what did not arrive."""
        self.proxy.rate(0)
        pushed = self.proxy.count().pushed
        self.follow(lambda stored: stored >= pushed)
        return pushed - self.intake.stored()


@contextmanager
def live(home: Path, rate: float) -> Iterator[Live]:
    """Run everything of the Procfile on a copy of a ledger while `rate` events/s arrive."""
    with ExitStack() as stack:
        proxy = stack.enter_context(upstream())
        folder = stack.enter_context(copied(home, proxy=proxy.name))
        place = Place(folder, proxy.port, free_port())
        processes = {
            name: stack.enter_context(running(module, place)) for name, module in modules().items()
        }
        watched = stack.enter_context(intake(folder))
        client = Client(place.web_port)
        stack.callback(client.close)
        client.wait()
        proxy.rate(rate)
        running_now = Live(place, proxy, processes, watched, client, stack)
        running_now.follow(lambda stored: stored > 0)
        yield running_now
