"""`python -m bench.fake_proxy`: the fake proxy in its own process, with commands on stdin.

Commands: `fill KIND COUNT`, `rate EVENTS_A_SECOND`, `count`. The first line of output is the port;
the answer to each command is the number of events pushed so far and the number queued.
"""

import signal
import sys
import threading
import time

from bench.ledgers import batches
from bench.processes import KEY
from bench.workload import Kind, Workload, even
from demo.fake_proxy import FakeProxy, serving

RETENTION = 3600.0
TICK_SECONDS = 0.05
CHUNK = 1_000


class Pusher:
    """Pushes events: many at once, or at a rate."""

    def __init__(self, proxy: FakeProxy) -> None:
        self._proxy = proxy
        self._workload = Workload(seed=time.time_ns())
        self._lock = threading.Lock()
        self._rate, self._pushed_until = 0.0, time.monotonic()
        self.pushed = 0

    def fill(self, kind: Kind, count: int) -> None:
        """Queue events as in a full queue, the oldest near the end of its retention."""
        now = time.time()
        for moments in batches(even(count, now - RETENTION * 0.9, now), CHUNK):
            self._push(self._workload.payloads(moments, kind))

    def set_rate(self, rate: float) -> None:
        """Set the events a second from now on; earlier events are all pushed on return."""
        with self._lock:
            self._rate, self._pushed_until = rate, time.monotonic()

    def stream(self) -> None:
        """Push events at the current rate, without end."""
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                self._push_due()

    def _push_due(self) -> None:
        due = int((time.monotonic() - self._pushed_until) * self._rate)
        if due:
            self._pushed_until += due / self._rate
            now = time.time()
            self._push(self._workload.payloads(list(even(due, now - TICK_SECONDS, now))))

    def _push(self, payloads: list[bytes]) -> None:
        self._proxy.push(payloads)
        self.pushed += len(payloads)


def run(pusher: Pusher, line: str) -> None:
    """Run the command of a line."""
    match line.split():
        case ["fill", "thin" | "fat" | "mixed" as kind, count]:
            pusher.fill(kind, int(count))
        case ["rate", rate]:
            pusher.set_rate(float(rate))
        case ["count"]:
            pass
        case _:
            raise SystemExit(f"unknown command: {line.strip()}")


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with serving(FakeProxy(key=KEY, retention=RETENTION, keeps_log=False)) as proxy:
        pusher = Pusher(proxy)
        threading.Thread(target=pusher.stream, daemon=True).start()
        print(proxy.port, flush=True)
        for line in sys.stdin:
            run(pusher, line)
            print(pusher.pushed, proxy.queued, flush=True)


if __name__ == "__main__":
    main()
