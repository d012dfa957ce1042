"""`python -m demo`: fill a ledger with 30 days of history, then run everything on live traffic.

`fill` only fills the ledger, `proxy` only runs the fake proxy. `wait` ends as soon as the fake
proxy listens: a worker started earlier begins with a failed connection.
"""

import argparse
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from threading import Event

from demo import backfill, versions
from demo.accounts import KEY, SEED
from demo.fake_proxy import HOST, FakeProxy, serving
from demo.proxy_state import DEFAULT_RETENTION
from demo.traffic import BUSIEST, Traffic
from runtime.dashboard import end_with_parent

STREAM_SECONDS = 1.0
# After the machine was suspended, older events are skipped.
MAX_CATCH_UP_SECONDS = 60.0


def main() -> None:
    """Run the command of the command line."""
    options = _parser().parse_args()
    options.run(options)


def run_all(_options: argparse.Namespace) -> None:
    """Fill the ledger, then replace this process by the manager of proxy, workers and dashboard."""
    settings = backfill.ensure_filled()
    print(f"The dashboard: http://{settings.dashboard_host}:{settings.dashboard_port}/", flush=True)
    command = [sys.executable, "-m", "runtime.run_all", "demo/Procfile"]
    os.execv(sys.executable, command)


def run_fill(_options: argparse.Namespace) -> None:
    """Fill the ledger."""
    backfill.ensure_filled()


def run_proxy(options: argparse.Namespace) -> None:
    """Serve the fake proxy alone, until a signal; raises SystemExit when the port is taken."""
    zone = datetime.now().astimezone().tzinfo or UTC
    busiest = max(options.rate, 0.0)
    traffic = Traffic(seed=SEED, anchor=time.time(), zone=zone, busiest=busiest)
    proxy = FakeProxy(
        key=options.key,
        port=options.port,
        version=options.version,
        retention=options.retention,
        quotas=traffic.quotas,
        keeps_log=False,
    )
    stop = _stop_on_signals()
    end_with_parent()
    with ExitStack() as stack:
        try:
            stack.enter_context(serving(proxy))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise SystemExit(f"cannot listen on port {options.port}: {reason}") from error
        print(f"{proxy.version} at http://127.0.0.1:{proxy.port}, key {proxy.key}", flush=True)
        if busiest:
            stream(proxy, traffic, stop)
        else:
            stop.wait()


def stream(proxy: FakeProxy, traffic: Traffic, stop: Event) -> None:
    """Push the events of each passing second until `stop` is set."""
    pushed_until = time.time()
    while not stop.wait(STREAM_SECONDS):
        now = time.time()
        proxy.push(traffic.between(max(pushed_until, now - MAX_CATCH_UP_SECONDS), now))
        pushed_until = now


def wait(options: argparse.Namespace) -> None:
    """Wait until the port accepts connections; raises SystemExit after `--seconds`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    deadline = time.monotonic() + options.seconds
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, options.port)):
            return
        time.sleep(backfill.POLL_SECONDS)
    raise SystemExit(f"nothing listens on port {options.port}")


def version(text: str) -> str:
    """Return a text that is a version of the proxy; raises ValueError otherwise."""
    versions.parse(text)
    return text


def _stop_on_signals() -> Event:
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.set_defaults(run=run_all)
    commands = parser.add_subparsers(title="commands")
    filling = commands.add_parser("fill", help="only fill the ledger with 30 days of history")
    filling.set_defaults(run=run_fill)
    proxy = commands.add_parser("proxy", help="only run the fake proxy")
    proxy.set_defaults(run=run_proxy)
    proxy.add_argument("--port", type=int, default=0, help="0 is any free port")
    proxy.add_argument("--key", default=KEY, help="management key (default: %(default)s)")
    proxy.add_argument(
        "--version", type=version, default=FakeProxy.version, help="proxy version to imitate"
    )
    proxy.add_argument(
        "--retention", type=float, default=DEFAULT_RETENTION, help="seconds an event stays queued"
    )
    proxy.add_argument("--rate", type=float, default=BUSIEST, help="events a second at full load")
    waiting = commands.add_parser("wait", help="wait until the fake proxy listens")
    waiting.set_defaults(run=wait)
    waiting.add_argument("--port", type=int, required=True)
    waiting.add_argument(
        "--seconds",
        type=float,
        default=backfill.TIMEOUT_SECONDS,
        help="how long to wait (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
