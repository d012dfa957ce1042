"""`python -m demo`: the whole demo; `fill`: only its ledger; `proxy`: only the stand-in proxy.

`wait` ends as soon as the stand-in listens: what asks it before has its first failure at once.
"""

import argparse
import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from threading import Event

from demo import fill, live, versions
from demo.listener import HOST
from demo.pool import KEY, SEED
from demo.proxy import DEFAULT_RETENTION, Proxy
from demo.serving import serving
from demo.traffic import BUSIEST, Traffic
from runtime.serve import end_with_starter


def main() -> None:
    """Run the command that was asked for until it is told to stop."""
    options = _parser().parse_args()
    options.run(options)


def run_proxy(options: argparse.Namespace) -> None:
    """Serve the stand-in alone; raises SystemExit when the port is taken."""
    zone = datetime.now().astimezone().tzinfo or UTC
    busiest = max(options.rate, 0.0)
    traffic = Traffic(seed=SEED, anchor=time.time(), zone=zone, busiest=busiest)
    proxy = Proxy(
        key=options.key,
        port=options.port,
        version=options.version,
        retention=options.retention,
        quotas=traffic.quotas,
        records=False,
    )
    stop = _stop_on_signals()
    end_with_starter()
    with ExitStack() as stack:
        try:
            stack.enter_context(serving(proxy))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise SystemExit(f"cannot listen on port {options.port}: {reason}") from error
        print(f"{proxy.version} at http://127.0.0.1:{proxy.port}, key {proxy.key}", flush=True)
        if busiest:
            live.stream(proxy, traffic, stop)
        else:
            stop.wait()


def wait(options: argparse.Namespace) -> None:
    """End once somebody listens; raises SystemExit when nobody does for long."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_starter()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((HOST, options.port)):
            return
        time.sleep(fill.POLL_SECONDS)
    raise SystemExit(f"nobody listens on port {options.port}")


def version(text: str) -> str:
    """Check that a text names a version of the proxy; raises ValueError otherwise."""
    versions.parse(text)
    return text


def _stop_on_signals() -> Event:
    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    return stop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.set_defaults(run=lambda _options: fill.main())
    commands = parser.add_subparsers(title="commands")
    filling = commands.add_parser("fill", help="fill the ledger with 30 days of history, and end")
    filling.set_defaults(run=lambda _options: fill.once())
    proxy = commands.add_parser("proxy", help="run the stand-in proxy alone")
    proxy.set_defaults(run=run_proxy)
    proxy.add_argument("--port", type=int, default=0, help="0 takes any free one")
    proxy.add_argument("--key", default=KEY, help="management key (default: %(default)s)")
    proxy.add_argument("--version", type=version, default=Proxy.version, help="tag to stand in for")
    proxy.add_argument("--retention", type=float, default=DEFAULT_RETENTION, help="seconds")
    proxy.add_argument("--rate", type=float, default=BUSIEST, help="busiest events a second")
    waiting = commands.add_parser("wait", help="end once the stand-in proxy listens")
    waiting.set_defaults(run=wait)
    waiting.add_argument("--port", type=int, required=True)
    patience = {"type": float, "default": fill.PATIENCE_SECONDS}
    waiting.add_argument("--seconds", **patience, help="for no longer (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
