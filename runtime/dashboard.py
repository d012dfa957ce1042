"""The dashboard's process: Datasette on the ledger, which is created if there is none."""

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

import yaml

from ledger import SchemaMismatch, Unavailable, settings, transaction
from ledger.data_folder import prepare
from ledger.database import FILE_NAME, FileIdentity, Replaced
from ledger.locks import hold
from ledger.queries import YAML_LOADER
from ledger.settings import ROOT, Settings
from runtime.stop import CHECK_SECONDS, has_ended, parent_process

PASSWORD_HASH = re.compile(r"pbkdf2_sha256\$\d{4,8}\$[^$]+\$[^$]+")
# Written only when it has changed: a full disk must not prevent the dashboard from starting.
STORE_PRICE = """
  insert into settings (name, value) values ('subscription_price', ?)
  on conflict (name) do update set value = excluded.value where value <> excluded.value
"""
DATASETTE_SETTINGS = {
    "allow_csv_stream": "off",
    "allow_download": "off",
    "default_cache_ttl": "1",
    "max_returned_rows": "20000",
    "num_sql_threads": "3",
    "suggest_facets": "off",
}


def arguments(settings: Settings) -> list[str]:
    """Return Datasette's command line."""
    sql = {} if is_local(settings.dashboard_host) else {"default_allow_sql": "off"}
    limit = {"sql_time_limit_ms": str(round(settings.query_seconds * 1000))}
    items = {**DATASETTE_SETTINGS, **limit, **sql}.items()
    options = [("--setting", *item) for item in items]
    return [
        "serve",
        str(settings.data_folder / FILE_NAME),
        *("--host", settings.dashboard_host, "--port", str(settings.dashboard_port)),
        *("--metadata", str(ROOT / "metadata.yml")),
        *("--plugins-dir", str(ROOT / "plugins")),
        *("--template-dir", str(ROOT / "plugins" / "templates")),
        *("--static", f"assets:{ROOT / 'plugins' / 'static'}"),
        *(word for option in options for word in option),
    ]


def is_local(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on a host."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def require_password(settings: Settings) -> None:
    """Raise `SystemExit` with a sentence when other machines could connect without a password."""
    password_hash = settings.dashboard_password_hash
    if password_hash and not PASSWORD_HASH.fullmatch(password_hash):
        raise SystemExit(
            "The setting dashboard_password_hash is malformed: it must be the output of "
            "`.venv/bin/datasette hash-password`."
        )
    if not password_hash and not is_local(settings.dashboard_host):
        raise SystemExit(
            f"The dashboard would listen on {settings.dashboard_host}, for other machines, without "
            "a password: put the output of `.venv/bin/datasette hash-password` into "
            "dashboard_password_hash, or set dashboard_host to 127.0.0.1."
        )


def require_port(settings: Settings) -> None:
    """Raise `SystemExit` with a sentence when another program listens on the dashboard's port."""
    host, port = settings.dashboard_host, settings.dashboard_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SystemExit(
                f"The dashboard cannot listen on {host}:{port} ({reason}): "
                "stop the other program, or set dashboard_port."
            ) from None


def end_with_parent() -> None:
    """End this process when its parent process ends, which Datasette does not check."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        while not has_ended(parent):
            time.sleep(CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def restart_when_replaced(file: Path) -> None:
    """Restart this process when another file has replaced the ledger.

    Datasette would continue to read the old file.
    """
    identity = FileIdentity(file)

    def watch() -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            try:
                identity.check()
            except Unavailable:
                continue
            except Replaced:
                os.execv(sys.executable, sys.orig_argv)

    threading.Thread(target=watch, daemon=True).start()


def configure_sign_in(password_hash: str) -> None:
    """Pass the password's hash to the sign-in page; without a password remove the page."""
    from datasette.plugins import pm

    if password_hash:
        os.environ["LEDGER_DASHBOARD_PASSWORD_HASH"] = password_hash
        return
    for plugin in list(pm.get_plugins()):
        if getattr(plugin, "__name__", "") == "datasette_auth_passwords":
            pm.unregister(plugin)


def store_subscription_price(conn: sqlite3.Connection, dollars: float) -> None:
    """Store the price that the monthly report shares by default."""
    with transaction(conn):
        conn.execute(STORE_PRICE, (str(dollars),))


def serve() -> None:
    """Prepare the ledger and run Datasette in this process."""
    current = settings.load()
    require_password(current)
    require_port(current)
    zone, names = current.zone_name, current.aliases
    try:
        with closing(prepare(current.data_folder, timezone=zone, names=names)) as conn:
            store_subscription_price(conn, current.subscription_price)
        # Several dashboards may share a folder; a restore needs them all to have ended.
        hold(current.data_folder, "web", shared=True)
    except (Unavailable, SchemaMismatch) as error:
        raise SystemExit(f"The dashboard cannot start: {error}") from error
    end_with_parent()
    restart_when_replaced(current.data_folder / FILE_NAME)
    # Where rich is installed, Datasette logs the local variables of every error, even of a 404.
    sys.modules["rich"] = None  # type: ignore[assignment]
    configure_sign_in(current.dashboard_password_hash)
    from datasette.cli import cli  # Slow to load, and not needed for the sentences above.

    # Datasette parses metadata.yml with this class; libyaml's takes a tenth of the time.
    yaml.SafeLoader = YAML_LOADER  # type: ignore[misc]
    cli.main(args=arguments(current), prog_name="datasette")
