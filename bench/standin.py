"""`python -m bench.standin`: the stand-in proxy in a process of its own, told what to do by line.

Lines in: `fill KIND COUNT`, `rate EVENTS_A_SECOND`, `count`. One line out for each, after the port:
how many events were pushed so far, and how many wait in the queue.
"""

import signal
import sys
import threading
import time

from bench.feed import batches
from bench.processes import KEY
from bench.workload import Kind, Workload, even
from demo.fake_proxy import FakeProxy, serving

RETENTION = 3600.0
TICK_SECONDS = 0.05
CHUNK = 1_000


class Pushing:
    """Pushes events: many at once, or at a rate."""

    def __init__(self, proxy: FakeProxy) -> None:
        self._proxy = proxy
        self._workload = Workload(seed=time.time_ns())
        self._lock = threading.Lock()
        self._rate, self._done = 0.0, time.monotonic()
        self.pushed = 0

    def fill(self, kind: Kind, count: int) -> None:
        """Queue events as a full queue holds them, the oldest almost too old."""
        now = time.time()
        for moments in batches(even(count, now - RETENTION * 0.9, now), CHUNK):
            self._push(self._workload.payloads(moments, kind))

    def set_rate(self, rate: float) -> None:
        """Let so many events happen each second from now on; those before are pushed by then."""
        with self._lock:
            self._rate, self._done = rate, time.monotonic()

    def stream(self) -> None:
        """Push the events of each passing moment, for ever."""
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                self._push_due()

    def _push_due(self) -> None:
        due = int((time.monotonic() - self._done) * self._rate)
        if due:
            self._done += due / self._rate
            now = time.time()
            self._push(self._workload.payloads(list(even(due, now - TICK_SECONDS, now))))

    def _push(self, payloads: list[bytes]) -> None:
        self._proxy.push(payloads)
        self.pushed += len(payloads)


def obey(pushing: Pushing, line: str) -> None:
    """Do what a line says."""
    match line.split():
        case ["fill", "thin" | "fat" | "mixed" as kind, count]:
            pushing.fill(kind, int(count))
        case ["rate", rate]:
            pushing.set_rate(float(rate))
        case ["count"]:
            pass
        case _:
            raise SystemExit(f"not understood: {line.strip()}")


def main() -> None:
    """Serve until there are no more lines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with serving(FakeProxy(key=KEY, retention=RETENTION, keeps_log=False)) as proxy:
        pushing = Pushing(proxy)
        threading.Thread(target=pushing.stream, daemon=True).start()
        print(proxy.port, flush=True)
        for line in sys.stdin:
            obey(pushing, line)
            print(pushing.pushed, proxy.queued, flush=True)


if __name__ == "__main__":
    main()
