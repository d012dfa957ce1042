"""Serve a stand-in from a thread of its own, for tests and for the demo."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from demo.proxy import Proxy


@contextmanager
def serving(proxy: Proxy) -> Iterator[Proxy]:
    """Serve `proxy` inside the block, on `proxy.port`; nothing of it is left afterwards."""
    proxy.loop = asyncio.new_event_loop()
    thread = Thread(target=proxy.loop.run_forever, name="stand-in", daemon=True)
    thread.start()
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join()
        proxy.loop.close()
        proxy.loop = None
