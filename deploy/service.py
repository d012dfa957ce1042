"""`python -m deploy.service install|uninstall|status`: keep the ledger running, as your services.

Nothing needs root: systemd or launchd run them as the user who installs them.
"""

import argparse
import sys
from pathlib import Path

from deploy.agents import Launchd
from deploy.manager import SERVICES, Manager, place, write
from deploy.report import problem, processes, report, sentence
from deploy.units import Systemd
from ledger import Unavailable, locks, settings
from ledger.file import make_private
from ledger.settings import ListedProxy, Settings, require_key
from runtime.serve import require_password, require_port

MANAGERS = {"systemd": Systemd, "launchd": Launchd}


def install(manager: Manager) -> None:
    """Write the units, start the services, and look whether they run; twice is an upgrade."""
    refuse_environment(sorted(settings.read_environment()))
    chosen = settings.load()
    refuse_environment([f"the key of {entry.name}" for entry in borrowed(chosen)])
    require_key(chosen)
    require_password(chosen)
    away = manager.away()
    running = {} if away else processes(manager)
    refuse_others(chosen.data_folder, {str(process) for process in running.values()})
    if "web" not in running:
        require_port(chosen)
    files = manager.files(place(chosen, Path(sys.prefix) / "bin" / "python"))
    create(chosen.data_folder)
    if away is None:
        manager.stop()
    for file, content in files.items():
        write(file, content)
    print(f"Wrote {len(files)} files to {next(iter(files)).parent}.")
    if away:
        raise SystemExit(f"{away} Start the services where it can be: {manager.by_hand()}")
    manager.start()
    report(manager, chosen)


def uninstall(manager: Manager) -> None:
    """Stop the services and remove what was installed; the data stays."""
    data = settings.read().data_folder
    files, away = manager.installed(), manager.away()
    if not files:
        print(f"No services are installed with {manager.name}.")
        return
    if away is None:
        manager.stop()
    manager.forget()
    for file in files:
        file.unlink()
    if away is None:
        manager.reload()
    print(f"Removed {len(files)} files from {files[0].parent}.")
    if away:
        print(f"{away} What runs of them goes on until you log out.")
    print(f"The data stays in {data}, the settings in {settings.config_path()}.")


def status(manager: Manager) -> None:
    """Say of each service whether it runs and what it says; end with 1 unless all are well."""
    chosen = settings.load()
    if away := manager.away():
        raise SystemExit(away)
    wrong = 0
    for service in SERVICES:
        trouble = problem(manager, chosen, service)
        wrong += bool(trouble)
        print(trouble or sentence(manager, chosen, service))
    if wrong:
        raise SystemExit(1)


def refuse_environment(found: list[str]) -> None:
    """End with a sentence when settings come from variables that only this terminal has."""
    if found:
        raise SystemExit(
            "A service does not see the variables of this terminal: put "
            f"{', '.join(found)} into {settings.config_path()} and unset the variables."
        )


def borrowed(chosen: Settings) -> list[ListedProxy]:
    """Give the proxies whose key is in a variable."""
    return [entry for entry in chosen.proxies if entry.management_key_variable]


def refuse_others(folder: Path, own: set[str]) -> None:
    """End with a sentence while somebody else, such as `make run`, works on the data folder."""
    for name, process in locks.holders(folder):
        if process not in own:
            raise SystemExit(
                f"{name} (process {process}) is running on {folder}: end it first, with Ctrl-C "
                "where `make run` was started."
            )


def create(folder: Path) -> None:
    """Create the data folder."""
    try:
        make_private(folder)
    except Unavailable as error:
        raise SystemExit(f"{folder}: {error}.") from error


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.service", description=__doc__)
    parser.add_argument("command", choices=[f.__name__ for f in (install, uninstall, status)])
    usual = "launchd" if sys.platform == "darwin" else "systemd"
    parser.add_argument("--manager", choices=MANAGERS, default=usual)
    chosen = parser.parse_args()
    command = {"install": install, "uninstall": uninstall, "status": status}[chosen.command]
    command(MANAGERS[chosen.manager]())


if __name__ == "__main__":
    main()
