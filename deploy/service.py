"""`python -m cli service install|uninstall|status`: run the ledger as services of the user.

Nothing needs root: systemd or launchd run them as the user who installs them.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy import health
from deploy.launchd import Launchd
from deploy.manager import SERVICES, Manager, place, write
from deploy.systemd import Systemd
from ledger import Unavailable, locks
from ledger.data_folder import make_private
from ledger.settings import (
    ListedProxy,
    Settings,
    config_path,
    load,
    read,
    read_environment,
    require_key,
)
from runtime.dashboard import require_password, require_port

MANAGERS: dict[str, Callable[[], Manager]] = {"systemd": Systemd, "launchd": Launchd}
START_SECONDS, POLL_SECONDS = 30.0, 0.3
# Long enough for the upgrade of a large ledger.
STOP_TIMEOUT_SECONDS = 900.0


def install(manager: Manager) -> None:
    """Write the units, start the services, and wait until they work; also upgrades them."""
    refuse_environment(sorted(read_environment()))
    settings = load()
    refuse_environment([f"the key of {proxy.name}" for proxy in proxies_by_variable(settings)])
    require_key(settings)
    require_password(settings)
    unavailable = manager.unavailable()
    running = {} if unavailable else process_ids(manager)
    refuse_others(settings.data_folder, {str(process) for process in running.values()})
    if "web" not in running:
        require_port(settings)
    files = manager.files(place(settings, Path(sys.prefix) / "bin" / "python"))
    create_folder(settings.data_folder)
    if unavailable is None:
        manager.stop()
    for file, content in files.items():
        write(file, content)
    print(f"Wrote {len(files)} files to {next(iter(files)).parent}.")
    if unavailable:
        raise SystemExit(
            f"{unavailable} Start the services where it can be: {manager.start_command()}"
        )
    manager.start()
    report(manager, settings)


def uninstall(manager: Manager) -> None:
    """Stop the services and remove the installed files; the data stays."""
    data = read().data_folder
    files, unavailable = manager.installed(), manager.unavailable()
    if not files:
        print(f"No services are installed with {manager.name}.")
        return
    if unavailable is None:
        manager.stop()
    manager.disable()
    for file in files:
        file.unlink()
    if unavailable is None:
        manager.reload()
    print(f"Removed {len(files)} files from {files[0].parent}.")
    if unavailable:
        print(f"{unavailable} Running services continue until you log out.")
    print(f"The data stays in {data}, the settings in {config_path()}.")


def status(manager: Manager) -> None:
    """Print the state of each service; the status is 1 unless all are healthy."""
    settings = load()
    if unavailable := manager.unavailable():
        raise SystemExit(unavailable)
    problems = {service: problem(manager, settings, service) for service in SERVICES}
    for service, sentence in problems.items():
        print(sentence or running_sentence(manager, settings, service))
    if any(problems.values()):
        raise SystemExit(1)


def refuse_environment(names: list[str]) -> None:
    """Raise SystemExit when settings come from variables that only this terminal has."""
    if names:
        raise SystemExit(
            "A service does not see the variables of this terminal: put "
            f"{', '.join(names)} into {config_path()} and unset the variables."
        )


def proxies_by_variable(settings: Settings) -> list[ListedProxy]:
    """Return the proxies whose key is in an environment variable."""
    return [proxy for proxy in settings.proxies if proxy.management_key_variable]


def refuse_others(folder: Path, own: set[str]) -> None:
    """Raise SystemExit while another process, such as `make run`, works on the data folder."""
    for name, process in locks.holders(folder):
        if process not in own:
            raise SystemExit(
                f"{name} (process {process}) is running on {folder}: end it first, with Ctrl-C "
                "where `make run` was started."
            )


def create_folder(folder: Path) -> None:
    """Create the data folder; raises SystemExit when that fails."""
    try:
        make_private(folder)
    except Unavailable as error:
        raise SystemExit(f"{folder}: {error}.") from error


def report(manager: Manager, settings: Settings) -> None:
    """Wait until every service works, and print their states, the address and the logs."""
    waiting = wait_until_healthy(manager, settings)
    for service in SERVICES:
        print(problem(manager, settings, service) or running_sentence(manager, settings, service))
    for line in locations(manager, settings):
        print(line)
    if waiting:
        raise SystemExit(f"Not every service works yet: look at the log of {', '.join(waiting)}.")


def wait_until_healthy(manager: Manager, settings: Settings) -> list[str]:
    """Wait for the services; return those that still have a problem after the time allowed."""
    started_at, is_noted = time.monotonic(), False
    while waiting := [name for name in SERVICES if problem(manager, settings, name)]:
        passed = time.monotonic() - started_at
        is_down = len(process_ids(manager)) < len(SERVICES)
        if passed > (START_SECONDS if is_down else STOP_TIMEOUT_SECONDS):
            break
        if passed > START_SECONDS and not is_noted:
            print("Still waiting: the upgrade of a large ledger takes minutes.", flush=True)
            is_noted = True
        time.sleep(POLL_SECONDS)
    return waiting


def process_ids(manager: Manager) -> dict[str, int]:
    """Return the process id of each running service."""
    by_service = {service: manager.process_id(service) for service in SERVICES}
    return {service: process for service, process in by_service.items() if process}


def problem(manager: Manager, settings: Settings, service: str) -> str | None:
    """Return a sentence on why a service does not work; None when it does."""
    process = manager.process_id(service)
    if process is None:
        return f"{service} does not run."
    if sentence := health.problem(settings, service):
        return sentence
    state = None if service == "web" else health.state(settings.data_folder, service)
    # The report may be from an earlier process.
    return f"{service} has not reported yet." if state and state.pid != process else None


def running_sentence(manager: Manager, settings: Settings, service: str) -> str:
    """Return a sentence on what a running service does."""
    process = manager.process_id(service)
    if service == "web":
        return f"web runs (process {process}) and answers at {address(settings)}"
    state = health.state(settings.data_folder, service)
    if state is None:
        return service
    return f"{service} runs (process {process}): {state.detail or state.state}"


def address(settings: Settings) -> str:
    """Return the address of the dashboard for this machine."""
    host = health.local_address(settings.dashboard_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.dashboard_port}/"


def locations(manager: Manager, settings: Settings) -> Iterator[str]:
    """Yield sentences on where data, settings and logs are."""
    yield f"The data is in {settings.data_folder}; the settings are in {config_path()}."
    yield "The logs:"
    for service in SERVICES:
        yield f"  {manager.log_command(service)}"
    if hint := manager.hint():
        yield hint


def choose_manager(name: str | None) -> Manager:
    """Return the named manager of services, else that of the operating system."""
    default = "launchd" if sys.platform == "darwin" else "systemd"
    return MANAGERS[name or default]()
