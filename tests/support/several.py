"""Several fake proxies by name, the settings that list them, and the ledger's rows by proxy."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from demo.fake_proxy import FakeProxy, serving
from tests.support.home import KEY, Home, eventually

STORED = """
  select proxies.name, coalesce(sum(received), 0), coalesce(sum(stored), 0)
  from proxies
  left join ingest_ledger on ingest_ledger.proxy_id = proxies.id
  group by proxies.id
  order by proxies.name
"""


@contextmanager
def fake_proxies(*names: str, **more: Any) -> Iterator[dict[str, FakeProxy]]:
    """Serve fake proxies by name, each keeping its events for an hour."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(FakeProxy(key=KEY, retention=3600, **more)))
            for name in names
        }


def entry(name: str, port: int, **more: str) -> dict[str, str]:
    """Return an entry of the setting `proxies`."""
    key = {} if "management_key_variable" in more else {"management_key": KEY}
    return {"name": name, "address": f"127.0.0.1:{port}", **key, **more}


def use(home: Home, proxies: dict[str, FakeProxy], **more: str) -> None:
    """Set the setting `proxies` to these proxies."""
    home.env.pop("CLIPROXY_MANAGEMENT_KEY", None)
    listed = [entry(name, proxy.port) for name, proxy in proxies.items()]
    home.env |= {"LEDGER_PROXIES": json.dumps(listed), **more}


def begin(home: Home) -> subprocess.Popen[str]:
    """Start the collectors of two proxies, and wait until each has popped and asked."""
    worker = home.start("ingest")
    asked = "select count(*) from proxies where last_pop_at and asked_at"
    eventually(lambda: home.count("proxies") and home.query(asked) == [(2,)])
    return worker


def stored(home: Home) -> dict[str, tuple[int, int]]:
    """Return (received, stored) of each proxy by name."""
    return {name: (received, stored) for name, received, stored in home.query(STORED)}


def gaps(home: Home) -> list[tuple[str, str, bool]]:
    """Return (proxy, cause, whether it is open) of each gap."""
    return home.query("select proxy, cause, open from collection_gaps order by started_at, proxy")
