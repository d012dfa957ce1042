"""`python -m runtime.serve`: create the ledger if need be, then serve it with Datasette."""

import os
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

from ledger import NewerLedger, Unavailable, prepare, settings, transaction
from ledger.file import NAME
from ledger.locks import hold
from ledger.presence import Presence, Replaced
from ledger.settings import ROOT, Settings
from runtime.stop import LOOK_SECONDS, is_gone, starter

PASSWORD_HASH = re.compile(r"pbkdf2_sha256\$\d{4,8}\$[^$]+\$[^$]+")
# Nothing is written unless it changed: a full disk must not keep the dashboard from starting.
KEEP_PRICE = """
  insert into settings (name, value) values ('subscription_price', ?)
  on conflict (name) do update set value = excluded.value where value <> excluded.value
"""
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
    sql = {} if is_here(chosen.dashboard_host) else {"default_allow_sql": "off"}
    chosen_settings = {**DATASETTE_SETTINGS, **sql}
    named = [("--setting", name, value) for name, value in chosen_settings.items()]
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


def is_here(host: str) -> bool:
    """Tell whether only this machine can reach what listens on a host."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def require_password(chosen: Settings) -> None:
    """End with a sentence when others could reach the dashboard and no password is set."""
    given = chosen.dashboard_password_hash
    if given and not PASSWORD_HASH.fullmatch(given):
        raise SystemExit(
            "The setting dashboard_password_hash is malformed: it must be what "
            "`.venv/bin/datasette hash-password` prints."
        )
    if not given and not is_here(chosen.dashboard_host):
        raise SystemExit(
            f"The dashboard would listen on {chosen.dashboard_host}, for others than this machine, "
            "without a password: put what `.venv/bin/datasette hash-password` prints into "
            "dashboard_password_hash, or set dashboard_host to 127.0.0.1."
        )


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


def begin_anew_with(file: Path) -> None:
    """Start this process again when another ledger lies in the file's place.

    Datasette would read the one that it has open for ever.
    """
    presence = Presence(file)

    def watch() -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                presence.check()
            except Unavailable:
                continue
            except Replaced:
                os.execv(sys.executable, sys.orig_argv)

    threading.Thread(target=watch, daemon=True).start()


def use_password(chosen: Settings) -> None:
    """Let the sign-in page find the password's hash; without one there is no such page."""
    from datasette.plugins import pm

    if chosen.dashboard_password_hash:
        os.environ["LEDGER_DASHBOARD_PASSWORD_HASH"] = chosen.dashboard_password_hash
        return
    for plugin in list(pm.get_plugins()):
        if getattr(plugin, "__name__", "") == "datasette_auth_passwords":
            pm.unregister(plugin)


def note_price(conn: sqlite3.Connection, dollars: float) -> None:
    """Tell the report of a month which price to share where none is named."""
    with transaction(conn):
        conn.execute(KEEP_PRICE, (str(dollars),))


def main() -> None:
    """Prepare and become the dashboard's server."""
    chosen = settings.load()
    require_password(chosen)
    require_port(chosen)
    try:
        given = {"timezone": chosen.zone_name, "names": chosen.aliases}
        with closing(prepare(chosen.data_folder, **given)) as conn:
            note_price(conn, chosen.subscription_price)
        # Several dashboards may share a folder; a restore needs them all gone.
        hold(chosen.data_folder, "web", shared=True)
    except (Unavailable, NewerLedger) as error:
        raise SystemExit(f"The dashboard cannot start: {error}") from error
    end_with_starter()
    begin_anew_with(chosen.data_folder / NAME)
    # Where rich is installed, Datasette logs the local variables of every error, even of a 404.
    sys.modules["rich"] = None
    use_password(chosen)
    from datasette.cli import cli  # Slow to load, and not needed for the sentences above.

    cli.main(args=arguments(chosen), prog_name="datasette")


if __name__ == "__main__":
    main()
