"""`python -m worker.serve`: create the ledger if need be, then serve it with Datasette."""

import os
import signal
import socket
import sys
import threading
import time

from ledger import NewerLedger, Unavailable, prepare
from ledger.config import ROOT
from ledger.file import NAME
from worker import settings
from worker.settings import Settings
from worker.stop import LOOK_SECONDS, is_gone, starter

DATASETTE_SETTINGS = {
    "allow_csv_stream": "off",
    "allow_download": "off",
    "default_cache_ttl": "1",
    "max_returned_rows": "20000",
    "num_sql_threads": "3",
    "sql_time_limit_ms": "3000",
    "suggest_facets": "off",
}


def arguments(chosen: Settings) -> list[str]:
    """Give Datasette's command line."""
    named = [("--setting", name, value) for name, value in DATASETTE_SETTINGS.items()]
    return [
        "serve",
        str(chosen.data_folder / NAME),
        *("--host", chosen.dashboard_host, "--port", str(chosen.dashboard_port)),
        *("--metadata", str(ROOT / "metadata.yml")),
        *("--plugins-dir", str(ROOT / "plugins")),
        *("--template-dir", str(ROOT / "plugins" / "templates")),
        *("--static", f"assets:{ROOT / 'plugins' / 'static'}"),
        *(word for words in named for word in words),
    ]


def require_port(chosen: Settings) -> None:
    """End with a sentence when another program listens where the dashboard should."""
    host, port = chosen.dashboard_host, chosen.dashboard_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(
                f"The dashboard cannot listen on {host}:{port} ({error.strerror.lower()}): "
                "stop the other program, or set dashboard_port."
            ) from None


def end_with_starter() -> None:
    """End this process when the one that started it is gone; Datasette does not look itself."""
    watched = starter()
    if watched is None:
        return

    def watch() -> None:
        while not is_gone(watched):
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Prepare and become the dashboard's server."""
    chosen = settings.load()
    require_port(chosen)
    try:
        prepare(chosen.data_folder, timezone=chosen.zone_name).close()
    except (Unavailable, NewerLedger) as error:
        raise SystemExit(f"The dashboard cannot start: {error}") from error
    end_with_starter()
    # Where rich is installed, Datasette logs the local variables of every error, even of a 404.
    sys.modules["rich"] = None
    from datasette.cli import cli  # Slow to load, and not needed for the sentences above.

    cli.main(args=arguments(chosen), prog_name="datasette")


if __name__ == "__main__":
    main()
