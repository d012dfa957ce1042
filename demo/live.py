"""Live traffic: what happens now goes through the stand-in while it happens."""

import time
from threading import Event

from demo.proxy import Proxy
from demo.traffic import Traffic

BEAT_SECONDS = 1.0
# After a sleep of the machine there is no rush to catch up.
LONGEST_STRETCH = 60.0


def stream(proxy: Proxy, traffic: Traffic, stop: Event) -> None:
    """Push the events of each passing second until `stop` is set."""
    done = time.time()
    while not stop.wait(BEAT_SECONDS):
        now = time.time()
        proxy.push(traffic.between(max(done, now - LONGEST_STRETCH), now))
        done = now
